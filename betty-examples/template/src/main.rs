//! Learns which sources of data to trust, while a model is trained on all of them.

mod data;

use std::fs;
use std::path::PathBuf;

use betty_runtime::watch::{Console, CsvFile, KeepBest};
use betty_runtime::{Engine, Goal, ProgramConfig, Stream, StreamPosition, Validation, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

use crate::data::Examples;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How far each source is trusted, as the logarithm of odds.
#[derive(Module, Debug)]
struct Trust {
    logits: Param<Tensor<1>>,
}

multilevel! {
    /// Learns which sources to trust.
    struct Reweighting;

    /// Moves the trust so that a model trained under it does well on held-out data.
    level trust: Trust { lower: [model], batch: Examples, loss: held_out, optimizer: adam(lr = 0.1) }

    /// Fits all sources under the current trust.
    level model: Linear {
        upper: [trust], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.2), unroll: 5,
        hypergradient: cg(iterations = 10, damping = 1e-3),
    }
}

fn weighted(model: &Linear, trust: &Trust, batch: Examples) -> Tensor<1> {
    let weights = sigmoid(trust.logits.val().select(0, batch.sources)).unsqueeze_dim::<2>(1);
    (weights * (model.forward(batch.inputs) - batch.targets).square()).mean()
}

fn held_out(_trust: &Trust, model: &Linear, batch: Examples) -> Tensor<1> {
    (model.forward(batch.inputs) - batch.targets).square().mean()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex();
    device.seed(0);
    let problem = Reweighting {
        trust: Trust { logits: Param::from_tensor(Tensor::zeros([data::SOURCES], &device)) },
        model: LinearConfig::new(data::INPUTS, 1).init(&device),
    };
    let data = ReweightingData {
        trust: data::batch(1000..1040, 0.0, &device).into(),
        model: Stream::loader(data::loader(0..240, 80, &device)),
    };
    // Numbers of the program may be overridden by JSON, the first argument; the second one is the folder of the run.
    let overrides = std::env::args().nth(1).unwrap_or("{}".into());
    let folder = PathBuf::from(std::env::args().nth(2).unwrap_or("out".into()));
    let config = ReweightingConfig::from_json(&overrides)?;

    let test = data::batch(2000..2100, 0.0, &device);
    let error = move |now: &Reweighting| Ok(held_out(&now.trust, &now.model, test.clone()).into_scalar::<f64>());
    // Before anything is written: only numbers that the program accepts begin a run.
    let engine = Engine::new(problem, data, config.clone())?;
    fs::create_dir_all(&folder)?;
    let of = folder.join("config.json");
    if fs::read_to_string(&of).is_ok_and(|before| before.trim() != config.to_json().unwrap_or_default()) {
        return Err(format!("`{}` holds a run with other numbers; give this one another folder", folder.display()).into());
    }
    config.save(of)?;
    let mut engine = engine
        .validate(Validation::every(20, Goal::Min, error))
        .attach(Console::every(20))
        .attach(CsvFile::new(folder.join("run.csv")))
        .attach(KeepBest::in_file(folder.join("best.safetensors")))
        .save_every(100, folder.join("run.safetensors"));
    engine.resume_if_present(folder.join("run.safetensors"), StreamPosition::Start)?;
    if engine.run_until(200)?.iterations > 0 {
        println!("{}", engine.verify_hypergradient("trust")?);
    } else {
        println!("`{}` holds a run that was over already, and nothing was trained", folder.display());
        println!("if the program or its data are others now, give it another folder");
    }

    let trained = engine.into_problem();
    let trust: Vec<f32> = sigmoid(trained.trust.logits.val()).into_data().try_to_vec()?;
    println!("trust in each source: {trust:.2?}; those with odd numbers were wrong");
    trained.model.save_file(folder.join("model.bpk"))?;
    Ok(())
}

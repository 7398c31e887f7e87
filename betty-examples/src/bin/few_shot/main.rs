//! Few-shot classification: learn where to begin, so that five steps on five images tell five new classes apart.
//!
//! ```text
//! min_φ  mean over tasks t of  query_t(θ_K^t)
//!
//! MAML      θ_0 = φ,  θ_{k+1} = θ_k − α∇support_t(θ_k)                       differentiated step by step
//! ANIL      the same for a change of the last layer alone
//! iMAML     θ* = argmin_θ support_t(θ) + ½γ‖θ − φ‖²,   dθ*/dφ = γ(∂²support_t + γI)⁻¹      by conjugate gradients
//! ```
//!
//! Finn, Abbeel and Levine (2017, arXiv:1703.03400); Raghu et al. (2020, arXiv:1909.09157); Rajeswaran et al. (2019,
//! arXiv:1909.04630). A class is a digit in one of four rotations; the tasks of the test are made of three digits that training never
//! saw. Against it: the same steps from random parameters, and from a network that was trained to tell all training classes apart,
//! each with the best of several rates, and the nearest image.

mod model;
mod programs;
mod tasks;

use std::process::ExitCode;

use betty_examples::compare::{Compare, Trial};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::metrics::Comparison;
use betty_examples::plot::{Curve, Curves};
use betty_runtime::{Engine, HypergradientConfig, OptimizerConfig};
use burn::tensor::Device;
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;

use model::Net;
use programs::{Anil, AnilConfig, Maml, MamlConfig, Pretraining, PretrainingConfig};
use tasks::{Classes, Tasks};

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tasks of the test, and those that choose a rate for the baselines.
const TEST: usize = 300;
const VALIDATION: usize = 100;
/// Rates that the baselines choose from.
const RATES: [f64; 6] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
/// Most steps that are drawn.
const DRAWN: usize = 10;
/// How strongly iMAML draws an adapted network to where it began, and the steps that it takes.
const PROXIMITY: f64 = 0.5;
const IMPLICIT_STEPS: usize = 16;

/// Learns where to begin, so that a network tells five new classes apart after five steps on few images of each.
#[derive(Debug, Parser)]
#[command(name = "few_shot", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the digits that are kept for the test, of initial parameters, and of tasks")))]
#[command(mut_arg("out", |out| out.default_value("out/few_shot")))]
struct Options {
    /// Images of each class to learn from.
    #[arg(long, default_value_t = 1, value_name = "K")]
    shots: usize,
    /// Steps of the initial parameters.
    #[arg(long, default_value_t = 2000, value_name = "N")]
    steps: u64,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("shots", options.shots as u64), ("steps", options.steps)])?;
    let config = options.compare.config()?;
    let choices = [("--shots", options.shots.to_string())];
    let Some(session) = options.compare.open::<Maml>(config, &choices)? else { return Ok(()) };
    let table = Comparison::new(
        ["begin at", "accuracy on new digits after five steps"],
        [
            ("maml", "MAML"),
            ("anil", "ANIL"),
            ("imaml", "implicit MAML"),
            ("pretrained", "pretrained on all classes"),
            ("scratch", "random parameters"),
            ("nearest", "(the nearest image, no steps)"),
        ],
    );
    session.compare("accuracies", table, |trial| compare(options, trial))?;
    Ok(())
}

/// Accuracies of one seed.
fn compare(options: &Options, trial: &Trial<'_, MamlConfig>) -> Result<[f64; 6], Failure> {
    let (seed, config, device) = (trial.seed, trial.config, trial.device);
    let mut rng = StdRng::seed_from_u64(seed);
    let (known, novel) = Classes::split(&mut rng);
    let tasks = |classes: &Classes, part: u64| Tasks::new(classes.clone(), options.shots, seed.wrapping_mul(3) + part);
    let (training, validation, test) = (tasks(&known, 0), tasks(&known, 1), tasks(&novel, 2));
    let start = Net::new(&mut rng, device);

    let engine = Maml::engine(start.clone(), &training, 0.0, config, device)?.seed(seed);
    let maml = trial.train(engine, "maml", options.steps)?.meta;
    let implicit = implicit(config);
    let engine = Maml::engine(start.clone(), &training, PROXIMITY, &implicit, device)?.seed(seed);
    let imaml = trial.train(engine, "imaml", options.steps.div_ceil(4))?.meta;
    let head = AnilConfig::default();
    let engine = Anil::engine(start.clone(), &training, &head, device)?.seed(seed);
    let anil = trial.train(engine, "anil", options.steps)?.net;
    let engine = Engine::new(
        Pretraining { net: start.with_head(known.len(), &mut rng, device) },
        known.batches(seed, device),
        PretrainingConfig::default(),
    )?;
    let pretrained = trial.train(engine, "pretraining", options.steps)?.net.without_head(device);

    // Of several rates, the one that is best on tasks of known classes.
    let tuned = |net: &Net| -> Result<MamlConfig, Failure> {
        let mut best = (f64::NEG_INFINITY, config.clone());
        for rate in RATES {
            let mut config = config.clone();
            config.adapted.optimizer = config.adapted.optimizer.map(|optimizer| with_rate(optimizer, rate));
            let accuracy = Maml::accuracy(net, &validation, VALIDATION, 0.0, &config, device)?;
            best = if accuracy > best.0 { (accuracy, config) } else { best };
        }
        Ok(best.1)
    };
    let (pretrained_config, scratch_config) = (tuned(&pretrained)?, tuned(&start)?);
    let reached = |net: &Net, config: &MamlConfig| Maml::accuracy(net, &test, TEST, 0.0, config, device);
    if trial.is_first {
        let learned = [
            ("MAML", &maml, config),
            ("pretrained", &pretrained, &pretrained_config),
            ("random", &start, &scratch_config),
        ];
        trial.output.write("steps.svg", drawing(&learned, &test, device)?)?;
    }
    Ok([
        reached(&maml, config)?,
        Anil::accuracy(&anil, &test, TEST, &head, device)?,
        Maml::accuracy(&imaml, &test, TEST, PROXIMITY, &implicit, device)?,
        reached(&pretrained, &pretrained_config)?,
        reached(&start, &scratch_config)?,
        test.nearest(TEST),
    ])
}

/// The numbers of MAML, for a best response in the place of steps.
fn implicit(config: &MamlConfig) -> MamlConfig {
    let mut config = config.clone();
    let cg = betty_runtime::CgConfig { iterations: 5, ..Default::default() };
    config.adapted.hypergradient = Some(HypergradientConfig::Cg(cg));
    // Systems of several tasks are solved one after the other.
    (config.adapted.unroll, config.meta.vectorize) = (IMPLICIT_STEPS, false);
    config
}

fn with_rate(optimizer: OptimizerConfig, rate: f64) -> OptimizerConfig {
    match optimizer {
        OptimizerConfig::Sgd(sgd) => OptimizerConfig::Sgd(betty_runtime::SgdConfig { lr: rate.into(), ..sgd }),
        other => other,
    }
}

/// Accuracies after every number of steps.
fn drawing(learned: &[(&str, &Net, &MamlConfig)], test: &Tasks, device: &Device) -> Result<String, Failure> {
    let mut curves = Vec::new();
    for (name, net, config) in learned {
        let mut points = Vec::new();
        for steps in 1..=DRAWN {
            let mut config = (*config).clone();
            config.adapted.unroll = steps;
            points.push((steps as f64, Maml::accuracy(net, test, VALIDATION, 0.0, &config, device)?));
        }
        curves.push(Curve { name: (*name).into(), points });
    }
    let title = "Five new classes, from one image of each".into();
    let plot = Curves { title, x: "steps".into(), y: "accuracy".into(), curves, dots: None };
    Ok(plot.to_svg()?)
}

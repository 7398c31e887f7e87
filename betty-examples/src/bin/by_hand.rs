//! What `multilevel!` writes, and the same by hand: two programs of ridge regression that are equal, bit for bit.
//!
//! ```text
//! min_λ ‖X_v·w*(λ) − y_v‖²      w*(λ) = argmin_w ‖X·w − y‖² + Σⱼ exp(λⱼ)·wⱼ²
//! ```
//!
//! `Ridge` is declared; `ByHand` is what the macro makes of the declaration: a struct of modules, one of streams, one of numbers, and an
//! implementation of `Multilevel` that says what reads what. Losses are the same functions.

use std::process::ExitCode;

use betty_examples::command::Setting;
use betty_examples::failure::{Failure, finish};
use betty_examples::output::OutputFolder;
use betty_examples::plot::{Curve, Curves};
use betty_runtime::{
    BatchStream, Engine, LevelConfig, LevelModule, LevelSpec, Measured, Multilevel, ProgramConfig, Schedule, Stream,
    Through, Tracer, multilevel,
};
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Weights, or the logarithms of their penalties.
type Vector = Param<Tensor<1>>;
/// Inputs and targets.
type Samples = (Tensor<2>, Tensor<2>);

const WEIGHTS: usize = 8;
const ITERATIONS: u64 = 100;

fn error(weights: &Vector, (x, y): Samples) -> Tensor<1> {
    (x.matmul(weights.val().unsqueeze_dim(1)) - y).square().mean()
}

fn validation(_penalty: &Vector, weights: &Vector, samples: Samples) -> Tensor<1> {
    error(weights, samples)
}

fn training(weights: &Vector, penalty: &Vector, samples: Samples) -> Tensor<1> {
    error(weights, samples) + (penalty.val().exp() * weights.val().square()).sum()
}

multilevel! {
    /// A penalty for each weight.
    struct Ridge;

    level penalty: Vector { lower: [weights], batch: Samples, loss: validation, optimizer: adam(lr = 0.1) }
    level weights: Vector {
        upper: [penalty], batch: Samples, loss: training, optimizer: sgd(lr = 0.1), unroll: 10,
        hypergradient: cg(iterations = 8, damping = 1e-6),
    }
}

/// The struct: a module for each level.
struct ByHand {
    penalty: Vector,
    weights: Vector,
}

/// `RidgeData`: a stream for each level.
struct ByHandData {
    penalty: Stream<Samples>,
    weights: Stream<Samples>,
}

/// `RidgeConfig`: numbers for each level, which JSON may override.
#[derive(Clone, Serialize, Deserialize)]
struct ByHandConfig {
    penalty: LevelConfig,
    weights: LevelConfig,
}

impl Default for ByHandConfig {
    fn default() -> Self {
        let level = |text: &str| serde_json::from_str(text).expect("the numbers of a level");
        ByHandConfig {
            penalty: level(r#"{ "optimizer": { "name": "adam", "lr": 0.1 } }"#),
            weights: level(
                r#"{ "optimizer": { "name": "sgd", "lr": 0.1 }, "unroll": 10,
                     "hypergradient": { "method": "cg", "iterations": 8, "damping": 1e-6 } }"#,
            ),
        }
    }
}

impl ProgramConfig for ByHandConfig {
    fn levels(&self) -> Vec<&LevelConfig> {
        vec![&self.penalty, &self.weights]
    }

    fn levels_mut(&mut self) -> Vec<&mut LevelConfig> {
        vec![&mut self.penalty, &mut self.weights]
    }
}

impl Multilevel for ByHand {
    /// Levels by their numbers. What a hypergradient passes through is held against the edges when an engine is made.
    const SCHEDULE: Schedule = Schedule {
        name: "Ridge",
        levels: &[
            LevelSpec {
                name: "penalty",
                module: "Vector",
                batch: "Samples",
                loss: "validation",
                condition: None,
                after_step: None,
                upper: &[],
                lower: &[1],
                start: None,
                hyperparameters: &[],
                sweep: &[Through { level: 1, into: &[0] }],
            },
            LevelSpec {
                name: "weights",
                module: "Vector",
                batch: "Samples",
                loss: "training",
                condition: None,
                after_step: None,
                upper: &[0],
                lower: &[],
                start: None,
                hyperparameters: &[],
                sweep: &[],
            },
        ],
        roots: &[0],
    };
    type Data = ByHandData;
    type Config = ByHandConfig;

    fn modules(&self) -> Vec<&dyn LevelModule> {
        vec![&self.penalty, &self.weights]
    }

    fn modules_mut(&mut self) -> Vec<&mut dyn LevelModule> {
        vec![&mut self.penalty, &mut self.weights]
    }

    fn streams(data: ByHandData) -> Vec<Box<dyn BatchStream>> {
        vec![Box::new(data.penalty), Box::new(data.weights)]
    }

    /// A loss sees what the tracer has in the place of modules and batch: its own module first, as a declared loss does.
    fn loss(&self, level: usize, tracer: &mut Tracer<'_>) -> Measured {
        if level == 0 {
            let penalty = tracer.module(0, &self.penalty);
            let weights = tracer.module(1, &self.weights);
            Measured::new(validation(&penalty, &weights, tracer.batch()))
        } else {
            let weights = tracer.module(1, &self.weights);
            let penalty = tracer.module(0, &self.penalty);
            Measured::new(training(&weights, &penalty, tracer.batch()))
        }
    }
}

/// Runs a program that is declared by a macro and the same by hand, and compares them bit for bit.
#[derive(Debug, Parser)]
#[command(name = "by_hand", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the samples")))]
#[command(mut_arg("out", |out| out.default_value("out/by_hand")))]
struct Options {
    /// What all examples have.
    #[command(flatten)]
    setting: Setting,
}

/// Samples of which four of eight inputs matter.
fn samples(count: usize, rng: &mut StdRng, device: &Device) -> Samples {
    let x: Vec<f32> = (0..count * WEIGHTS).map(|_| rng.random_range(-1.0..1.0)).collect();
    let y = x.chunks(WEIGHTS).map(|row| row[..WEIGHTS / 2].iter().sum::<f32>() + rng.random_range(-0.5..0.5));
    let y = TensorData::new(y.collect::<Vec<f32>>(), [count, 1]);
    (Tensor::from_data(TensorData::new(x, [count, WEIGHTS]), device), Tensor::from_data(y, device))
}

/// The penalties after every iteration.
fn penalties<P: Multilevel>(mut engine: Engine<P>, penalty: impl Fn(&P) -> &Vector) -> Result<Vec<Vec<f32>>, Failure> {
    let mut seen = Vec::new();
    for _ in 0..ITERATIONS {
        engine.run(1)?;
        seen.push(penalty(engine.problem()).val().into_data().iter::<f32>().collect());
    }
    Ok(seen)
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let device = options.setting.machine.device.open(None)?;
    let output = OutputFolder::open(&options.setting.out)?;
    let mut rng = StdRng::seed_from_u64(options.setting.seed);
    let (above, below) = (samples(30, &mut rng, &device), samples(12, &mut rng, &device));
    let vector = |value: f32| Param::from_tensor(Tensor::<1>::full([WEIGHTS], value, &device));

    let data = RidgeData { penalty: above.clone().into(), weights: below.clone().into() };
    let declared = Ridge { penalty: vector(-2.0), weights: vector(0.0) };
    let declared = penalties(Engine::new(declared, data, RidgeConfig::default())?, |program| &program.penalty)?;
    let data = ByHandData { penalty: above.into(), weights: below.into() };
    let by_hand = ByHand { penalty: vector(-2.0), weights: vector(0.0) };
    let by_hand = penalties(Engine::new(by_hand, data, ByHandConfig::default())?, |program| &program.penalty)?;

    let bits = |run: &[Vec<f32>]| run.iter().flatten().map(|value| value.to_bits()).collect::<Vec<_>>();
    let same = |equal: bool| if equal { "the same" } else { "different" };
    let rows = [
        ("schedule", Ridge::SCHEDULE == ByHand::SCHEDULE),
        ("numbers", RidgeConfig::default().to_json()? == ByHandConfig::default().to_json()?),
        ("penalties after 100 iterations, bit for bit", bits(&declared) == bits(&by_hand)),
    ];
    let table = rows.map(|(what, equal)| format!("{what:46}{}\n", same(equal))).concat();
    let curve = |weight: usize| {
        let value = |row: &Vec<f32>| f64::from(row[weight]);
        let points = by_hand.iter().zip(1..).map(|(row, step)| (f64::from(step), value(row))).collect();
        Curve {
            name: format!("weight {weight}, {}", if weight < WEIGHTS / 2 { "needed" } else { "not needed" }),
            points,
        }
    };
    let plot = Curves {
        title: "Penalties".into(),
        x: "iteration".into(),
        y: "logarithm".into(),
        curves: [0, 1, 6, 7].map(curve).into(),
        dots: None,
    };
    output.write("penalties.svg", plot.to_svg()?)?;
    output.write("levels.dot", Ridge::SCHEDULE.to_dot())?;
    options.setting.show(&format!("declared and by hand\n{table}\n{}", Ridge::SCHEDULE), &output)?;
    match rows.into_iter().find(|(_, equal)| !equal) {
        None => Ok(()),
        Some((what, _)) => Err(Failure::NotTheSame { what }),
    }
}

//! Multilevel optimization on Burn: declare levels, and train them with exact second derivatives.
//!
//! A network is trained inside the problem that tunes its data weights, hyperparameters or architecture. Each such
//! problem is a *level*; [`multilevel!`] declares them, the compiler checks how they depend on each other, and an
//! [`Engine`] runs the schedule that follows from it. Whoever has a training loop already keeps it, and asks a
//! [`Hypergradient`] for the gradients that it lacks; whoever wants derivatives of one loss asks [`Derivatives`].
//!
//! ```
//! use betty_runtime::{Engine, multilevel};
//! use burn::module::Param;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::{Device, Distribution, Tensor, activation::sigmoid};
//!
//! type Examples = (Tensor<2>, Tensor<2>);
//! type Logits = Param<Tensor<1>>; // how much each of 64 training examples counts
//!
//! fn weighted(model: &Linear, logits: &Logits, (x, y): Examples) -> Tensor<1> {
//!     (sigmoid(logits.val()).reshape([64, 1]) * (model.forward(x) - y).square()).mean()
//! }
//!
//! fn clean(_logits: &Logits, model: &Linear, (x, y): Examples) -> Tensor<1> {
//!     (model.forward(x) - y).square().mean()
//! }
//!
//! multilevel! {
//!     /// Learn which examples to trust.
//!     pub struct Reweighting;
//!
//!     level logits: Logits { lower: [model], batch: Examples, loss: clean, optimizer: adam(lr = 0.1) }
//!     level model: Linear {
//!         upper: [logits], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.1),
//!         unroll: 5, hypergradient: cg(iterations = 10, damping = 1e-3),
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::flex();
//! # device.seed(0);
//! let x = Tensor::<2>::random([64, 3], Distribution::Default, &device);
//! let y = x.clone().sum_dim(1); // the truth; half of the training targets are noise instead
//! let noise = Tensor::random([32, 1], Distribution::Uniform(-4.0, 4.0), &device);
//! let noisy = y.clone().slice_assign([0..32, 0..1], noise);
//! let problem = Reweighting {
//!     logits: Param::from_tensor(Tensor::zeros([64], &device)),
//!     model: LinearConfig::new(3, 1).init(&device),
//! };
//! let held_out = (x.clone().slice(32..64), y.slice(32..64));
//! let data = ReweightingData { logits: held_out.into(), model: (x, noisy).into() };
//! let mut engine = Engine::new(problem, data, ReweightingConfig::default())?;
//! engine.run(50)?;
//! let weights = sigmoid(engine.into_problem().logits.val());
//! let (noise, truth) = (weights.clone().slice(0..32).mean(), weights.slice(32..64).mean());
//! assert!(noise.into_scalar::<f32>() < truth.into_scalar::<f32>());
//! # Ok(())
//! # }
//! ```
//!
//! The book of the repository (`docs/`) has a tutorial, recipes, and what a run can do besides run. The language of
//! [`multilevel!`] is documented there.
//!
//! # Features
//!
//! - `cuda`: Burn's CUDA backend, `Device::cuda(0)`. Off by default.
//!
//! # Modules
//!
//! | module | what happens there |
//! |---|---|
//! | [`trace`] | a loss function becomes a static graph |
//! | [`nn`] | layers with running statistics |
//! | [`graph`] | graphs, their derivatives of any order, their clean-up |
//! | [`execute`] | a graph becomes a program on a device |
//! | [`derivatives`] | gradients and products with second derivatives of one loss, compiled |
//! | [`calculus`] | derivatives of one loss by themselves, for any module |
//! | [`linalg`] | solvers over linear operators |
//! | [`minimize`] | minimizers of functions that are known by values and gradients |
//! | [`optimizer`] | optimizer steps as graphs |
//! | [`solver`] | solvers of the user's own |
//! | [`hypergradient`] | the methods that differentiate a best response |
//! | [`distributed`] | many processes that follow one hypergradient |
//! | [`schedule`] | what runs in which order, and what each hypergradient passes through |
//! | [`config`] | a program's numbers, overridable at run time |
//! | [`engine`] | the schedule, executed on data |
//! | [`watch`] | observers: lines, tables, TensorBoard, the best parameters, the last checkpoints |
//! | [`file`](mod@file) | files that are whole or not there, folders that one run at a time writes into |

pub mod calculus;
mod checkpoint;
pub mod config;
mod data;
pub mod derivatives;
pub mod distributed;
pub mod engine;
mod error;
mod event;
pub mod execute;
pub mod file;
pub mod graph;
pub mod hypergradient;
mod json;
pub mod linalg;
mod loops;
pub mod minimize;
pub mod nn;
pub mod optimizer;
mod panic;
mod program;
mod report;
pub mod schedule;
pub mod solver;
mod steps;
pub mod trace;
pub mod watch;

pub use betty_macros::{Batch, multilevel};
pub use calculus::{
    CurvatureOperator, Derivatives, DerivativesError, Eigenvalues, Estimate, ParameterVector, SpectralDensity,
};
pub use config::*;
pub use engine::{
    BatchStream, Checkpoint, CheckpointError, Current, Engine, EngineError, Event, Explanation, Facts, Goal,
    HypergradientCheck, LearnedError, LevelCost, ModuleError, Multilevel, Observer, Report, ResponseCheck,
    ResponseCost, Score, ShardError, Shards, SolverError, StartError, StepsError, Stream, StreamError, StreamPosition,
    Unverified, Validation, Verdict, Warning,
};
pub use hypergradient::{HypergradientMethod, Preconditioning};
pub use loops::{Hypergradient, LevelGradient, Solve, Statistics};
pub use optimizer::Optimizer;
pub use schedule::{LevelSpec, Schedule, ScheduleError, Through};
pub use solver::{AnySolver, Solver};
pub use trace::{
    Batch, BatchMapper, LevelModule, LossValue, Measured, Number, Tracer, gradient, output, stop_gradient, untied,
};

/// What code written by `multilevel!` refers to. No part of it is stable.
#[doc(hidden)]
pub mod __private {
    pub use crate::report::write_report;
    pub use crate::trace::hash_plain;
    pub use burn::tensor::{Bool, Int, Tensor};
    pub use serde;
}

/// The programs of the README and of the manual are compiled and run as tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../betty-macros/docs/multilevel.md")]
    struct Manual;

    #[doc = include_str!("../../betty-macros/docs/batch.md")]
    struct BatchManual;
}

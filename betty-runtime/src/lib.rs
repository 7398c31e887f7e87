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
//! All off by default. Three add a device of Burn's, and two change how Burn makes kernels for it.
//!
//! - `cuda`: `Device::cuda(0)`, NVIDIA's.
//! - `rocm`: `Device::rocm(0)`, AMD's.
//! - `wgpu`: `Device::wgpu(DeviceKind::DefaultDevice)`, whatever Vulkan or Metal reach.
//! - `autotune`: each kernel is tried in several forms when it first meets a shape.
//! - `fusion`: operations entry by entry become one kernel.
//!
//! # Modules
//!
//! | module | what is there |
//! |---|---|
//! | [`calculus`] | derivatives of one loss by themselves, for any module |
//! | [`distributed`] | many processes that follow one hypergradient |
//! | [`error`] | what can stop a run, in families |
//! | [`execute`] | vectors of tensors, a graph as a program on a device, and what was run |
//! | [`file`](mod@file) | files that are whole or not there, folders that one run at a time writes into |
//! | [`graph`] | graphs and their derivatives of any order |
//! | [`hypergradient`] | the methods that differentiate a best response, for methods made of them |
//! | [`linalg`] | solvers over linear operators, and what prepares them |
//! | [`minimize`] | minimizers of functions that are known by values and gradients |
//! | [`nn`] | layers with running statistics |
//! | [`optimizer`] | optimizer steps as graphs |
//! | [`trace`] | a loss function becomes a static graph |
//! | [`watch`] | observers: lines, tables, TensorBoard, the best parameters, the last checkpoints |
//!
//! # What you can bring yourself
//!
//! | yours | in a program | trait, or function |
//! |---|---|---|
//! | an optimizer | `optimizer: custom(Mine, lr = 0.1)` | [`Optimizer`] |
//! | a solver of a level | `solver: custom(Mine)` | [`Solver`] |
//! | a hypergradient method | `hypergradient: custom(Mine)` | [`HypergradientMethod`] |
//! | a preconditioner of its systems | `preconditioner: custom(Mine)` | [`Preconditioning`] |
//! | an observer | `engine.attach(mine)` | [`Observer`] |
//! | data that depends on the program | a stream in the data | [`Stream::of_program`] |
//! | a training loop | none of it | [`Hypergradient`] |

pub mod calculus;
mod checkpoint;
mod config;
mod data;
mod derivatives;
pub mod distributed;
mod engine;
pub mod error;
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
mod schedule;
mod solver;
mod steps;
pub mod trace;
pub mod watch;

pub use betty_macros::{Batch, multilevel};
#[doc(inline)]
pub use calculus::{
    CurvatureOperator, Derivatives, DerivativesError, Eigenvalues, Estimate, ParameterVector, SpectralDensity,
};
pub use config::*;
pub use engine::{
    BatchStream, Checkpoint, Current, Engine, Event, Explanation, Facts, Goal, HypergradientCheck, LevelCost,
    LevelReport, Looks, Multilevel, Observer, Report, ResponseCheck, ResponseCost, Score, Shards, Stream, StreamError,
    StreamPosition, TotalGradient, Validation, Verdict, Warning,
};
#[doc(inline)]
pub use error::{
    AfterStepError, CheckpointError, EngineError, LearnedError, ModuleError, ShardError, SolverError, StartError,
    StepsError, Unverified,
};
#[doc(inline)]
pub use execute::Vector;
#[doc(inline)]
pub use graph::{Graph, GraphError, NodeId};
#[doc(inline)]
pub use hypergradient::{
    Budget, HypergradientError, HypergradientMethod, Preconditioning, ProductError, Products, Solved, System,
    SystemPreconditioner,
};
#[doc(inline)]
pub use linalg::{Coordinates, InnerProductSpace, LinearOperator, Preconditioner};
pub use loops::{Hypergradient, LevelGradient, Solve, Statistics};
#[doc(inline)]
pub use optimizer::{Coefficient, Optimizer, UpdateInputs, Updated, penalized, spread_like};
pub use schedule::{LevelSpec, Schedule, ScheduleError, Through};
pub use solver::{AnySolver, Solver, SolverFailure};
#[doc(inline)]
pub use trace::{
    Batch, BatchMapper, LevelModule, LossValue, Measured, Number, Step, Tracer, gradient, output, stop_gradient, untied,
};

/// What code written by `multilevel!` refers to, and what the tests of this crate look at. No part of it is stable.
#[doc(hidden)]
pub mod __private {
    pub use crate::config::integer::Integer;
    pub use crate::config::program::levels_to_json;
    pub use crate::report::write_report;
    pub use crate::trace::hash_plain;
    pub use crate::trace::{AsWritten, Written};
    pub use burn::tensor::{Bool, Device, Int, Tensor};
    pub use serde;

    pub mod derivatives {
        pub use crate::derivatives::*;
    }

    pub mod graph {
        pub use crate::graph::image::Image;
        pub use crate::graph::transform::{
            Vectorized, dependents, differentiated, expand_products, for_each, products_as_given, products_in, replay,
            vectorize,
        };
    }

    pub mod hypergradient {
        pub use crate::hypergradient::best_response::BestResponse;
        pub use crate::hypergradient::blocks::Blocks;
        pub use crate::hypergradient::direction::Direction;
        pub use crate::hypergradient::directions::Directions;
        pub use crate::hypergradient::evolution::Evolution;
        pub use crate::hypergradient::forward::Forward;
        pub use crate::hypergradient::forward_gradient::ForwardGradient;
        pub use crate::hypergradient::inexact::Inexact;
        pub use crate::hypergradient::joint::Joint;
        pub use crate::hypergradient::mode::Mode;
        pub use crate::hypergradient::response::Response;
        pub use crate::hypergradient::sama::NextStep;
        pub use crate::hypergradient::trajectory::Trajectory;
    }
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

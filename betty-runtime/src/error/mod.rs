//! Everything that can stop a training run.
//!
//! A program matches on what happened; what it prints says what to do.
//!
//! ```
//! use betty_runtime::error::{EngineError, ModuleError};
//! # use betty_runtime::{Engine, Stream, multilevel};
//! # use burn::module::{Module, Param};
//! # use burn::tensor::{Device, Tensor};
//! # type Point = Param<Tensor<1>>;
//! # fn loss(x: &Point, target: Tensor<1>) -> Tensor<1> {
//! #     (x.val() - target).square().sum()
//! # }
//! # multilevel! { struct Alone; level x: Point { batch: Tensor<1>, loss: loss, optimizer: sgd(lr = 0.1) } }
//! # fn main() {
//! # let target = Tensor::<1>::ones([1], &Device::flex());
//! let still = Param::from_tensor(target.clone()).no_grad(); // nothing to train
//! let data = AloneData { x: Stream::constant(target) };
//! let refused = Engine::new(Alone { x: still }, data, AloneConfig::default()).map(drop);
//! assert!(matches!(refused, Err(EngineError::Module(ModuleError::NothingToTrain { level })) if level == "x"));
//! # }
//! ```

mod after_step;
mod checkpoint;
mod learned;
mod module;
pub mod rules;
mod shard;
mod solver;
mod start;
mod steps;

use std::error::Error;

pub use after_step::AfterStepError;
pub use checkpoint::CheckpointError;
pub use learned::LearnedError;
pub use module::ModuleError;
pub use shard::ShardError;
pub use solver::SolverError;
pub use start::StartError;
pub use steps::StepsError;

use crate::config::ConfigError;
use crate::derivatives::LossError;
pub use crate::derivatives::Unverified;
use crate::distributed::DistributedError;
use crate::execute::ReadError;
use crate::graph::GraphError;
use crate::hypergradient::HypergradientError;
use crate::trace::TraceError;

/// Any error of a user's data source.
pub type DataError = Box<dyn Error + Send + Sync>;

/// A run could not start or go on. The engine keeps the last good state: parameters and optimizer states are those
/// after the last completed step.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A number in the configuration is out of range or missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A loss could not be traced.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A run of no iterations was asked for.
    #[error("a run needs at least one iteration, but was asked for none")]
    NoIterations,
    /// A stream ended before it gave a first batch.
    #[error("level `{level}` has no data: its stream ended before the first batch")]
    EmptyData {
        /// The level.
        level: String,
    },
    /// A stream ended during the run.
    #[error(
        "level `{level}` ran out of data after {batches} batches; use `Stream::epochs` or `Stream::loader` to go over \
         the data again, or ask for fewer iterations"
    )]
    OutOfData {
        /// The level.
        level: String,
        /// How many batches came.
        batches: u64,
    },
    /// A data source failed.
    #[error("the data of level `{level}` could not be read: {source}")]
    Data {
        /// The level.
        level: String,
        /// What the data source said.
        source: DataError,
    },
    /// A tensor is not where the parameters are.
    #[error("{what} of level `{level}` is on {found}, but the program runs on {expected}; move it with `to_device`")]
    WrongDevice {
        /// The level.
        level: String,
        /// Which tensor.
        what: String,
        /// Where it is.
        found: String,
        /// Where it must be.
        expected: String,
    },
    /// A device does not compute in the type that a level asks for.
    #[error(
        "level `{level}` asks for `precision: {precision}`, but {device} does not compute in it; leave the precision out, or \
         choose another"
    )]
    UnsupportedPrecision {
        /// The level.
        level: String,
        /// The type.
        precision: String,
        /// The device.
        device: String,
    },
    /// A tensor has a type that its device has no numbers of.
    #[error(
        "{what} of level `{level}` is {dtype}, in which {device} does not compute; make it f32, or take another device"
    )]
    UnsupportedType {
        /// The level.
        level: String,
        /// Which tensor.
        what: String,
        /// Its type.
        dtype: String,
        /// The device.
        device: String,
    },
    /// Our gradient is not Burn's.
    #[error(
        "the gradient of level `{level}` differs from Burn's autodiff by {difference:.1e} at `{parameter}`{place} (rounding \
         explains {tolerance:.0e}); most likely its loss uses `detach`, `freeze` or `no_grad`, which leave no trace in the \
         recorded graph: use `betty_runtime::stop_gradient` instead, and `betty_runtime::nn::inference` for a module as in inference"
    )]
    Verification {
        /// The level.
        level: String,
        /// Path of the parameter with the largest difference.
        parameter: String,
        /// Difference relative to the larger of both gradients.
        difference: f64,
        /// What rounding can explain.
        tolerance: f64,
        /// Where that was seen, if not at the parameters as they are.
        place: &'static str,
    },
    /// A gradient could not be compared with Burn's.
    #[error(
        "the gradient of level `{level}` could not be compared with Burn's autodiff in {tries} tries: {source}; \
         `Engine::allow_unverified` lets it be used all the same"
    )]
    Unverified {
        /// The level.
        level: String,
        /// How often it was tried.
        tries: u32,
        /// Why.
        source: Unverified,
    },
    /// No hypergradient passes along an edge of the program, because the losses do not depend on what it leads to.
    #[error(
        "`{list}` of level `{level}` lists `{other}`, but its loss depends on nothing in `{other}`, so no hypergradient passes \
         between them; read a parameter of it in the loss of `{level}`, take `{other}` out of the list, or say that the edge is for \
         later: `engine.unread(\"{level}\", \"{other}\")`"
    )]
    Unread {
        /// The level.
        level: String,
        /// The level that it lists.
        other: String,
        /// The list, `upper` or `lower`.
        list: &'static str,
    },
    /// No edge leads from one level to another.
    #[error(
        "level `{level}` lists `{other}` neither under `upper` nor under `lower`, so there is no edge to be used later"
    )]
    NoEdge {
        /// The level.
        level: String,
        /// The other level.
        other: String,
    },
    /// A loss or gradient is infinite or not a number.
    #[error(
        "the {quantity} of level `{level}` is {value} at step {step}, and the parameters of the step before are kept: {}",
        .origin.as_deref().unwrap_or(
            "look for NaN in the data, lower the learning rate, or clip gradients with `clip: norm(…)`"
        )
    )]
    NonFinite {
        /// The level.
        level: String,
        /// The level's step, counted from 1.
        step: u64,
        /// What is not finite.
        quantity: &'static str,
        /// Its value.
        value: f64,
        /// What made it, the first operation or what was given to the loss, and what to do; if that could be found.
        origin: Option<String>,
    },
    /// A step would have made a parameter, or a state of the optimizer, infinite or not a number.
    #[error(
        "step {step} of level `{level}` would make {what} {value}, and was not taken: the parameters of the step before are \
         kept. It goes along a gradient of norm {norm:.1e}{}; lower the learning rate, raise the optimizer's `epsilon`, or \
         clip gradients with `clip: norm(…)`", .rate.map_or_else(String::new, |rate| format!(" at learning rate {rate:.1e}"))
    )]
    NonFiniteStep {
        /// The level.
        level: String,
        /// The level's step, counted from 1.
        step: u64,
        /// The parameter, state or running statistic.
        what: String,
        /// The value it would have.
        value: f64,
        /// Norm of the gradient, before clipping.
        norm: f64,
        /// The learning rate, unless it is learned.
        rate: Option<f64>,
    },
    /// A kernel, or code that the user gave, panicked.
    #[error("level `{level}` cannot take step {step}: {reason}. The state after the last completed step is kept")]
    Panicked {
        /// The level.
        level: String,
        /// The level's step, counted from 1.
        step: u64,
        /// The operation, if it was one, and what the panic said.
        reason: String,
    },
    /// A device has no memory left.
    #[error(
        "level `{level}` ran out of memory, and the state after the last completed step is kept: its largest program is planned \
         to hold {planned} bytes at once, beside parameters, states and kept steps ({reason}); use smaller batches, averaged by \
         `accumulate`, `unrolled(memory = …)`, `vectorize: false`, or `precision: bf16`"
    )]
    OutOfMemory {
        /// The level.
        level: String,
        /// The most bytes that one of its programs was planned to hold at once.
        planned: usize,
        /// What the device said.
        reason: String,
    },
    /// An observer panicked.
    #[error("an observer panicked in iteration {iteration}, which was completed all the same: {reason}")]
    Observer {
        /// The iteration, counted from 1.
        iteration: u64,
        /// What the panic said.
        reason: String,
    },
    /// An observer could not do what it is for.
    #[error("an observer failed after iteration {iteration}: {source}")]
    ObserverFailed {
        /// The last completed iteration, counted from 1; 0 before the first.
        iteration: u64,
        /// What it said; those of [`watch`](crate::watch) say a [`WatchError`](crate::watch::WatchError).
        source: DataError,
    },
    /// An edit that failed left a program that cannot run.
    #[error("the last edit made a program that cannot run: {reason}; edit it again")]
    EditFailed {
        /// What is wrong with it.
        reason: String,
    },
    /// A hypergradient method failed.
    #[error("the hypergradient of level `{level}` through `{through}` failed at step {step}: {source}")]
    Hypergradient {
        /// The upper level.
        level: String,
        /// The lower level.
        through: String,
        /// The upper level's step, counted from 1.
        step: u64,
        /// Why.
        source: Box<HypergradientError>,
    },
    /// A level cannot be differentiated by the method that is chosen for it.
    #[error("level `{level}` cannot be differentiated as configured: {source}")]
    Method {
        /// The level.
        level: String,
        /// Why.
        source: Box<HypergradientError>,
    },
    /// The ranks of a distributed run cannot go on together.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// Batches that depend on the program, for tasks that are computed together.
    #[error(
        "the batches of level `{level}` depend on the program as it is when they are drawn, but level `{above}` computes all its \
         tasks together, after all of them have been drawn; set `vectorize` of `{above}` to `false`"
    )]
    DataTogether {
        /// The level.
        level: String,
        /// The level whose tasks they are.
        above: String,
    },
    /// A scheduler for a level that has no learning rate.
    #[error("level `{level}` cannot have a scheduler, because {reason}")]
    NoRate {
        /// The level.
        level: String,
        /// Why it has none, and what to do.
        reason: String,
    },
    /// A hypergradient for which there is no reference.
    #[error(
        "the hypergradient of level `{level}` passes through {what} of `{through}`, of which the exact derivative of a best \
         response knows nothing, so there is none to compare it with; compare it with differences of whole runs"
    )]
    NoReference {
        /// The level.
        level: String,
        /// The level whose steps are differentiated.
        through: String,
        /// What of it.
        what: String,
    },
    /// An optimizer of the user's own does not answer what a step is made of.
    #[error("the optimizer of level `{level}` makes no step: {source}")]
    Optimizer {
        /// The level.
        level: String,
        /// Why.
        source: GraphError,
    },
    /// A level without a hypergradient.
    #[error("the gradient of level `{level}` is only direct: it reads no best response that depends on it")]
    NoHypergradient {
        /// The level.
        level: String,
    },
    /// No level of this name.
    #[error("no level named `{name}`; the levels are {levels}")]
    UnknownLevel {
        /// The name asked for.
        name: String,
        /// All names.
        levels: String,
    },
    /// A derivative could not be built.
    #[error("a derivative of level `{level}` could not be built: {source}")]
    Graph {
        /// The level.
        level: String,
        /// Why.
        source: GraphError,
    },
    /// A number could not be read from the device.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A checkpoint could not be written or taken over.
    #[error(transparent)]
    Checkpoint(Box<CheckpointError>),
    /// The user's validation function failed.
    #[error("validation failed at iteration {iteration}: {source}")]
    Validation {
        /// The iteration, counted from 1.
        iteration: u64,
        /// What it said.
        source: DataError,
    },
    /// A module cannot be the parameters of a level.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// A level cannot start where it shall.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A number of an optimizer cannot be learned by the level above as the program says.
    #[error(transparent)]
    Learned(#[from] LearnedError),
    /// A solver of the user's own did not find the best response of its level.
    #[error(transparent)]
    Solver(#[from] SolverError),
    /// Ranks of a distributed run cannot share the examples of a batch.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A hypergradient passes through steps that are not at hand.
    #[error(transparent)]
    Steps(#[from] StepsError),
    /// A function cannot follow the steps of a level.
    #[error(transparent)]
    AfterStep(#[from] AfterStepError),
}

crate::report::debug_as_report!(EngineError);

impl From<CheckpointError> for EngineError {
    fn from(error: CheckpointError) -> Self {
        EngineError::Checkpoint(Box::new(error))
    }
}

impl From<LossError> for EngineError {
    fn from(error: LossError) -> Self {
        match error {
            LossError::Read(error) => error.into(),
            LossError::Distributed(error) => error.into(),
        }
    }
}

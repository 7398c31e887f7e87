//! Everything that can stop a training run.

mod checkpoint;

use std::error::Error;

pub use checkpoint::CheckpointError;

use crate::config::ConfigError;
use crate::derivatives::LossError;
pub use crate::derivatives::Unverified;
use crate::distributed::DistributedError;
use crate::execute::ReadError;
use crate::graph::GraphError;
use crate::hypergradient::HypergradientError;
use crate::solver::SolverFailure;
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
    /// A level without trainable parameters.
    #[error(
        "level `{level}` has no trainable parameter: every parameter of its module is frozen or left out by `train` and \
         `freeze`, or there is none"
    )]
    NothingToTrain {
        /// The level.
        level: String,
    },
    /// Places that are one parameter hold different tensors.
    #[error(
        "`{one}` and `{other}` of level `{level}` are one parameter, because they have one identifier, but they differ in \
         {differ}; put the same tensor in both, or make two parameters of them with `betty_runtime::untied`"
    )]
    TiedApart {
        /// The level.
        level: String,
        /// Path of the first place.
        one: String,
        /// Path of the other.
        other: String,
        /// In what they differ.
        differ: &'static str,
    },
    /// `train` or `freeze` name only some of the places of one parameter.
    #[error(
        "`{moved}` and `{still}` of level `{level}` are one parameter, because they have one identifier, but `train` and \
         `freeze` let only `{moved}` move; say the same of both, or make two parameters of them with `betty_runtime::untied`"
    )]
    TiedSelection {
        /// The level.
        level: String,
        /// Path of the place that would move.
        moved: String,
        /// Path of the place that would stand still.
        still: String,
    },
    /// Our gradient is not Burn's.
    #[error(
        "the gradient of level `{level}` differs from Burn's autodiff by {difference:.1e} at `{parameter}`{place} (rounding \
         explains {tolerance:.0e}); most likely its loss uses `detach` or `inner`, which leave no trace in the recorded \
         graph: use `betty_runtime::stop_gradient` instead"
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
    /// A gradient through steps that have not been taken.
    #[error(
        "the hypergradient passes through the steps of level `{level}`, but it has not taken any since the engine was \
         made, edited or resumed; run an iteration first"
    )]
    NoSteps {
        /// The level.
        level: String,
    },
    /// A gradient through steps of tasks that are computed together.
    #[error(
        "the hypergradient of level `{above}` passes through the steps of `{level}`, which are computed together for all tasks, \
         so that none is kept to look back on; set `vectorize` of `{above}` to `false` to look at single hypergradients"
    )]
    StepsTogether {
        /// The level.
        level: String,
        /// The level whose tasks they are.
        above: String,
    },
    /// A gradient that passes through a level by a method that needs what somebody else's loop does.
    #[error(
        "level `{level}` is differentiated by `{method}`, which needs {needs}, and your own loop keeps those for itself; choose a \
         method that needs its parameters only, `hypergradient: cg` for instance, also by the config, or let `Engine` take the \
         steps"
    )]
    StepsElsewhere {
        /// The level.
        level: String,
        /// Its method.
        method: &'static str,
        /// What the method needs.
        needs: &'static str,
    },
    /// Running statistics that do not belong to a module.
    #[error(
        "the module has no running statistic `{path}` of shape {shape:?}; give the module of the level whose loss moved it"
    )]
    OtherModule {
        /// Where the statistic is in the level's module.
        path: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The ranks of a distributed run cannot go on together.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// A batch of a distributed run that does not say how many examples it holds.
    #[error(
        "how many examples a batch of level `{level}` holds is not known, because its tensors have different leading dimensions:          mark the field whose first dimension counts them with `#[batch(examples)]`, or say that all ranks have the same batches:          `engine.replicated(\"{level}\")`"
    )]
    UnknownExamples {
        /// The level.
        level: String,
    },
    /// A rank of a distributed run whose share of a batch is empty.
    #[error("the batch of level `{level}` holds no example on rank {rank}; give every rank at least one")]
    NoExamples {
        /// The level.
        level: String,
        /// The first rank without any.
        rank: usize,
    },
    /// The batches of a level are said to be the same on all ranks, and are not.
    #[error(
        "the batches of level `{level}` are said to be the same on all ranks, but that of rank {rank} is not that of rank 0; give \
         all ranks the same stream, or take `replicated` away so that they count as shares of one batch"
    )]
    NotReplicated {
        /// The level.
        level: String,
        /// The first rank with another batch.
        rank: usize,
    },
    /// The shares of a batch cannot be put together.
    #[error(
        "the shares of the batch of level `{level}` cannot be joined to compare its loss with: {reason}; let the first dimension of \
         every tensor count examples, or say that all ranks have the same batches: `engine.replicated(\"{level}\")`"
    )]
    NotJoinable {
        /// The level.
        level: String,
        /// Why.
        reason: String,
    },
    /// A loss is not the mean of the losses of the shares of its batch.
    #[error(
        "the {what} of level `{level}` on a batch of all ranks differs by {difference:.1e} from the mean of what ranks have on their \
         shares, so that ranks cannot share its examples: let the loss be a mean over examples (no sum, no weights that are \
         normalised over the batch, no mean over what is left by a mask), or let all ranks have the same batches: \
         `engine.replicated(\"{level}\")`"
    )]
    NotAMean {
        /// The level.
        level: String,
        /// The loss, or the gradient in the parameters of a level.
        what: String,
        /// The difference, relative to the size of what ranks have.
        difference: f64,
    },
    /// Something that ranks cannot share, because it is not linear in a loss.
    #[error("ranks cannot share the examples of level `{level}`, because {reason}")]
    NotShared {
        /// The level.
        level: String,
        /// What is not linear, and what to do.
        reason: String,
    },
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
    /// A level cannot start from another because their modules differ.
    #[error(
        "level `{level}` cannot start from `{from}`: {ours} would get the value of {theirs}; give both the same module"
    )]
    StartMismatch {
        /// The level.
        level: String,
        /// The level that it starts from.
        from: String,
        /// The first tensor that does not fit, of the level.
        ours: String,
        /// The first tensor that does not fit, of the other.
        theirs: String,
    },
    /// A level starts from another that has other parameters, so that copying them could not be differentiated.
    #[error(
        "level `{level}` cannot start from `{from}`: `{parameter}` is trained in `{trained}` only; give both the same \
         parameters, by `train` and `freeze` for instance"
    )]
    StartSelection {
        /// The level.
        level: String,
        /// The level that it starts from.
        from: String,
        /// Path of the first tensor that only one of them trains.
        parameter: String,
        /// The one that does.
        trained: String,
    },
    /// The parameters that a number of an optimizer is made of are not there, or do not fit the level's parameters.
    #[error(
        "`{place}` is `{number}`, but {found}; it takes one parameter of shape [1], or one of its shape, or of shape [1], \
         for each parameter of `{level}`: {wanted}"
    )]
    LearnedMismatch {
        /// Where the number stands.
        place: String,
        /// The number, as it is written.
        number: String,
        /// What there is at its path, or which paths there are.
        found: String,
        /// The level.
        level: String,
        /// Its parameters.
        wanted: String,
    },
    /// A learned number that begins out of its range.
    #[error(
        "`{place}` is `{number}`, which begins at {value}; it must be {expected}: begin elsewhere, or use a transform that \
         stays in the range: `exp`, `softplus` or `sigmoid`"
    )]
    LearnedOutOfRange {
        /// Where the number stands.
        place: String,
        /// The number, as it is written.
        number: String,
        /// The first value that is out of range.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A scheduler for a learning rate that is learned.
    #[error(
        "level `{level}` cannot have a scheduler, because its learning rate is learned: `{number}`; schedule the level that \
         learns it, or fix the rate"
    )]
    LearnedRate {
        /// The level.
        level: String,
        /// The learning rate, as it is written.
        number: String,
    },
    /// A scheduler for a level that has no learning rate.
    #[error(
        "level `{level}` cannot have a scheduler, because its solver has no learning rate; give the level an optimizer"
    )]
    NoRate {
        /// The level.
        level: String,
    },
    /// A hypergradient for which there is no reference.
    #[error(
        "the hypergradient of level `{level}` passes through {what} of `{through}`, on which no best response depends, so \
         there is no exact one to compare it with; compare it with differences of whole runs"
    )]
    NoReference {
        /// The level.
        level: String,
        /// The level whose steps are differentiated.
        through: String,
        /// What of it.
        what: String,
    },
    /// The config asks for a method of the user's own that the program does not name.
    #[error(
        "the config of level `{level}` asks for the method `custom`, but the program does not say which: \
         `hypergradient: custom(MyMethod)`"
    )]
    NoCustomMethod {
        /// The level.
        level: String,
    },
    /// An optimizer of the user's own does not answer what a step is made of.
    #[error("the optimizer of level `{level}` makes no step: {source}")]
    Optimizer {
        /// The level.
        level: String,
        /// Why.
        source: GraphError,
    },
    /// The config asks for an optimizer of the user's own that the program does not name.
    #[error(
        "the config of level `{level}` asks for the optimizer `custom`, but the program does not say which: \
         `optimizer: custom(MyOptimizer, lr = 0.1)`"
    )]
    NoCustomOptimizer {
        /// The level.
        level: String,
    },
    /// The config asks for a solver of the user's own that the program does not name.
    #[error(
        "the config of level `{level}` asks for the solver `custom`, but the program does not say which: `solver: \
         custom(MySolver)`"
    )]
    NoCustomSolver {
        /// The level.
        level: String,
    },
    /// A solver of the user's own found no best response.
    #[error("the solver of level `{level}` failed at step {step}: {source}")]
    SolverFailed {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// What the solver said.
        source: SolverFailure,
    },
    /// A solver of the user's own answered another module.
    #[error(
        "the solver of level `{level}` answered {reason} at step {step}; let it answer the level's module with other values in \
         its parameters"
    )]
    SolverAnswer {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A solver of the user's own answered a point that is no best response.
    #[error(
        "the solver of level `{level}` answered a point that is not stationary at step {step}: the gradient of the level's loss \
         has norm {norm:.1e} there, which may be {tolerance:.1e}; solve for the same loss on the same batch, and more precisely, \
         or raise `tolerance` of `custom`; a solver on several ranks has to solve for the batch of all, which it sees with \
         `engine.replicated(\"{level}\")`"
    )]
    NotStationary {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// The norm of the gradient.
        norm: f64,
        /// The largest norm that is accepted.
        tolerance: f64,
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

impl EngineError {
    /// Whether a stream did not give a batch.
    pub(crate) fn is_of_data(&self) -> bool {
        matches!(self, Self::EmptyData { .. } | Self::OutOfData { .. } | Self::Data { .. })
    }
}

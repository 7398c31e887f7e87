//! What can go wrong between a loss function and its graph.

use crate::graph::GraphError;

/// An operation that a trace contains and betty has no import for.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{operation}` has no derivative rule yet; {remedy}")]
pub struct Unsupported {
    /// The operation as Burn names it.
    pub operation: String,
    /// What can be done instead.
    pub remedy: &'static str,
}

/// Tracing a loss failed. Every variant names the level whose loss it is; a loss by itself has an empty name.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The loss looked at a number while it was being recorded.
    #[error(
        "{} reads the value of a tensor{place}, but a loss is recorded once as a graph and has no values then; {remedy}",
        loss_of(.level)
    )]
    ReadsValue {
        /// The level.
        level: String,
        /// In which call, and where that stands, as far as it is known.
        place: String,
        /// What can be done instead.
        remedy: &'static str,
    },
    /// The loss moved a tensor to another device.
    #[error(
        "{} moves a tensor to another device{place}, which cannot be recorded; move data before they \
         enter the batch (burn's `BatchNorm` does this while it trains: `betty_runtime::nn::BatchNorm::from` turns it into \
         one with the same parameters that can be recorded)",
        loss_of(.level)
    )]
    MovesDevice {
        /// The level.
        level: String,
        /// In which call, and where that stands, as far as it is known.
        place: String,
    },
    /// The loss used a tensor that was made outside of it.
    #[error(
        "{} uses a tensor{place} that is neither part of a module nor of the batch; put it into the batch \
         or into a module, as a parameter or a plain field without `#[module(skip)]`, or create it inside the loss on the \
         device of an argument",
        loss_of(.level)
    )]
    ForeignTensor {
        /// The level.
        level: String,
        /// In which call, and where that stands, as far as it is known.
        place: String,
    },
    /// The loss used Burn's autodiff inside itself.
    #[error(
        "{} enters or leaves Burn's autodiff{place}, which cannot be recorded; use `betty_runtime::stop_gradient` to hold a value \
         constant, `betty_runtime::nn::inference` for a module as in inference (in the place of `Module::valid`), and \
         `betty_runtime::gradient` for a derivative inside of a loss",
        loss_of(.level)
    )]
    UsesAutodiff {
        /// The level.
        level: String,
        /// In which call, and where that stands, as far as it is known.
        place: String,
    },
    /// The loss makes a parameter, or a leaf of Burn's autodiff, of what it computes.
    #[error(
        "{} wants Burn to take what it computes for a parameter of its own{place}; give a layer computed weights by \
         `param.map(|_| weights)` or `Param::initialized(ParamId::new(), weights)` instead of `Param::from_tensor`, and leave \
         `require_grad` out: derivatives go through what is computed",
        loss_of(.level)
    )]
    ComputedParameter {
        /// The level.
        level: String,
        /// In which call, and where that stands, as far as it is known.
        place: String,
    },
    /// The loss updates a running state of Burn's in the module of its own level.
    #[error(
        "{} updates `{path}`, a `RunningState` of Burn's, whose updates cannot be recorded, so that it would stay what it is; use \
         `betty_runtime::nn::RunningStatistic`, which is the same in a record, and whose updates can",
        loss_of(.level)
    )]
    UpdatesState {
        /// The level.
        level: String,
        /// Where the state is in its module.
        path: String,
    },
    /// The loss computes with two types of floats, or of integers, at once.
    #[error(
        "{} mixes types in {operation}{place}: it has {types}; bring both sides to one type with \
         `cast`, or load data and parameters in the same",
        loss_of(.level)
    )]
    MixedTypes {
        /// The level.
        level: String,
        /// The operation, if it is known.
        operation: String,
        /// The line of the loss, if it is known.
        place: String,
        /// The types that the loss has, and from where.
        types: String,
    },
    /// The loss panicked for a reason of its own.
    #[error("{} panicked while it was traced: {message}", loss_of(.level))]
    Panicked {
        /// The level.
        level: String,
        /// The panic's message.
        message: String,
    },
    /// A metric of a loss has more than one element, or none.
    #[error(
        "the metric `{metric}` of {} has shape {shape:?}; reduce it to one number, with `mean` for example",
        loss_of(.level)
    )]
    MetricNotOneNumber {
        /// The level.
        level: String,
        /// The metric.
        metric: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The loss is not one float.
    #[error("{} has shape {shape:?}, but a loss is one number: take its mean or sum", loss_of(.level))]
    NotOneNumber {
        /// The level.
        level: String,
        /// The loss's shape.
        shape: Vec<usize>,
    },
    /// The loss depends on no parameter of its own level.
    #[error(
        "{} does not depend on the parameters of {}, so they could never be trained", loss_of(.level),
        if .level.is_empty() { "the module".to_owned() } else { format!("`{level}`") }
    )]
    Disconnected {
        /// The level.
        level: String,
    },
    /// The loss reads parameters, but its derivative is zero wherever it exists.
    #[error(
        "{} has no derivative: it counts, compares or rounds what it reads of the parameters, or \
         detaches it; only `evolution` at a level below goes without, by the values of the loss",
        loss_of(.level)
    )]
    NoDerivative {
        /// The level.
        level: String,
    },
    /// A derivative inside of the loss by a tensor that the loss makes and reads nowhere.
    #[error(
        "{} takes `gradient` by a tensor that it makes and that nothing reads, so the answer would be zero; take the tensor before, and \
         compute with that very one: a clone is the same tensor, what `slice`, `stopped` or a second `val` of a computed parameter \
         return is another",
        loss_of(.level)
    )]
    GradientByUnread {
        /// The level.
        level: String,
    },
    /// An operation without a rule.
    #[error("{} uses an operation that cannot be differentiated here: {source}", loss_of(.level))]
    Unsupported {
        /// The level.
        level: String,
        /// The operation.
        source: Unsupported,
    },
    /// Recorded shapes or types do not fit together.
    #[error("{} was recorded as an invalid graph: {source}", loss_of(.level))]
    Graph {
        /// The level.
        level: String,
        /// What does not fit.
        source: GraphError,
    },
    /// Burn's capture refused the recording.
    #[error("{} could not be recorded: {message}", loss_of(.level))]
    Capture {
        /// The level.
        level: String,
        /// Burn's reason.
        message: String,
    },
}

impl TraceError {
    /// What a function did that cannot be recorded, for a sentence that begins with the function.
    pub(crate) fn deed(&self) -> String {
        match self {
            Self::ReadsValue { place, .. } => format!("reads the value of a tensor{place}"),
            Self::MovesDevice { place, .. } => format!("moves a tensor to another device{place}"),
            Self::ForeignTensor { place, .. } => {
                format!("has a tensor{place} that it was not given and did not make on the device of what it was given")
            }
            Self::UsesAutodiff { place, .. } => format!("enters or leaves Burn's autodiff{place}"),
            Self::ComputedParameter { place, .. } => format!("makes a parameter of what it computes{place}"),
            Self::Panicked { message, .. } => format!("panicked: {message}"),
            Self::Capture { message, .. } => format!("was refused by Burn's capture: {message}"),
            Self::Unsupported { source, .. } => format!("uses an operation that is not known: {source}"),
            Self::Disconnected { .. } => "depends on no parameter of the level".to_owned(),
            other => format!("cannot be read: {other}"),
        }
    }
}

/// Whose loss it is.
fn loss_of(level: &str) -> String {
    if level.is_empty() { "the loss".to_owned() } else { format!("the loss of level `{level}`") }
}

crate::report::debug_as_report!(Unsupported, TraceError);

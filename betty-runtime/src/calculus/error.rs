//! Why a derivative of a loss by itself cannot be had.

use burn::tensor::{DType, Device};

use crate::derivatives::{LossError, Unverified, VerificationError};
use crate::execute::ReadError;
use crate::graph::GraphError;
use crate::linalg::SolveError;
use crate::trace::TraceError;

/// A derivative of a loss that cannot be had.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DerivativesError {
    /// The loss could not be recorded.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A module without parameters that are trained.
    #[error("the module has no trainable parameter to differentiate by: each is frozen, or there is none")]
    NoParameters,
    /// Places that are one parameter hold different tensors.
    #[error(
        "`{one}` and `{other}` are one parameter, because they have one identifier, but they differ in {differ}; put the same \
         tensor in both, or make two parameters of them with `betty_runtime::untied`"
    )]
    TiedApart {
        /// Path of the first place.
        one: String,
        /// Path of the other.
        other: String,
        /// In what they differ.
        differ: &'static str,
    },
    /// A tensor is not where the parameters are.
    #[error("{what} is on {found}, but the module's parameters are on {expected}; move it with `to_device`")]
    WrongDevice {
        /// Which tensor.
        what: String,
        /// Where it is.
        found: String,
        /// Where it must be.
        expected: String,
    },
    /// A tensor has a type that its device has no numbers of.
    #[error("{what} is {dtype}, in which {device} does not compute; make it f32, or take another device")]
    UnsupportedType {
        /// Which tensor.
        what: String,
        /// Its type.
        dtype: String,
        /// The device.
        device: String,
    },
    /// A module in which other tensors stand than in the one that the loss was recorded for.
    #[error("the module is not like the one that was recorded: {what}; make a new `Derivatives` for it")]
    OtherModule {
        /// The first difference.
        what: String,
    },
    /// Our gradient is not Burn's.
    #[error(
        "the gradient differs from Burn's autodiff by {difference:.1e} at `{parameter}`{place} (rounding explains \
         {tolerance:.0e}); most likely the loss uses `detach`, `freeze` or `no_grad`, which leave no trace in the recorded graph: \
         use `betty_runtime::stop_gradient` instead, and `betty_runtime::nn::inference` for a module as in inference"
    )]
    Verification {
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
        "the gradient could not be compared with Burn's autodiff: {0}; `Derivatives::allow_unverified` lets it be used all the \
         same"
    )]
    Unverified(#[source] Unverified),
    /// A number of a solver that is none of those that it takes.
    #[error("`{option}` is {value}; it must be {expected}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A vector that has not the shape of the module's parameters.
    #[error(
        "the vector does not belong to the module's parameters: {what}; make it from the module, with `ParameterVector::of` for \
         example"
    )]
    OtherParameters {
        /// The first difference.
        what: String,
    },
    /// Another number of entries than parameters have.
    #[error(
        "{found} numbers do not fit {expected} entries of parameters; give one for each, parameter after parameter"
    )]
    Length {
        /// How many were given.
        found: usize,
        /// How many there are.
        expected: usize,
    },
    /// No parameter has this path.
    #[error("no parameter named `{path}`; there are {known}")]
    UnknownParameter {
        /// The path asked for.
        path: String,
        /// All paths.
        known: String,
    },
    /// A parameter with another number of dimensions.
    #[error("`{path}` has shape {shape:?}, which is no tensor of rank {rank}; ask for one of rank {}", shape.len())]
    Rank {
        /// Path of the parameter, or `output`.
        path: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The rank asked for.
        rank: usize,
    },
    /// A loss without a marked output.
    #[error(
        "the loss does not say what its model's output is: mark it with `betty_runtime::output(model.forward(x))`, or use \
         `Derivatives::of_output`"
    )]
    NoOutput,
    /// A loss with several of them.
    #[error(
        "the loss marks {count} tensors as the output of its model; mark one, joined with `Tensor::cat` if need be"
    )]
    SeveralOutputs {
        /// How many.
        count: usize,
    },
    /// A cotangent that does not look like the output.
    #[error(
        "the output has shape {shape:?} and type {dtype:?}, but the cotangent has {found_shape:?} and {found_dtype:?}; give it \
         the output's"
    )]
    OtherOutput {
        /// Shape of the output.
        shape: Vec<usize>,
        /// Its type.
        dtype: DType,
        /// Shape of the cotangent.
        found_shape: Vec<usize>,
        /// Its type.
        found_dtype: DType,
    },
    /// A number that is infinite or none.
    #[error(
        "the {quantity} is not finite: {}",
        .origin.as_deref().unwrap_or("look for NaN and for values out of range in data and parameters")
    )]
    NotFinite {
        /// What is not finite.
        quantity: &'static str,
        /// What made it, if that could be found.
        origin: Option<String>,
    },
    /// A number that is too small to compute with.
    #[error("{what} must be at least {least}, but {found} was given")]
    TooFew {
        /// Which number.
        what: &'static str,
        /// The least that makes sense.
        least: usize,
        /// What was given.
        found: usize,
    },
    /// A matrix that would not fit.
    #[error(
        "a matrix of {dimension} rows exceeds the limit of {limit}; raise it, or use products, eigenvalues and solves, which \
         form no matrix"
    )]
    TooLarge {
        /// Rows of the matrix.
        dimension: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// A linear system that could not be solved, or eigenvalues that could not be found.
    #[error(transparent)]
    Solve(Box<SolveError<DerivativesError>>),
    /// A derivative could not be built.
    #[error("a derivative of the loss could not be built: {0}")]
    Graph(#[from] GraphError),
    /// A number could not be read from the device.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A kernel panicked.
    #[error("a derivative could not be computed: {reason}")]
    Panicked {
        /// The operation, if it is known, and what the panic said.
        reason: String,
    },
}

crate::report::debug_as_report!(DerivativesError);

impl DerivativesError {
    /// Of a tensor of a type that its device has no numbers of.
    pub(super) fn unsupported(what: impl Into<String>, dtype: DType, device: &Device) -> Self {
        let (dtype, device) = (format!("{dtype:?}").to_lowercase(), format!("{device:?}"));
        DerivativesError::UnsupportedType { what: what.into(), dtype, device }
    }
}

impl From<SolveError<DerivativesError>> for DerivativesError {
    fn from(error: SolveError<DerivativesError>) -> Self {
        match error {
            // Whatever a product failed by is told as such.
            SolveError::Operator(error) => error,
            error => DerivativesError::Solve(Box::new(error)),
        }
    }
}

impl From<LossError> for DerivativesError {
    fn from(error: LossError) -> Self {
        match error {
            LossError::Read(error) => error.into(),
            // Derivatives by themselves are one process's own.
            LossError::Distributed(error) => ReadError::new(error.to_string()).into(),
        }
    }
}

impl From<VerificationError> for DerivativesError {
    fn from(error: VerificationError) -> Self {
        match error {
            VerificationError::Graph(error) => error.into(),
            VerificationError::Read(error) => error.into(),
        }
    }
}

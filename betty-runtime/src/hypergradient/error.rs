//! Why an indirect gradient could not be computed.

use super::Unfinished;
use crate::derivatives::LossError;
use crate::distributed::DistributedError;
use crate::execute::ReadError;
use crate::graph::GraphError;
use crate::linalg::SolveError;

/// A product with a second derivative could not be formed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ProductError {
    /// A number could not be read from the device.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A derivative could not be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The ranks that share the examples could not go on together.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// What a preconditioner answers is no vector of the system.
    #[error(
        "the preconditioner returned tensors of other shapes or types than those of the residual that it was given; let it return \
         a vector of the same space, as `entrywise` and `with_coordinates` do"
    )]
    Preconditioner,
    /// A system below the level could not be solved.
    #[error("{0}")]
    Below(Box<HypergradientError>),
}

/// A hypergradient method failed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum HypergradientError {
    /// The linear system with the lower level's Hessian has no answer.
    #[error("the system with the lower level's Hessian could not be solved: {0}")]
    Solve(#[from] SolveError<ProductError>),
    /// A product could not be formed.
    #[error(transparent)]
    Product(#[from] ProductError),
    /// More directions than the user allows.
    #[error(
        "one direction for each of {parameters} upper parameters is more than the limit of {limit}; raise `limit`, or choose \
         `forward_gradient`, which estimates the same from a few directions, or `unrolled`"
    )]
    TooManyDirections {
        /// Upper parameters that the steps depend on.
        parameters: usize,
        /// The most that are allowed.
        limit: usize,
    },
    /// Nested solves to a tolerance of the whole came to nothing.
    #[error(
        "nested solves find nothing that leaves less of the system than zero does, {}; allow more iterations, raise the damping of \
         the levels below, choose `joint`, or take `solve` away", why(.0)
    )]
    NotBetterThanZero(Unfinished),
    /// The cotangent is infinite or not a number.
    #[error("the gradient that the upper level sends down is not finite")]
    NotFinite,
}

crate::report::debug_as_report!(ProductError, HypergradientError);

fn why(unfinished: &Unfinished) -> String {
    match *unfinished {
        Unfinished { iterations, is_used_up: true, .. } => format!("with at most {iterations} iterations each"),
        Unfinished { tolerance, .. } => {
            format!("although no iterations are used up, so its tolerance of {tolerance:.0e} is out of reach")
        }
    }
}

impl HypergradientError {
    /// The failure itself, without the systems above that needed what failed.
    pub(super) fn innermost(self) -> Self {
        match self {
            Self::Solve(SolveError::Operator(ProductError::Below(below)))
            | Self::Product(ProductError::Below(below)) => below.innermost(),
            other => other,
        }
    }
}

impl ProductError {
    /// A product that needs an answer from below which there is none.
    pub(super) fn below(error: HypergradientError) -> Self {
        ProductError::Below(Box::new(error))
    }
}

impl From<LossError> for HypergradientError {
    fn from(error: LossError) -> Self {
        HypergradientError::Product(match error {
            LossError::Read(error) => error.into(),
            LossError::Distributed(error) => error.into(),
        })
    }
}

impl From<ReadError> for HypergradientError {
    fn from(error: ReadError) -> Self {
        ProductError::from(error).into()
    }
}

//! Why an indirect gradient could not be computed.

use crate::execute::ReadError;
use crate::graph::GraphError;

/// A hypergradient method failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HypergradientError {
    /// Conjugate gradients met a direction of negative curvature.
    #[error(
        "the lower level's Hessian is not positive definite (curvature {curvature:e} at iteration {iteration}); raise \
         `damping` above {}, let the lower level converge further, or choose `neumann`", .curvature.abs()
    )]
    NotPositiveDefinite {
        /// When it was met, counted from 0.
        iteration: usize,
        /// `⟨p, H p⟩ / ⟨p, p⟩` of the direction.
        curvature: f64,
    },
    /// A number in the solve is infinite or not a number.
    #[error("{quantity} is not finite at iteration {iteration}; lower the learning rates or raise `damping`")]
    NotFinite {
        /// Which number.
        quantity: &'static str,
        /// When, counted from 0.
        iteration: usize,
    },
    /// The Neumann series does not converge.
    #[error(
        "the Neumann series grows (term {term} is {growth:.1} times the first); `step_size` must be below \
         2 / (largest eigenvalue of the Hessian): lower it"
    )]
    Diverges {
        /// Which term.
        term: usize,
        /// Its norm relative to the first term's.
        growth: f64,
    },
    /// Too many parameters for a dense solve.
    #[error("a dense solve of {parameters} parameters is above its `limit` of {limit}; choose `cg`, or raise `limit`")]
    TooLarge {
        /// Parameters of the lower level.
        parameters: usize,
        /// The limit.
        limit: usize,
    },
    /// The Hessian cannot be inverted.
    #[error("the lower level's Hessian is singular (pivot {pivot}); add `damping`")]
    Singular {
        /// Number of the vanishing pivot.
        pivot: usize,
    },
    /// A number could not be read from the device.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A derivative could not be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

//! Solvers for `A·x = b` where `A` is only known by its products with vectors. No levels, no modules, no tensors.
//!
//! | solver | products with `A` | needs of `A` | answer |
//! |---|---|---|---|
//! | [`conjugate_gradient`] | one an iteration | symmetric positive definite | optimal in the span it has seen |
//! | [`neumann`] | terms − 1 | eigenvalues in `(0, 2/step_size)` | truncated series, biased towards 0 |
//! | [`minres`] | one an iteration | symmetric, invertible | of smallest residual in the span it has seen |
//! | [`gmres`] | one an iteration, one a restart | invertible | of smallest residual in the span since the restart |
//! | [`flexible_gmres`] | the same, and one preparation an iteration | invertible | the same, in the span of what was prepared |
//! | [`nystrom`] | rank + 1 | symmetric, positive definite once damped | exact where the rank covers the spectrum |
//! | [`dense`] | dimension + 1 | invertible | exact up to rounding |
//!
//! All of them solve the damped system `(A + δI)·x = b`. Those that iterate can go on from a guess, such as the solution of
//! the system before; that takes one more product. [`extreme_eigenvalues`] helps to choose damping and step sizes;
//! [`lanczos`] shows more of a spectrum.
//!
//! [`preconditioned_conjugate_gradient`] and [`preconditioned_minres`] take a [`Preconditioner`] that is symmetric and positive
//! definite, [`preconditioned_gmres`] takes any: [`Diagonal`], [`LowRank`], or one of your own.
//!
//! ```
//! use betty_runtime::linalg::{CgOptions, LinearOperator, conjugate_gradient};
//!
//! /// diag(1, 10)
//! struct Diagonal;
//!
//! impl LinearOperator for Diagonal {
//!     type Vector = Vec<f64>;
//!     type Error = std::convert::Infallible;
//!
//!     fn apply(&mut self, x: &Vec<f64>) -> Result<Vec<f64>, Self::Error> {
//!         Ok(vec![x[0], 10.0 * x[1]])
//!     }
//! }
//!
//! let options = CgOptions { iterations: 2, tolerance: 1e-12, damping: 0.0 };
//! let solution = conjugate_gradient(&mut Diagonal, &vec![1.0, 1.0], None, &options).expect("it is positive definite");
//! assert!((solution.x[0] - 1.0).abs() < 1e-12 && (solution.x[1] - 0.1).abs() < 1e-12);
//! ```

mod cg;
mod cholesky;
mod definite;
mod dense;
mod diagonal;
mod gmres;
mod lanczos;
mod low_rank;
mod minres;
mod neumann;
mod nystrom;
mod operator;
mod orthogonal;
mod preconditioner;
mod remedy;
mod scalar;
mod solution;
mod spectrum;
mod symmetric;

#[cfg(test)]
mod tests;

pub use cg::{CgOptions, conjugate_gradient, preconditioned_conjugate_gradient};
pub use dense::{DenseOptions, dense};
pub use diagonal::{Diagonal, DiagonalOptions};
pub use gmres::{GmresOptions, flexible_gmres, gmres, preconditioned_gmres};
pub use lanczos::{Krylov, RitzValue, lanczos};
pub use low_rank::LowRank;
pub use minres::{MinresOptions, minres, preconditioned_minres};
pub use neumann::{NeumannOptions, neumann};
pub use nystrom::{NystromOptions, nystrom};
pub use operator::{Coordinates, InnerProductSpace, LinearOperator};
pub use preconditioner::Preconditioner;
pub use remedy::Remedy;
pub use scalar::Scalar;
pub use solution::{Outcome, Quantity, Solution, SolveError};
pub use spectrum::{End, Spectrum, extreme_eigenvalues};

//! Solvers for `A·x = b` where `A` is only known by its products with vectors. No levels, no modules, no tensors.
//!
//! | solver | products with `A` | needs of `A` | answer |
//! |---|---|---|---|
//! | [`conjugate_gradient`] | one an iteration | symmetric positive definite | optimal in the span it has seen |
//! | [`neumann`] | terms − 1 | eigenvalues in `(0, 2/step_size)` | truncated series, biased towards 0 |
//! | [`minres`] | one an iteration | symmetric, invertible | of smallest residual in the span it has seen |
//! | [`gmres`] | one an iteration, one a restart | invertible | of smallest residual in the span since the restart |
//! | [`flexible_gmres`] | the same, and one preparation an iteration | invertible | the same, in the span of what was prepared |
//! | [`inexact_gmres`] | the same, none more exact than needed | invertible | of a small residual, which is measured |
//! | [`nystrom`] | rank + 1 | symmetric, positive definite once damped | exact where the rank covers the spectrum |
//! | [`dense`] | dimension + 1 | invertible | exact up to rounding |
//!
//! All of them solve the damped system `(A + δI)·x = b`. Those that iterate can go on from a guess, such as the solution of
//! the system before; that takes one more product. Where a guess leaves more of `b` than 0 does, the Krylov solvers begin at 0. [`extreme_eigenvalues`] helps to choose damping and step sizes;
//! [`lanczos`] shows more of a spectrum.
//!
//! Where inner products are computed elsewhere, on a device say, whoever reads one has to wait. [`conjugate_gradient`], [`minres`],
//! [`gmres`] and [`neumann`], preconditioned or not, then go on without knowing them, and read them together
//! [every few iterations](InnerProductSpace::check_every): their answers are the same.
//!
//! [`preconditioned_conjugate_gradient`] and [`preconditioned_minres`] take a [`Preconditioner`] that is symmetric and positive
//! definite, [`preconditioned_gmres`] takes any: [`Diagonal`], [`LowRank`], or one of your own.
//!
//! ```
//! # use std::convert::Infallible;
//! use betty_runtime::linalg::{CgOptions, InnerProductSpace, LinearOperator, conjugate_gradient};
//! # #[derive(Clone)]
//! # struct Column(Vec<f64>);
//! # impl InnerProductSpace for Column {
//! #     type Scalar = f64;
//! #     type Error = Infallible;
//! #     fn dot(&self, other: &Self) -> Result<f64, Infallible> {
//! #         Ok(self.0.iter().zip(&other.0).map(|(x, y)| x * y).sum())
//! #     }
//! #     fn read(scalar: &f64) -> Result<f64, Infallible> { Ok(*scalar) }
//! #     fn scale(&mut self, factor: f64) { self.0.iter_mut().for_each(|x| *x *= factor) }
//! #     fn add_scaled(&mut self, factor: f64, other: &Self) {
//! #         self.0.iter_mut().zip(&other.0).for_each(|(x, y)| *x += factor * y)
//! #     }
//! #     fn zero(&self) -> Self { Column(vec![0.0; self.0.len()]) }
//! # }
//!
//! /// diag(1, 10)
//! struct Matrix;
//!
//! impl LinearOperator for Matrix {
//!     type Vector = Column; // numbers with an inner product: of your own, or `betty_runtime::Vector`
//!     type Error = Infallible;
//!
//!     fn apply(&mut self, x: &Column) -> Result<Column, Infallible> {
//!         Ok(Column(vec![x.0[0], 10.0 * x.0[1]]))
//!     }
//! }
//!
//! let options = CgOptions { iterations: 2, tolerance: 1e-12, damping: 0.0 };
//! let solution = conjugate_gradient(&mut Matrix, &Column(vec![1.0, 1.0]), None, &options).expect("it is definite");
//! assert!((solution.x.0[0] - 1.0).abs() < 1e-12 && (solution.x.0[1] - 0.1).abs() < 1e-12);
//! ```

mod ahead;
mod cg;
mod cholesky;
mod definite;
mod dense;
mod diagonal;
mod gmres;
mod guess;
mod inexact;
mod lanczos;
mod low_rank;
mod minres;
mod neumann;
mod nystrom;
mod operator;
mod orthogonal;
mod preconditioner;
mod remedy;
mod rounded;
mod scalar;
mod solution;
mod spectrum;
mod symmetric;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use ahead::readings;
pub use cg::{CgOptions, conjugate_gradient, preconditioned_conjugate_gradient};
pub use dense::{DenseOptions, dense};
pub use diagonal::{Diagonal, DiagonalOptions};
pub use gmres::{GmresOptions, flexible_gmres, gmres, preconditioned_gmres};
pub use inexact::{Exactness, InexactOperator, inexact_gmres};
pub use lanczos::{Krylov, RitzValue, lanczos};
pub use low_rank::LowRank;
pub(crate) use minres::measurements;
pub use minres::{MinresOptions, minres, preconditioned_minres};
pub use neumann::{NeumannOptions, neumann};
pub use nystrom::{NystromOptions, nystrom};
pub use operator::{Coordinates, InnerProductSpace, LinearOperator};
pub use preconditioner::Preconditioner;
pub use remedy::Remedy;
pub(crate) use rounded::reachable;
pub use scalar::Scalar;
pub use solution::{Outcome, Quantity, Solution, SolveError};
pub use spectrum::{End, Spectrum, extreme_eigenvalues};

//! Solvers for `A·x = b` where `A` is only known by its products with vectors. No levels, no modules, no tensors.
//!
//! | solver | products with `A` | needs of `A` | answer |
//! |---|---|---|---|
//! | [`conjugate_gradient`] | one an iteration | symmetric positive definite | optimal in the span it has seen |
//! | [`neumann`] | terms − 1 | eigenvalues in `(0, 2/step_size)` | truncated series, biased towards 0 |
//! | [`dense`] | dimension + 1 | invertible | exact up to rounding |
//!
//! All of them solve the damped system `(A + δI)·x = b`. [`largest_eigenvalue`] helps to choose a step size.

mod cg;
mod dense;
mod neumann;
mod operator;
mod power;
mod solution;

#[cfg(test)]
mod tests;

pub use cg::{CgOptions, conjugate_gradient};
pub use dense::{DenseOptions, dense};
pub use neumann::{NeumannOptions, neumann};
pub use operator::{Coordinates, InnerProductSpace, LinearOperator};
pub use power::largest_eigenvalue;
pub use solution::{Outcome, Quantity, Solution, SolveError};

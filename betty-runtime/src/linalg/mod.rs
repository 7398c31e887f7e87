//! Solvers for `A·x = b` where `A` is only known by its products with vectors. No levels, no modules, no tensors.

mod operator;

pub use operator::{InnerProductSpace, LinearOperator};

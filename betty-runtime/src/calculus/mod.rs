//! Derivatives by themselves: of one loss, of any Burn module, without levels and without a run.
//!
//! [`Derivatives::of`] takes a loss, a module and a batch.
//!
//! | asked for | by |
//! |---|---|
//! | value and gradient | [`Derivatives::value_and_gradient`] |
//! | Hessian-vector products | [`Derivatives::hessian`], [`CurvatureOperator::product`] |
//! | mixed products of two modules | [`Derivatives::of_two`], [`Derivatives::mixed_product`] |
//! | Gauss-Newton products | [`Derivatives::gauss_newton`], [`CurvatureOperator::product`] |
//! | Jacobian products of a model's output | [`Derivatives::jvp`], [`Derivatives::vjp`] |
//! | eigenvalues with error bounds, their density | [`CurvatureOperator::eigenvalues`], [`CurvatureOperator::density`] |
//! | trace and diagonal, with standard errors | [`CurvatureOperator::trace`], [`CurvatureOperator::diagonal`] |
//! | solutions of damped systems | [`CurvatureOperator::conjugate_gradient`], [`CurvatureOperator::minres`] |
//!
//! Vectors are [`ParameterVector`]s, made from modules, numbers or Burn's gradients, and back.

mod derivatives;
mod error;
mod estimate;
mod gradients;
mod held;
mod jacobian;
mod mixed;
mod operator;
mod parameters;
mod recordings;
mod second;
mod spectrum;
mod state;
mod vector;

pub use self::derivatives::Derivatives;
pub use self::error::DerivativesError;
pub use self::estimate::Estimate;
pub use self::operator::CurvatureOperator;
pub use self::second::{Nothing, Second};
pub use self::spectrum::{Eigenvalues, SpectralDensity};
pub use self::vector::ParameterVector;

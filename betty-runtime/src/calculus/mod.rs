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
//!
//! ```
//! use betty_runtime::Derivatives;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::{Device, Tensor};
//!
//! fn loss(model: &Linear, (x, y): (Tensor<2>, Tensor<2>)) -> Tensor<1> {
//!     (model.forward(x) - y).square().mean()
//! }
//!
//! # fn main() -> Result<(), betty_runtime::DerivativesError> {
//! let device = Device::flex();
//! let model = LinearConfig::new(2, 1).with_bias(false).init(&device);
//! let x = Tensor::<2>::from_floats([[2.0, 0.0], [0.0, 4.0]], &device);
//! let batch = (x, Tensor::ones([2, 1], &device));
//! // H = 2xᵀx/2 = diag(4, 16)
//! let found = Derivatives::of(loss, &model, &batch)?.hessian()?.eigenvalues(2, 0)?;
//! let largest = found.all().next_back().expect("one for each product");
//! assert!((largest.value - 16.0).abs() < 1e-3);
//! # Ok(())
//! # }
//! ```

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

//! Minimizers of functions that are known by their values and gradients. No levels, no modules, no tensors.
//!
//! ```
//! use std::convert::Infallible;
//!
//! # use betty_runtime::InnerProductSpace;
//! use betty_runtime::minimize::{Evaluated, LbfgsOptions, Objective, lbfgs};
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
//! /// (x − 2)⁴
//! struct Quartic;
//!
//! impl Objective for Quartic {
//!     type Vector = Column; // numbers with an inner product: of your own, or `betty_runtime::Vector`
//!     type Error = Infallible;
//!
//!     fn evaluate(&mut self, x: &Column) -> Result<Evaluated<Column>, Infallible> {
//!         let gap = x.0[0] - 2.0;
//!         Ok(Evaluated { value: gap.powi(4), gradient: Column(vec![4.0 * gap.powi(3)]) })
//!     }
//! }
//!
//! # fn main() -> Result<(), Infallible> {
//! let start = Column(vec![0.0]);
//! let first = Quartic.evaluate(&start)?;
//! let options = LbfgsOptions { memory: 5, iterations: 100, tolerance: 1e-10 };
//! let found = lbfgs(&mut Quartic, start, first, &options)?;
//! assert!((found.x.0[0] - 2.0).abs() < 1e-2);
//! # Ok(())
//! # }
//! ```

mod direction;
mod lbfgs;
mod line_search;

#[cfg(test)]
mod tests;

pub use lbfgs::{Halt, LbfgsOptions, Minimum, lbfgs};

use crate::linalg::InnerProductSpace;

/// A function of a vector, known by its values and gradients.
pub trait Objective {
    /// What it is a function of; a minimizer decides by inner products, and reads each of them.
    type Vector: InnerProductSpace;
    /// Why a value could not be computed.
    type Error: From<<Self::Vector as InnerProductSpace>::Error>;

    /// Value and gradient at `x`. Where the function has none, numbers that are not finite say so, and a minimizer looks
    /// elsewhere.
    ///
    /// # Errors
    /// When they cannot be computed at all.
    fn evaluate(&mut self, x: &Self::Vector) -> Result<Evaluated<Self::Vector>, Self::Error>;
}

/// The inner product `⟨x, y⟩`, read.
fn dot<V: InnerProductSpace>(x: &V, y: &V) -> Result<f64, V::Error> {
    V::read(&x.dot(y)?)
}

/// A function at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated<V> {
    /// Its value.
    pub value: f64,
    /// Its gradient.
    pub gradient: V,
}

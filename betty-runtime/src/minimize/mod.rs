//! Minimizers of functions that are known by their values and gradients. No levels, no modules, no tensors.

mod direction;
mod lbfgs;
mod line_search;

#[cfg(test)]
mod tests;

pub use lbfgs::{Halt, LbfgsOptions, Minimum, lbfgs};

use crate::linalg::InnerProductSpace;

/// A function of a vector, known by its values and gradients.
pub trait Objective {
    /// What it is a function of; inner products are numbers of the host, by which a minimizer decides.
    type Vector: InnerProductSpace<Scalar = f64>;
    /// Why a value could not be computed.
    type Error: From<<Self::Vector as InnerProductSpace>::Error>;

    /// Value and gradient at `x`. Where the function has none, numbers that are not finite say so, and a minimizer looks
    /// elsewhere.
    ///
    /// # Errors
    /// When they cannot be computed at all.
    fn evaluate(&mut self, x: &Self::Vector) -> Result<Evaluated<Self::Vector>, Self::Error>;
}

/// A function at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated<V> {
    /// Its value.
    pub value: f64,
    /// Its gradient.
    pub gradient: V,
}

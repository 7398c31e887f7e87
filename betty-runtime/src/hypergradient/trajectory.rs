//! The steps that led to a level's parameters, as a hypergradient sees them.

use super::{Blocks, HypergradientError};
use crate::derivatives::Variable;
use crate::execute::Vector;

/// The steps that led to a level's parameters.
pub trait Trajectory {
    /// How many products with second derivatives going through them takes.
    fn products(&self) -> usize;

    /// `(∂θ/∂w)ᵀ·cotangent` for each `w` of `into` that the steps depend on. It is asked for once: steps are no matrix that
    /// could be multiplied with one vector after the other.
    ///
    /// # Errors
    /// [`HypergradientError`] when a product cannot be formed.
    fn pull_back(self: Box<Self>, cotangent: &Vector, into: &[Variable]) -> Result<Blocks, HypergradientError>;
}

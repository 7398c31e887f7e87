//! Directions of the upper parameters along which a level's steps are followed or displaced.

use std::fmt::Debug;

use super::{Blocks, HypergradientError};
use crate::derivatives::Variable;
use crate::execute::{Value, Vector, mix};
use crate::graph::Distribution;

/// Directions `u` of the upper parameters `λ` for which `weight · Σ u·uᵀ` is the identity, or is so in expectation: then
/// `weight · Σ (uᵀg)·u` is a gradient `g`, or an unbiased estimate of it, and only numbers `uᵀg` have to be known.
pub trait Directions: Debug {
    /// How many there are for this many upper parameters.
    ///
    /// # Errors
    /// [`HypergradientError::TooManyDirections`] when they would be more than the user allows.
    fn count(&self, parameters: usize) -> Result<usize, HypergradientError>;

    /// Direction number `number`, for upper parameters that look like `like`; a block that is left out is zero. Equal seeds give
    /// equal directions.
    fn draw(&self, like: &Blocks, seed: u64, number: usize) -> Blocks;

    /// What each weighs in the sum.
    fn weight(&self) -> f64;
}

/// Draw number `number` under `seed`, block by block and tensor by tensor.
pub(super) fn random(like: &Blocks, distribution: Distribution, seed: u64, number: usize) -> Blocks {
    let seed = mix(seed, number as u64);
    let block = |variable: Variable| {
        // A block is the same whatever other blocks there are.
        let seed = mix(seed, variable.owner() as u64);
        let draw = |(index, like): (usize, &Value)| {
            Value::draw(&like.shape(), like.dtype(), distribution, seed, index, &like.device())
        };
        Some((variable, Vector(like.get(variable)?.0.iter().enumerate().map(draw).collect())))
    };
    like.variables().filter_map(block).collect()
}

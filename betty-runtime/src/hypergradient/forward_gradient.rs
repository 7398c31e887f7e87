//! An unbiased estimate of the derivative of a level's steps from random directions, in memory that does not grow.

use super::directions::random;
use super::{Blocks, Directions, HypergradientError};
use crate::execute::mix;
use crate::graph::Distribution;
use crate::linalg::Coordinates;

/// The steps of a level, differentiated along with them as [`Forward`](super::Forward) does, but in few random directions:
///
/// ```text
/// (∂θ_K/∂λ)ᵀ v ≈ 1/b Σ_u (v·θ̇ᵤ)·u,     θ̇ᵤ = (∂θ_K/∂λ)·u,
/// ```
///
/// for `b` directions `u` with independent entries ±1. As `E[u·uᵀ] = I` the estimate has no bias, whatever `b` is; among
/// directions with independent entries, signs give it the least variance, `(n − 1)/b` times the squared norm of the
/// gradient for `n` upper parameters, those of all levels above together. Directions are drawn anew for every step of the levels above.
///
/// This is `(FG)²U` (Shen et al., *Memory-efficient gradient unrolling for large-scale bi-level optimization*, 2024,
/// arXiv:2406.14095): one Jacobian-vector product a step and one parameter vector with optimizer
/// states for each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForwardGradient {
    /// `b`; at least 1.
    pub directions: usize,
    /// Decides the directions, together with the run's seed.
    pub seed: u64,
}

impl Directions for ForwardGradient {
    fn count(&self, _parameters: usize) -> Result<usize, HypergradientError> {
        Ok(self.directions)
    }

    fn draw(&self, like: &Blocks, seed: u64, number: usize) -> Blocks {
        let mut signs = random(like, Distribution::Bernoulli(0.5), mix(seed, self.seed), number);
        for variable in like.variables() {
            if let (Some(mut coin), Some(block)) = (signs.take(variable), like.get(variable)) {
                coin.combine(2.0, -1.0, &block.with_coordinates(&vec![1.0; block.len()]));
                signs.set(variable, coin);
            }
        }
        signs
    }

    fn weight(&self) -> f64 {
        1.0 / self.directions as f64
    }
}

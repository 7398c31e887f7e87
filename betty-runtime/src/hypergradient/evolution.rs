//! Evolution strategies: hypergradients of upper losses that have no derivative, from the values of the loss alone.

use super::directions::random;
use super::{Blocks, Directions, HypergradientError};
use crate::execute::mix;
use crate::graph::Distribution;

/// Differences of the upper loss `C` between runs of the level's steps under displaced upper parameters:
///
/// ```text
/// indirect gradient ≈ 1/n Σ_ε (C(λ, θ_K(λ + σε)) − C(λ, θ_K(λ − σε))) / 2σ · ε,     ε normal, n pairs.
/// ```
///
/// Only the value of `C` is used, so it may be an accuracy or count what passes a threshold. Both runs of a pair see the
/// batches, random draws and learning rates of the steps that were taken, and begin where those began, so that nothing but
/// the displacement makes a difference. The estimate is unbiased for the gradient of the loss smoothed by the normal
/// distribution of width `σ`, whatever `n` is, and the displacement to both sides removes the terms of even order from its
/// variance. What `C` owes to `λ` directly is added by differentiation, as for every method. Parameters of 16 bits, whose numbers may
/// stand further apart than `σ`, are moved at least to the next one, each by its own `σ`.
///
/// Salimans, Ho, Chen, Sidor and Sutskever, *Evolution strategies as a scalable alternative to reinforcement learning*,
/// 2017, arXiv:1703.03864; for the steps of a lower level, Metz et al., *Understanding and correcting pathologies in the
/// training of learned optimizers*, 2019, arXiv:1810.10180. The steps of each pair begin where the round began and the
/// derivative is that of the round, as it is for `unrolled`; the bias of such truncation, and how to be rid of it by
/// perturbations that last, are the subject of Vicol, Metz and Sohl-Dickstein, *Unbiased gradient estimation in unrolled
/// computation graphs with persistent evolution strategies*, 2021, arXiv:2112.13835.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evolution {
    /// `n`; at least 1. Each pair takes all steps of the level twice more.
    pub pairs: usize,
    /// Decides `ε`, together with the run's seed.
    pub seed: u64,
}

impl Directions for Evolution {
    fn count(&self, _parameters: usize) -> Result<usize, HypergradientError> {
        Ok(self.pairs)
    }

    fn draw(&self, like: &Blocks, seed: u64, number: usize) -> Blocks {
        random(like, Distribution::Normal(0.0, 1.0), mix(seed, self.seed), number)
    }

    fn weight(&self) -> f64 {
        1.0 / self.pairs as f64
    }
}

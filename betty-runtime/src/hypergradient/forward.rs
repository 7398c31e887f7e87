//! Forward-mode differentiation of a level's steps: exact, for few upper parameters, in memory that does not grow.

use super::{Blocks, Directions, HypergradientError};
use crate::linalg::Coordinates;

/// The steps `θ_{t+1} = Φ_t(θ_t, λ)` of a level, differentiated along with them: for every basis vector `u` of the upper
/// parameters `λ`,
///
/// ```text
/// θ̇_{t+1} = (∂Φ_t/∂θ)·θ̇_t + (∂Φ_t/∂λ)·u,     (∂θ_K/∂λ)ᵀ v = Σ_u (v·θ̇_K)·u,
/// ```
///
/// where `θ̇_0 = 0`, or `u` if the steps begin at the upper parameters. `Φ` is the optimizer's update of parameters and state
/// with clipping and projection, and `θ̇` carries tangents of the state as well.
///
/// Equal to what `unrolled` finds in reverse. Memory is one parameter vector with optimizer states for each upper parameter,
/// however many steps are taken; the price is one Jacobian-vector product a step for each upper parameter
/// (Franceschi, Donini, Frasconi and Pontil, *Forward and reverse gradient-based hyperparameter optimization*, 2017,
/// arXiv:1703.01785, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forward {
    /// The most upper parameters; at least 1.
    pub limit: usize,
}

impl Directions for Forward {
    fn count(&self, parameters: usize) -> Result<usize, HypergradientError> {
        let limit = self.limit;
        if parameters > limit {
            return Err(HypergradientError::TooManyDirections { parameters, limit });
        }
        Ok(parameters)
    }

    fn draw(&self, like: &Blocks, _seed: u64, number: usize) -> Blocks {
        let mut before = 0;
        for variable in like.variables() {
            let Some(block) = like.get(variable) else { continue };
            let mut coordinates = vec![0.0; block.len()];
            if let Some(entry) = coordinates.get_mut(number - before) {
                *entry = 1.0;
                return Blocks::from_iter([(variable, block.with_coordinates(&coordinates))]);
            }
            before += coordinates.len();
        }
        Blocks::default()
    }

    fn weight(&self) -> f64 {
        1.0
    }
}

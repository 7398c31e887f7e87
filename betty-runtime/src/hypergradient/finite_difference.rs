//! A difference quotient in the place of the mixed product, with `H⁻¹ ≈ I`.
//!
//! ```text
//! (∂²c/∂λ∂θ) v ≈ (∂c/∂λ(θ + εv) − ∂c/∂λ(θ − εv)) / 2ε,   ε = perturbation / ‖v‖
//! ```
//!
//! Liu, Simonyan and Yang, *DARTS: Differentiable architecture search*, 2019, arXiv:1806.09055, equation 8. The error of
//! the quotient is `O(ε²)`; modules of 16 bits are moved further (see [`Products::MixedDifference`]). Stopped values and random draws are held at the unperturbed point: without that, the quotient
//! differentiates through `stop_gradient` and measures the noise between two dropout masks.

use std::rc::Rc;

use super::choice::Configured;
use super::{Budget, HypergradientError, HypergradientMethod, Products, Solved, System};
use crate::config::FiniteDifferenceConfig;
use crate::execute::Vector;

/// Two gradients of the lower loss instead of a product with its second derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FiniteDifference {
    /// Length of the step from the current parameters, in the parameters' own units; more than 0.
    pub perturbation: f64,
}

impl Configured for FiniteDifferenceConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        Rc::new(FiniteDifference { perturbation: self.perturbation })
    }
}

impl HypergradientMethod for FiniteDifference {
    fn name(&self) -> &'static str {
        "finite_difference"
    }

    fn solve(
        &self,
        _system: &mut System<'_>,
        v: &Vector,
        _guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError> {
        Ok(Solved { x: v.clone(), residual: None })
    }

    fn products(&self) -> Products {
        Products::MixedDifference { perturbation: self.perturbation }
    }

    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        Some(Budget { products: 0, reads: 1.0 })
    }
}

//! A difference quotient in the place of the mixed product, with `H⁻¹ ≈ I`.
//!
//! ```text
//! (∂²c/∂λ∂θ) v ≈ (∂c/∂λ(θ + εv) − ∂c/∂λ(θ − εv)) / 2ε,   ε = perturbation / ‖v‖
//! ```
//!
//! Liu, Simonyan and Yang, *DARTS: Differentiable architecture search*, 2019, arXiv:1806.09055, equation 8. The error of
//! the quotient is `O(ε²)`. Stopped values and random draws are held at the unperturbed point: without that, the quotient
//! differentiates through `stop_gradient` and measures the noise between two dropout masks.

use super::{HypergradientError, HypergradientMethod, Indirect, LowerProblem, SolveReport};
use crate::execute::Vector;
use crate::linalg::InnerProductSpace;

/// Two gradients of the lower loss instead of a product with its second derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FiniteDifference {
    /// Length of the step from the current parameters, in the parameters' own units; more than 0.
    pub perturbation: f64,
}

impl HypergradientMethod for FiniteDifference {
    fn name(&self) -> &'static str {
        "finite_difference"
    }

    fn indirect(&self, lower: &mut LowerProblem<'_>, cotangent: &Vector) -> Result<Indirect, HypergradientError> {
        let norm = cotangent.dot(cotangent)?.sqrt();
        if !norm.is_finite() {
            return Err(HypergradientError::NotFinite);
        }
        if norm == 0.0 {
            // Nothing comes down, so nothing goes up.
            return super::implicit(lower, cotangent, None);
        }
        let epsilon = self.perturbation / norm;
        let at = |lower: &mut LowerProblem<'_>, step: f64| {
            let mut parameters = lower.parameters().clone();
            parameters.add_scaled(step, cotangent);
            lower.upper_gradient_at(&parameters)
        };
        let mut gradients = at(lower, -epsilon)?;
        let ahead = at(lower, epsilon)?;
        for (gradient, ahead) in gradients.iter_mut().zip(&ahead) {
            // −(ahead − behind) / 2ε
            gradient.add_scaled(-1.0, ahead);
            gradient.scale(0.5 / epsilon);
        }
        Ok(Indirect { gradients, solve: SolveReport::default() })
    }
}

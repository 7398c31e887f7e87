//! The optimizer's own step in the place of the inverse Hessian.
//!
//! ```text
//! q = −(∂Φ/∂g)ᵀ v,      θ′ = Φ(θ, g, σ): the step that the level would take next
//! ```
//!
//! Choe et al., *Making scalable meta learning practical* (SAMA), 2023, arXiv:2310.05674: an adaptive optimizer divides by an
//! estimate of the curvature, which makes the derivative of its step the cheapest preconditioner there is, and unrolling that
//! one step exact. The derivative is that of the whole step, bias correction, momentum, clipping and learning rate
//! included. The mixed product is a difference quotient, with stopped values and random draws held.

use std::fmt::Debug;
use std::rc::Rc;

use super::{Budget, HypergradientError, HypergradientMethod, ProductError, Products, Solved, System};
use crate::execute::Vector;

/// The step that a level would take next, as a function of its gradient.
pub trait NextStep: Debug {
    /// `−(∂Φ/∂g)ᵀ·v`
    ///
    /// # Errors
    /// [`ProductError`] if the derivative cannot be built.
    fn pull_back(&self, v: &Vector) -> Result<Vector, ProductError>;
}

/// `q = −(∂Φ/∂g)ᵀ v`.
#[derive(Clone, Debug)]
pub struct Sama {
    /// The level's next step.
    pub step: Rc<dyn NextStep>,
    /// Length of the step of the difference quotient, in the parameters' own units; more than 0.
    pub perturbation: f64,
}

impl HypergradientMethod for Sama {
    fn name(&self) -> &'static str {
        "sama"
    }

    fn solve(
        &self,
        _system: &mut System<'_>,
        v: &Vector,
        _guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError> {
        Ok(Solved { x: self.step.pull_back(v)?, residual: None })
    }

    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        Some(Budget { products: 0, reads: 1.0 })
    }

    fn products(&self) -> Products {
        Products::MixedDifference { perturbation: self.perturbation }
    }
}

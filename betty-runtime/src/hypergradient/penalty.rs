//! A penalised copy of the level in the place of second derivatives: the value-function method, fully of first order.
//!
//! Beside the level's own parameters `z = θ`, which minimise `c`, a copy `y` minimises `c` with a little of the upper loss `C`,
//! and the hypergradient is the difference that this makes to the gradient in `λ`:
//!
//! ```text
//! y* = argmin_y  c(λ, y) + C(λ, y)/m        dC/dλ ≈ ∂C/∂λ + m·(∂c/∂λ(λ, y*) − ∂c/∂λ(λ, z*))
//! ```
//!
//! with an error of `O(1/m)` for the multiplier `m`. Kwon, Kwon, Wright and Nowak, *A fully first-order method for stochastic
//! bilevel optimization* (F2SA), 2023, arXiv:2301.10945; of the same family are Liu et al., *BOME! Bilevel optimization made
//! easy*, 2022, arXiv:2209.08709, and Shen and Chen, *On penalty-based bilevel gradient descent method*, 2023,
//! arXiv:2302.05185.
//!
//! Here `C` is linear around `z`, with the cotangent `v` that has arrived for its slope, which changes the hypergradient by
//! `O(1/m)` once more; and what is left of `∇c(z)` because the level has not converged is not `y`'s to remove. With
//! `y = z − x/m`, steps of gradient descent for `y` are
//!
//! ```text
//! x ← x + s·(v − A(x) − damping·x),   A(x) = m·(∇c(z) − ∇c(z − x/m)) = H·x + O(‖x‖²/m),
//! ```
//!
//! those of the Neumann series, with gradients in the place of Hessian products; and `v` may come from any loss at any
//! depth. Where `c` is quadratic there is no error but that of the steps. No multiplier is too large: where `y` would come so
//! close to `z` that their gradients differ by little more than rounding, as for a small cotangent, the difference is taken
//! at a distance and scaled (see [`Products::Displaced`]). The damping is a proximal term
//! `½·damping·‖y − z‖²`, as in Kwon et al., *On penalty methods for nonconvex bilevel optimization and first-order stochastic
//! approximation*, 2024, arXiv:2309.01753.

use std::rc::Rc;

use super::choice::Configured;
use super::{Budget, HypergradientError, HypergradientMethod, Products, Solved, System};
use crate::config::PenaltyConfig;
use crate::execute::{CHECK_EVERY, Vector};
use crate::linalg::{NeumannOptions, neumann, readings};

/// `x = m·(z − y)` after some steps of the copy `y`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    /// `m`, more than 0: how much more the lower loss counts for `y` than the upper one.
    pub multiplier: f64,
    /// Steps of `y`.
    pub steps: usize,
    /// `s`, below 2 over the largest eigenvalue of the damped Hessian.
    pub step_size: f64,
    /// Weight of `½‖y − z‖²`; not negative.
    pub damping: f64,
    /// Whether `y` starts from where it was relative to `z` at the step before, instead of from `z`.
    pub warm_start: bool,
}

impl Configured for PenaltyConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        let PenaltyConfig { multiplier, steps, step_size, damping, warm_start, .. } = *self;
        Rc::new(Penalty { multiplier, steps, step_size, damping, warm_start })
    }
}

impl HypergradientMethod for Penalty {
    fn name(&self) -> &'static str {
        "penalty"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        let options = NeumannOptions { terms: self.steps, step_size: self.step_size, damping: self.damping };
        let solution = neumann(system, v, guess, &options)?;
        Ok(solution.into())
    }

    fn keeps_solution(&self) -> bool {
        self.warm_start
    }

    fn damping(&self) -> f64 {
        self.damping
    }

    fn products(&self) -> Products {
        Products::Displaced { multiplier: self.multiplier }
    }

    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        // The first step from z itself needs no gradient at y.
        let products = self.steps.saturating_sub(usize::from(!self.warm_start));
        // The lengths of displacements, and what is left after steps.
        let reads = self.steps + 2 + readings(self.steps.saturating_sub(1), CHECK_EVERY);
        Some(Budget { products, reads: reads as f64 })
    }
}

//! Hypergradients: how an upper level's loss changes through the best response of a lower level.
//!
//! Let `θ*(λ)` minimise the lower loss `c(θ, λ)`, and let `v = ∂C/∂θ` be the *cotangent* that the upper loss `C` sends down.
//! The indirect gradient is `(∂θ*/∂λ)ᵀ v`, and the implicit function theorem at `∂c/∂θ = 0` gives
//!
//! ```text
//! (∂θ*/∂λ)ᵀ v = −(∂²c/∂λ∂θ) q,   where (H + damping·I) q = v,   H = ∂²c/∂θ².
//! ```
//!
//! Every method here answers this question, each in its own file; they differ in how, and how well, they find `q`.
//!
//! | method | `q` | products | choose it |
//! |---|---|---|---|
//! | [`ConjugateGradient`] | solves the system for symmetric positive definite `H` | one a step | by default; add damping for networks |
//! | [`Neumann`] | `s·Σ_{k<K} (I − s·H)ᵏ v` | `K − 1` | for a cheap bias towards the start, small `s·λ_max` |
//! | [`Identity`] | `scale · v` | none | many upper steps, crude is enough |
//! | [`FiniteDifference`] | `v`, with a difference quotient for the mixed product | two gradients | lowest cost, as in DARTS |
//! | [`DenseSolve`] | solves exactly with the whole matrix | one a parameter | tests, small problems |
//!
//! `∂c/∂θ = 0` holds only approximately after a finite number of lower steps, so every implicit hypergradient carries the
//! lower level's own optimisation error, whichever method is used.

mod choice;
mod conjugate_gradient;
mod dense;
mod error;
mod finite_difference;
mod identity;
mod lower;
mod neumann;

use std::fmt::Debug;

pub use conjugate_gradient::ConjugateGradient;
pub use dense::DenseSolve;
pub use error::{HypergradientError, ProductError};
pub use finite_difference::FiniteDifference;
pub use identity::Identity;
pub use lower::LowerProblem;
pub use neumann::Neumann;

use crate::execute::Vector;

/// What a method answers: the indirect gradient of each upper level asked for.
#[derive(Clone, Debug)]
pub struct Indirect {
    /// `(∂θ*/∂λ)ᵀ v` for each upper level, in the order of [`LowerProblem::into`](LowerProblem).
    pub gradients: Vec<Vector>,
    /// How the linear system went.
    pub solve: SolveReport,
}

/// What a solve took and how good it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SolveReport {
    /// Hessian-vector products formed.
    pub products: usize,
    /// Relative residual `‖v − (H + damping·I) q‖ / ‖v‖`, where the method knows it.
    pub residual: Option<f64>,
}

/// A way to push a cotangent through the best response of a lower level.
pub trait HypergradientMethod: Debug + Send {
    /// The method's name in a program, `cg` for instance.
    fn name(&self) -> &'static str;

    /// The indirect gradient `(∂θ*/∂λ)ᵀ · cotangent`.
    ///
    /// # Errors
    /// [`HypergradientError`] when the system cannot be solved; the lower level is left as it was.
    fn indirect(&self, lower: &mut LowerProblem<'_>, cotangent: &Vector) -> Result<Indirect, HypergradientError>;
}

/// `−(∂²c/∂λ∂θ) q`: the last step of every implicit method.
fn implicit(lower: &mut LowerProblem<'_>, q: &Vector, residual: Option<f64>) -> Result<Indirect, HypergradientError> {
    use crate::linalg::InnerProductSpace;
    let mut gradients = lower.mixed(q)?;
    for gradient in &mut gradients {
        gradient.scale(-1.0);
    }
    Ok(Indirect { gradients, solve: SolveReport { products: lower.products(), residual } })
}

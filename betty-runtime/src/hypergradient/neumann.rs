//! The inverse Hessian as a truncated Neumann series.
//!
//! Lorraine, Vicol and Duvenaud, *Optimizing millions of hyperparameters by implicit differentiation*, 2020,
//! arXiv:1911.02590: `q = s·Σ_{k<K} (I − s(H + damping·I))ᵏ v`, which is what differentiating the last `K` gradient steps of
//! length `s` at a fixed point gives. Converges for `s < 2/λ_max`.

use std::rc::Rc;

use super::choice::Configured;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::NeumannConfig;
use crate::execute::{CHECK_EVERY, Vector};
use crate::linalg::{NeumannOptions, neumann, readings};

/// `q` as a sum of `terms` terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neumann {
    /// Terms, step size and damping.
    pub options: NeumannOptions,
    /// Whether to start from the solution of the step before.
    pub warm_start: bool,
}

impl Configured for NeumannConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        let options = NeumannOptions { terms: self.terms, step_size: self.step_size, damping: self.damping };
        Rc::new(Neumann { options, warm_start: self.warm_start })
    }
}

impl HypergradientMethod for Neumann {
    fn name(&self) -> &'static str {
        "neumann"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        let solution = neumann(system, v, guess, &self.options)?;
        Ok(solution.into())
    }
    fn keeps_solution(&self) -> bool {
        self.warm_start
    }

    fn damping(&self) -> f64 {
        self.options.damping
    }

    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        let products = self.options.terms.saturating_sub(1);
        let reads = readings(products, CHECK_EVERY) as f64;
        // What a guess leaves is one product.
        Some(Budget { products: products + usize::from(self.warm_start), reads })
    }
}

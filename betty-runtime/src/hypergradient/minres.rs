//! The system solved by minimal residuals, which does not ask the Hessian to be positive definite.
//!
//! Paige and Saunders, *Solution of sparse indefinite systems of linear equations*, 1975. Away from a minimum the Hessian of a
//! network curves downwards in some directions; conjugate gradients need damping to get past them, minimal residuals do not.

use std::rc::Rc;

use super::choice::Configured;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::MinresConfig;
use crate::execute::Vector;
use crate::linalg::{MinresOptions, minres};

/// `(H + damping·I) q = v` by minimal residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minres {
    /// Iterations, relative tolerance and damping.
    pub options: MinresOptions,
    /// Whether to start from the solution of the step before.
    pub warm_start: bool,
}

impl Configured for MinresConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        let options = MinresOptions { iterations: self.iterations, tolerance: self.tolerance, damping: self.damping };
        Rc::new(Minres { options, warm_start: self.warm_start })
    }
}

impl HypergradientMethod for Minres {
    fn name(&self) -> &'static str {
        "minres"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        let solution = minres(system, v, guess, &self.options)?;
        Ok(solution.into())
    }
    fn needs_symmetry(&self) -> bool {
        true
    }

    fn damping(&self) -> f64 {
        self.options.damping
    }
    fn keeps_solution(&self) -> bool {
        self.warm_start
    }

    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        let products = self.options.iterations;
        Some(Budget { products, reads: 2.0 * products as f64 + 1.0 })
    }
}

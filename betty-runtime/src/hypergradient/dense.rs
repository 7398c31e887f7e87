//! The whole Hessian, formed by one product a parameter and solved by elimination: exact, for small problems and tests.

use std::rc::Rc;

use super::choice::Configured;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::DenseConfig;
use crate::execute::{CHECK_EVERY, Vector};
use crate::linalg::{DenseOptions, dense, readings};

/// `(H + damping·I) q = v` solved exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseSolve {
    /// Damping, and the most parameters it accepts.
    pub options: DenseOptions,
}

impl Configured for DenseConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        Rc::new(DenseSolve { options: DenseOptions { damping: self.damping, limit: self.limit } })
    }
}

impl HypergradientMethod for DenseSolve {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, _guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        let solution = dense(system, v, &self.options)?;
        Ok(solution.into())
    }

    fn damping(&self) -> f64 {
        self.options.damping
    }

    fn budget(&self, unknowns: usize) -> Option<Budget> {
        // Columns, the right-hand side, its length, and the residual.
        Some(Budget { products: unknowns + 1, reads: (readings(unknowns, CHECK_EVERY) + 3) as f64 })
    }
}

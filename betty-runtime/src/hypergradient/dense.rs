//! The whole Hessian, formed by one product a parameter and solved by elimination: exact, for small problems and tests.

use super::{HypergradientError, HypergradientMethod, Indirect, LowerProblem, implicit};
use crate::execute::Vector;
use crate::linalg::{DenseOptions, dense};

/// `(H + damping·I) q = v` solved exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseSolve {
    /// Damping, and the most parameters it accepts.
    pub options: DenseOptions,
}

impl HypergradientMethod for DenseSolve {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn indirect(&self, lower: &mut LowerProblem<'_>, cotangent: &Vector) -> Result<Indirect, HypergradientError> {
        let solution = dense(lower, cotangent, &self.options)?;
        implicit(lower, &solution.x, Some(solution.outcome.residual))
    }
}

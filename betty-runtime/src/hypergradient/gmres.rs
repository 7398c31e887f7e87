//! The system solved by generalised minimal residuals, which does not ask for symmetry.
//!
//! Saad and Schultz, *GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear systems*, 1986. The
//! derivative of a stationarity condition that is no gradient of one loss, of a game between levels say, is not symmetric.

use std::rc::Rc;

use super::choice::Configured;
use super::preconditioned::Krylov;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::GmresConfig;
use crate::execute::Vector;
use crate::linalg::{GmresOptions, Preconditioner, gmres, preconditioned_gmres};

/// `(H + damping·I) q = v` by generalised minimal residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gmres {
    /// Iterations, size of the basis, relative tolerance and damping.
    pub options: GmresOptions,
    /// Whether to start from the solution of the step before.
    pub warm_start: bool,
}

impl Configured for GmresConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        Rc::new(self.made())
    }

    fn krylov(&self) -> Option<Rc<dyn Krylov>> {
        Some(Rc::new(self.made()))
    }
}

impl GmresConfig {
    fn made(&self) -> Gmres {
        let GmresConfig { iterations, restart, tolerance, damping, warm_start, .. } = *self;
        Gmres { options: GmresOptions { iterations, restart, tolerance, damping }, warm_start }
    }
}

impl HypergradientMethod for Gmres {
    fn name(&self) -> &'static str {
        "gmres"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        let solution = gmres(system, v, guess, &self.options)?;
        Ok(solution.into())
    }
    fn keeps_solution(&self) -> bool {
        self.warm_start
    }

    fn damping(&self) -> f64 {
        self.options.damping
    }

    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        // Cycles may be as short as one vector, and each ends with the residual; what a guess leaves is one product, and is read before it
        // is gone on from.
        let GmresOptions { iterations, restart, .. } = self.options;
        let (residuals, guess) = (iterations.div_ceil(restart.max(1)), usize::from(self.warm_start));
        let reads = (2 * iterations).max(1) + guess;
        Some(Budget { products: iterations + residuals + guess, reads: reads as f64 })
    }
}

impl Krylov for Gmres {
    fn solve_preconditioned<'s>(
        &self,
        system: &mut System<'s>,
        preconditioner: &mut dyn Preconditioner<System<'s>>,
        v: &Vector,
        guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError> {
        Ok(preconditioned_gmres(system, preconditioner, v, guess, &self.options)?.into())
    }
}

//! The system solved by minimal residuals, which does not ask the Hessian to be positive definite.
//!
//! Paige and Saunders, *Solution of sparse indefinite systems of linear equations*, 1975. Away from a minimum the Hessian of a
//! network curves downwards in some directions; conjugate gradients need damping to get past them, minimal residuals do not.

use std::rc::Rc;

use super::choice::Configured;
use super::preconditioned::Krylov;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::MinresConfig;
use crate::execute::{CHECK_EVERY, Vector};
use crate::linalg::{MinresOptions, Preconditioner, measurements, minres, preconditioned_minres, readings};

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
        Rc::new(self.made())
    }

    fn krylov(&self) -> Option<Rc<dyn Krylov>> {
        Some(Rc::new(self.made()))
    }
}

impl MinresConfig {
    fn made(&self) -> Minres {
        let options = MinresOptions { iterations: self.iterations, tolerance: self.tolerance, damping: self.damping };
        Minres { options, warm_start: self.warm_start }
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
        let (iterations, measured) = (self.options.iterations, measurements(self.options.iterations));
        // What a guess leaves is one product, and is read before it is gone on from; the residual is read with the rest.
        let guess = usize::from(self.warm_start);
        let reads = readings(iterations, CHECK_EVERY) + guess;
        Some(Budget { products: iterations + measured + guess, reads: reads as f64 })
    }
}

impl Krylov for Minres {
    fn solve_preconditioned<'s>(
        &self,
        system: &mut System<'s>,
        preconditioner: &mut dyn Preconditioner<System<'s>>,
        v: &Vector,
        guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError> {
        Ok(preconditioned_minres(system, preconditioner, v, guess, &self.options)?.into())
    }
}

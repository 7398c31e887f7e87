//! The system solved by conjugate gradients.
//!
//! Pedregosa, *Hyperparameter optimization with approximate gradient*, 2016, arXiv:1602.02355; Rajeswaran et al.,
//! *Meta-learning with implicit gradients* (iMAML), 2019, arXiv:1909.04630. With as many iterations as parameters the
//! answer is exact up to rounding; with fewer it is the best one in the Krylov space of `v`.

use std::rc::Rc;

use super::choice::Configured;
use super::preconditioned::Krylov;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::CgConfig;
use crate::execute::{CHECK_EVERY, Vector};
use crate::linalg::{CgOptions, Preconditioner, conjugate_gradient, preconditioned_conjugate_gradient, readings};

/// `(H + damping·I) q = v` by conjugate gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConjugateGradient {
    /// Iterations, relative tolerance and damping.
    pub options: CgOptions,
    /// Whether to start from the solution of the step before.
    pub warm_start: bool,
}

impl Configured for CgConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        Rc::new(self.made())
    }

    fn krylov(&self) -> Option<Rc<dyn Krylov>> {
        Some(Rc::new(self.made()))
    }
}

impl CgConfig {
    fn made(&self) -> ConjugateGradient {
        let options = CgOptions { iterations: self.iterations, tolerance: self.tolerance, damping: self.damping };
        ConjugateGradient { options, warm_start: self.warm_start }
    }
}

impl HypergradientMethod for ConjugateGradient {
    fn name(&self) -> &'static str {
        "cg"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        let solution = conjugate_gradient(system, v, guess, &self.options)?;
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
        // What a guess leaves is one product, and is read before it is gone on from.
        let (iterations, guess) = (self.options.iterations, usize::from(self.warm_start));
        Some(Budget { products: iterations + guess, reads: (readings(iterations, CHECK_EVERY) + guess) as f64 })
    }
}

impl Krylov for ConjugateGradient {
    fn solve_preconditioned<'s>(
        &self,
        system: &mut System<'s>,
        preconditioner: &mut dyn Preconditioner<System<'s>>,
        v: &Vector,
        guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError> {
        Ok(preconditioned_conjugate_gradient(system, preconditioner, v, guess, &self.options)?.into())
    }
}

//! Methods that look for the solution in a Krylov space, with a preconditioner.

use std::rc::Rc;

use super::{
    Budget, HypergradientError, HypergradientMethod, Preconditioning, ProductError, Products, Solved, System,
    SystemPreconditioner,
};
use crate::execute::Vector;
use crate::linalg::Preconditioner;

/// A method that can be preconditioned.
pub(super) trait Krylov: HypergradientMethod {
    /// As [`solve`](HypergradientMethod::solve), with a preconditioner; nothing more is read.
    fn solve_preconditioned<'s>(
        &self,
        system: &mut System<'s>,
        preconditioner: &mut dyn Preconditioner<System<'s>>,
        v: &Vector,
        guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError>;
}

/// `cg`, `minres` or `gmres` with a preconditioner, which is made once for each matrix.
#[derive(Clone, Debug)]
pub(super) struct Preconditioned {
    pub(super) method: Rc<dyn Krylov>,
    pub(super) preconditioner: Rc<dyn Preconditioning>,
}

impl HypergradientMethod for Preconditioned {
    fn name(&self) -> &'static str {
        self.method.name()
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        self.solve_keeping(system, v, guess, &mut None)
    }

    fn solve_keeping(
        &self,
        system: &mut System<'_>,
        v: &Vector,
        guess: Option<Vector>,
        kept: &mut Option<SystemPreconditioner>,
    ) -> Result<Solved, HypergradientError> {
        let prepared = match kept {
            Some(prepared) => prepared,
            None => kept.insert(self.preconditioner.prepare(system, self.method.damping(), v)?),
        };
        let mut fitting = |system: &mut System<'_>, r: &Vector| {
            let z = prepared.precondition(system, r)?;
            if z.looks_like(r) { Ok(z) } else { Err(ProductError::Preconditioner) }
        };
        self.method.solve_preconditioned(system, &mut fitting, v, guess)
    }

    fn needs_symmetry(&self) -> bool {
        self.method.needs_symmetry()
    }

    fn keeps_solution(&self) -> bool {
        self.method.keeps_solution()
    }

    fn damping(&self) -> f64 {
        self.method.damping()
    }

    fn budget(&self, unknowns: usize) -> Option<Budget> {
        // What a preconditioner answers is read with the rest.
        self.method.budget(unknowns)
    }

    fn preparation(&self, unknowns: usize) -> Budget {
        let products = self.preconditioner.products(unknowns);
        // One or so for each.
        Budget { products, reads: products as f64 }
    }

    fn preconditioning(&self) -> Option<Rc<dyn Preconditioning>> {
        Some(Rc::clone(&self.preconditioner))
    }

    fn products(&self) -> Products {
        self.method.products()
    }
}

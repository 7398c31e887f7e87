//! The inverse of an approximation of low rank of the Hessian.
//!
//! Hataya and Yamada, *Nyström method for accurate and scalable implicit differentiation*, 2023, arXiv:2302.09726. Products
//! with the Hessian reveal its large eigenvalues, damping stands for all others; nothing iterates, so nothing diverges.

use std::rc::Rc;

use super::choice::Configured;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::NystromConfig;
use crate::execute::Vector;
use crate::linalg::{NystromOptions, nystrom};

/// `(Hₖ + damping·I) q = v` for the Nyström approximation `Hₖ` of `H`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nystrom {
    /// Rank, damping and seed.
    pub options: NystromOptions,
}

impl Configured for NystromConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        let options = NystromOptions { rank: self.rank, damping: self.damping, seed: self.seed };
        Rc::new(Nystrom { options })
    }
}

impl HypergradientMethod for Nystrom {
    fn name(&self) -> &'static str {
        "nystrom"
    }

    fn solve(&self, system: &mut System<'_>, v: &Vector, _guess: Option<Vector>) -> Result<Solved, HypergradientError> {
        let solution = nystrom(system, v, &self.options)?;
        Ok(solution.into())
    }
    fn needs_symmetry(&self) -> bool {
        true
    }

    fn damping(&self) -> f64 {
        self.options.damping
    }

    fn budget(&self, unknowns: usize) -> Option<Budget> {
        let rank = self.options.rank.min(unknowns);
        // A length of each: the right-hand side, the products, and the residual; and four tables of inner products.
        Some(Budget { products: rank + 1, reads: 7.0 })
    }
}

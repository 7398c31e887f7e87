//! `H⁻¹ ≈ scale · I`: one mixed product and nothing else.
//!
//! Luketina et al., *Scalable gradient-based tuning of continuous regularization hyperparameters* (T1–T2), 2016,
//! arXiv:1511.06727. Exact when the lower Hessian is `1/scale` times the identity; otherwise biased, but with the right
//! sign pattern near a well-conditioned optimum.

use std::rc::Rc;

use super::choice::Configured;
use super::{Budget, HypergradientError, HypergradientMethod, Solved, System};
use crate::config::IdentityConfig;
use crate::execute::Vector;

/// `q = scale · v`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Identity {
    /// What stands for the inverse Hessian; more than 0.
    pub scale: f64,
}

impl Configured for IdentityConfig {
    fn method(&self) -> Rc<dyn HypergradientMethod> {
        Rc::new(Identity { scale: self.scale })
    }
}

impl HypergradientMethod for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn solve(
        &self,
        _system: &mut System<'_>,
        v: &Vector,
        _guess: Option<Vector>,
    ) -> Result<Solved, HypergradientError> {
        let mut x = v.clone();
        x.scale(self.scale);
        Ok(Solved { x, residual: None })
    }

    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        Some(Budget::default())
    }
}

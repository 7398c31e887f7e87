//! The method that a configuration names.

use std::rc::Rc;

use super::{
    ConjugateGradient, DenseSolve, FiniteDifference, Gmres, HypergradientMethod, Identity, Minres, Neumann, Nystrom,
};
use crate::config::HypergradientConfig;
use crate::linalg::{CgOptions, DenseOptions, GmresOptions, MinresOptions, NeumannOptions, NystromOptions};

impl HypergradientConfig {
    /// The method with these numbers; none for `unrolled`, which solves no system, and `custom`, which the program names.
    #[must_use]
    pub fn build(&self) -> Option<Rc<dyn HypergradientMethod>> {
        Some(match *self {
            Self::Cg(ref c) => Rc::new(ConjugateGradient {
                options: CgOptions { iterations: c.iterations, tolerance: c.tolerance, damping: c.damping },
                warm_start: c.warm_start,
            }),
            Self::Minres(ref c) => Rc::new(Minres {
                options: MinresOptions { iterations: c.iterations, tolerance: c.tolerance, damping: c.damping },
                warm_start: c.warm_start,
            }),
            Self::Gmres(ref c) => Rc::new(Gmres {
                options: GmresOptions {
                    iterations: c.iterations,
                    restart: c.restart,
                    tolerance: c.tolerance,
                    damping: c.damping,
                },
                warm_start: c.warm_start,
            }),
            Self::Neumann(ref c) => Rc::new(Neumann {
                options: NeumannOptions { terms: c.terms, step_size: c.step_size, damping: c.damping },
                warm_start: c.warm_start,
            }),
            Self::Nystrom(ref c) => {
                Rc::new(Nystrom { options: NystromOptions { rank: c.rank, damping: c.damping, seed: c.seed } })
            }
            Self::FiniteDifference(ref c) => Rc::new(FiniteDifference { perturbation: c.perturbation }),
            Self::Identity(ref c) => Rc::new(Identity { scale: c.scale }),
            Self::Dense(ref c) => Rc::new(DenseSolve { options: DenseOptions { damping: c.damping, limit: c.limit } }),
            Self::Unrolled(_) | Self::Custom(_) => return None,
        })
    }
}

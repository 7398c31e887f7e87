//! The method that a configuration names.

use super::{
    ConjugateGradient, DenseSolve, FiniteDifference, Gmres, HypergradientMethod, Identity, Minres, Neumann, Nystrom,
};
use crate::config::HypergradientConfig;
use crate::linalg::{CgOptions, DenseOptions, GmresOptions, MinresOptions, NeumannOptions, NystromOptions};

impl HypergradientConfig {
    /// The method with these numbers.
    #[must_use]
    pub fn build(&self) -> Box<dyn HypergradientMethod> {
        match *self {
            Self::Cg(ref c) => Box::new(ConjugateGradient {
                options: CgOptions { iterations: c.iterations, tolerance: c.tolerance, damping: c.damping },
            }),
            Self::Minres(ref c) => Box::new(Minres {
                options: MinresOptions { iterations: c.iterations, tolerance: c.tolerance, damping: c.damping },
            }),
            Self::Gmres(ref c) => Box::new(Gmres {
                options: GmresOptions {
                    iterations: c.iterations,
                    restart: c.restart,
                    tolerance: c.tolerance,
                    damping: c.damping,
                },
            }),
            Self::Neumann(ref c) => Box::new(Neumann {
                options: NeumannOptions { terms: c.terms, step_size: c.step_size, damping: c.damping },
            }),
            Self::Nystrom(ref c) => {
                Box::new(Nystrom { options: NystromOptions { rank: c.rank, damping: c.damping, seed: c.seed } })
            }
            Self::FiniteDifference(ref c) => Box::new(FiniteDifference { perturbation: c.perturbation }),
            Self::Identity(ref c) => Box::new(Identity { scale: c.scale }),
            Self::Dense(ref c) => Box::new(DenseSolve { options: DenseOptions { damping: c.damping, limit: c.limit } }),
        }
    }
}

//! The method that a configuration names.

use super::{ConjugateGradient, DenseSolve, FiniteDifference, HypergradientMethod, Identity, Neumann};
use crate::config::HypergradientConfig;
use crate::linalg::{CgOptions, DenseOptions, NeumannOptions};

impl HypergradientConfig {
    /// The method with these numbers.
    #[must_use]
    pub fn build(&self) -> Box<dyn HypergradientMethod> {
        match *self {
            Self::Cg(ref c) => Box::new(ConjugateGradient {
                options: CgOptions { iterations: c.iterations, tolerance: c.tolerance, damping: c.damping },
            }),
            Self::Neumann(ref c) => Box::new(Neumann {
                options: NeumannOptions { terms: c.terms, step_size: c.step_size, damping: c.damping },
            }),
            Self::FiniteDifference(ref c) => Box::new(FiniteDifference { perturbation: c.perturbation }),
            Self::Identity(ref c) => Box::new(Identity { scale: c.scale }),
            Self::Dense(ref c) => Box::new(DenseSolve { options: DenseOptions { damping: c.damping, limit: c.limit } }),
        }
    }
}

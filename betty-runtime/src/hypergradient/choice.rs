//! The method that a configuration names.

use std::rc::Rc;

use super::{
    ConjugateGradient, DenseSolve, Evolution, FiniteDifference, Forward, ForwardGradient, Gmres, HypergradientMethod,
    Identity, Minres, Mode, Neumann, NextStep, Nystrom, Penalty, Sama,
};
use crate::config::HypergradientConfig;
use crate::linalg::{CgOptions, DenseOptions, GmresOptions, MinresOptions, NeumannOptions, NystromOptions};

impl HypergradientConfig {
    /// The method with these numbers; none for one that the program gives, that looks at the level's next step, or that
    /// goes through its last ones.
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
            Self::Penalty(ref c) => Rc::new(Penalty {
                multiplier: c.multiplier,
                steps: c.steps,
                step_size: c.step_size,
                damping: c.damping,
                warm_start: c.warm_start,
            }),
            Self::Identity(ref c) => Rc::new(Identity { scale: c.scale }),
            Self::Dense(ref c) => Rc::new(DenseSolve { options: DenseOptions { damping: c.damping, limit: c.limit } }),
            Self::Unrolled(_) | Self::Forward(_) | Self::ForwardGradient(_) | Self::Evolution(_) => return None,
            Self::Sama(_) | Self::Custom(_) => return None,
        })
    }

    /// Whether the method looks at the step that the level would take next.
    #[must_use]
    pub fn looks_at_next_step(&self) -> bool {
        matches!(self, Self::Sama(_))
    }

    /// The method that looks at this step.
    #[must_use]
    pub fn build_on(&self, step: Rc<dyn NextStep>) -> Option<Rc<dyn HypergradientMethod>> {
        match self {
            Self::Sama(c) => Some(Rc::new(Sama { step, perturbation: c.perturbation })),
            _ => None,
        }
    }

    /// How the method goes through the steps of the level, `unroll` of which are taken for a step above, if it does.
    #[must_use]
    pub fn mode(&self, unroll: usize) -> Option<Mode> {
        Some(match *self {
            Self::Unrolled(ref c) => Mode::Reverse { unroll, truncate: c.truncate, memory: c.memory },
            Self::Forward(ref c) => Mode::Forward(Rc::new(Forward { limit: c.limit })),
            Self::ForwardGradient(ref c) => {
                Mode::Forward(Rc::new(ForwardGradient { directions: c.directions, seed: c.seed }))
            }
            Self::Evolution(ref c) => {
                Mode::Replay { directions: Rc::new(Evolution { pairs: c.pairs, seed: c.seed }), distance: c.sigma }
            }
            _ => return None,
        })
    }

    /// Whether the program gives the method.
    #[must_use]
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Custom(_))
    }
}

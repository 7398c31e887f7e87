//! Preconditioners of a level's systems, made anew for the matrix of each hypergradient.

use std::fmt::Debug;
use std::rc::Rc;

use super::{HypergradientError, System};
use crate::config::PreconditionerConfig;
use crate::execute::Vector;
use crate::linalg::{Diagonal, DiagonalOptions, LowRank, NystromOptions, Preconditioner};

/// The product with `P⁻¹`, for one matrix.
pub type SystemPreconditioner = Box<dyn for<'a> Preconditioner<System<'a>>>;

/// A way to precondition the systems of a level, whose matrix changes from hypergradient to hypergradient.
///
/// `cg` and `minres` need `P` symmetric and positive definite, the same in each iteration, and check that it is; `gmres` takes any.
///
/// ```
/// use betty_runtime::execute::Vector;
/// use betty_runtime::hypergradient::{HypergradientError, Preconditioning, System, SystemPreconditioner};
/// use betty_runtime::linalg::Coordinates;
///
/// /// The diagonal of the matrix, known from how the loss is made.
/// #[derive(Debug)]
/// struct Scales(Vec<f64>);
///
/// impl Preconditioning for Scales {
///     fn prepare(
///         &self,
///         _system: &mut System<'_>,
///         damping: f64,
///         like: &Vector,
///     ) -> Result<SystemPreconditioner, HypergradientError> {
///         let inverse = like.with_coordinates(&self.0.iter().map(|d| 1.0 / (d + damping)).collect::<Vec<_>>());
///         Ok(Box::new(move |_: &mut System<'_>, r: &Vector| Ok(r.entrywise(&inverse)?)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the preconditioner of a level; implement `betty_runtime::hypergradient::Preconditioning`",
    label = "not a preconditioner"
)]
pub trait Preconditioning: Debug {
    /// What takes residuals of systems with `A + damping·I` to `P⁻¹·r`; `like` is a vector of their space, the first one on the
    /// right-hand side: with a tensor for each parameter of the level that its steps move. All systems with this matrix are
    /// preconditioned by it, of which there are several where levels are nested.
    ///
    /// # Errors
    /// When what it needs of the system cannot be computed.
    fn prepare(
        &self,
        system: &mut System<'_>,
        damping: f64,
        like: &Vector,
    ) -> Result<SystemPreconditioner, HypergradientError>;

    /// Products with the matrix that this takes at the most, for so many unknowns.
    fn products(&self, _unknowns: usize) -> usize {
        0
    }
}

impl Preconditioning for DiagonalOptions {
    fn prepare(
        &self,
        system: &mut System<'_>,
        damping: f64,
        like: &Vector,
    ) -> Result<SystemPreconditioner, HypergradientError> {
        Ok(Box::new(Diagonal::of(system, damping, like, self)?))
    }

    fn products(&self, unknowns: usize) -> usize {
        self.probes.max(1).min(unknowns)
    }
}

/// The damping is that of the system.
impl Preconditioning for NystromOptions {
    fn prepare(
        &self,
        system: &mut System<'_>,
        damping: f64,
        like: &Vector,
    ) -> Result<SystemPreconditioner, HypergradientError> {
        Ok(Box::new(LowRank::of(system, like, &NystromOptions { damping, ..*self })?))
    }

    fn products(&self, unknowns: usize) -> usize {
        2 * self.rank.max(1).min(unknowns)
    }
}

impl PreconditionerConfig {
    /// The preconditioner with these numbers; none for one that the program gives.
    #[must_use]
    pub fn build(&self) -> Option<Rc<dyn Preconditioning>> {
        match *self {
            Self::DiagonalPreconditioner(config) => {
                Some(Rc::new(DiagonalOptions { probes: config.probes, seed: config.seed }))
            }
            Self::NystromPreconditioner(config) => {
                Some(Rc::new(NystromOptions { rank: config.rank, damping: 0.0, seed: config.seed }))
            }
            Self::CustomPreconditioner(_) => None,
        }
    }
}

//! Hypergradients: how an upper level's loss changes through the best response of a lower level.
//!
//! Let `θ*(λ)` minimise the lower loss `c(θ, λ)`, and let `v = ∂C/∂θ` be the *cotangent* that the upper loss `C` sends down.
//! The indirect gradient is `(∂θ*/∂λ)ᵀ v`, and the implicit function theorem at `∂c/∂θ = 0` gives
//!
//! ```text
//! (∂θ*/∂λ)ᵀ v = −(∂²c/∂λ∂θ) q,   where (H + damping·I) q = v,   H = ∂²c/∂θ².
//! ```
//!
//! Every method here answers this question, each in its own file; they differ in how, and how well, they find `q`. Where
//! levels below the lower level answer to it, `∂c/∂θ` is its total gradient and `H` the derivative of that, and the
//! methods of all levels on the way compose.
//!
//! | method | `q` | products | choose it |
//! |---|---|---|---|
//! | [`ConjugateGradient`] | solves the system for symmetric positive definite `H` | one a step | by default; add damping for networks |
//! | [`Minres`] | solves the system for symmetric `H` | one a step | where `H` is not positive definite |
//! | [`Gmres`] | solves the system for any `H` | one a step | where `H` is not symmetric |
//! | [`Neumann`] | `s·Σ_{k<K} (I − s·H)ᵏ v` | `K − 1` | for a cheap bias towards the start, small `s·λ_max` |
//! | [`Nystrom`] | `(Hₖ + damping·I)⁻¹ v` for `Hₖ` of rank `k` | `k + 1` | few large eigenvalues; cannot diverge |
//! | [`Identity`] | `scale · v` | none | many upper steps, crude is enough |
//! | [`FiniteDifference`] | `v`, with a difference quotient for the mixed product | two gradients | lowest cost, as in DARTS |
//! | [`Penalty`] | `K` steps of descent for the displacement of a penalised copy | `K + 2` gradients | no second derivatives |
//! | [`Sama`] | `−(∂Φ/∂g)ᵀ v`, the derivative of the optimizer's step | two gradients | adaptive optimizers, large networks |
//! | [`DenseSolve`] | solves exactly with the whole matrix | one a parameter | tests, small problems |
//! | `unrolled` | needs none: the steps themselves are differentiated, in reverse | one a step | few steps, far from convergence |
//! | `forward` | needs none: as `unrolled`, along with the steps | one a step and upper parameter | few upper parameters, many steps |
//! | `forward_gradient` | needs none: as `forward`, in random directions | one a step and direction | many upper parameters, steps that do not fit in memory |
//! | `evolution` | needs none: the steps are taken again from displaced upper parameters | none | an upper loss without a derivative |
//!
//! `∂c/∂θ = 0` holds only approximately after a finite number of lower steps, so every implicit hypergradient carries the
//! lower level's own optimisation error, whichever method is used. Unrolled differentiation carries none: it is the exact
//! derivative of the steps that were taken (Maclaurin, Duvenaud and Adams, *Gradient-based hyperparameter optimization
//! through reversible learning*, 2015, arXiv:1502.03492; Shaban et al., *Truncated back-propagation for bilevel
//! optimization*, 2019, arXiv:1810.10667, for its `truncate`).

mod along;
mod batches;
pub(crate) mod best_response;
pub(crate) mod blocks;
mod blockwise;
mod choice;
mod conjugate_gradient;
mod count;
mod counting;
mod coupled;
mod dense;
pub(crate) mod direction;
pub(crate) mod directions;
mod elimination;
mod equations;
mod error;
pub(crate) mod evolution;
mod finite_difference;
pub(crate) mod forward;
pub(crate) mod forward_gradient;
mod gmres;
mod identity;
pub(crate) mod inexact;
pub(crate) mod joint;
mod kept;
mod layout;
mod matrix;
mod minres;
pub(crate) mod mode;
mod moved;
mod neumann;
mod nystrom;
mod parts;
mod penalty;
mod preconditioned;
mod preconditioning;
mod preparation;
mod products;
mod reaching;
mod reduced;
mod reference;
pub(crate) mod response;
pub(crate) mod sama;
mod substitution;
pub(crate) mod trajectory;

use std::fmt::Debug;
use std::rc::Rc;

pub(crate) use best_response::BestResponse;
pub(crate) use blocks::Blocks;
pub use conjugate_gradient::ConjugateGradient;
pub(crate) use counting::CountedSteps;
pub use dense::DenseSolve;
pub(crate) use direction::Direction;
pub(crate) use directions::Directions;
pub use error::{HypergradientError, ProductError};
pub(crate) use evolution::Evolution;
pub use finite_difference::FiniteDifference;
pub(crate) use forward::Forward;
pub(crate) use forward_gradient::ForwardGradient;
pub use gmres::Gmres;
pub use identity::Identity;
pub(crate) use inexact::Inexact;
pub(crate) use joint::Joint;
pub use minres::Minres;
pub(crate) use mode::Mode;
pub use neumann::Neumann;
pub use nystrom::Nystrom;
pub use penalty::Penalty;
pub use preconditioning::{Preconditioning, SystemPreconditioner};
pub use products::{ProductCost, Products};
pub(crate) use reference::{reference, reference_without_symmetry};
pub(crate) use response::Response;
pub(crate) use sama::NextStep;
pub use sama::Sama;
pub(crate) use trajectory::Trajectory;

use crate::execute::Vector;
use crate::linalg::{LinearOperator, Solution};

/// The matrix `A` of a system `A·x = v`, known by its products: the Hessian of a level's loss at its current parameters,
/// or, where levels below answer to the level, the reduced Hessian.
pub type System<'a> = dyn LinearOperator<Vector = Vector, Error = ProductError> + 'a;

/// A way to push a cotangent through the best response of a level.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the hypergradient method of a level; implement `betty_runtime::HypergradientMethod`",
    label = "not a hypergradient method"
)]
pub trait HypergradientMethod: Debug {
    /// The method's name in a program, `cg` for instance.
    fn name(&self) -> &'static str;

    /// An approximation of `(A + damping·I)⁻¹·v`, in vectors with a tensor for each parameter of the level that its steps move.
    /// `guess` is the solution at the step before, if the method [keeps](Self::keeps_solution) it and there was one.
    ///
    /// # Errors
    /// [`HypergradientError`] when the system cannot be solved.
    fn solve(&self, system: &mut System<'_>, v: &Vector, guess: Option<Vector>) -> Result<Solved, HypergradientError>;

    /// As [`solve`](Self::solve), for a matrix that may be solved with several times while one hypergradient is found. What the
    /// method leaves in `kept` is there the next time, as long as the matrix is the same: a preconditioner, or a factorization.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    fn solve_keeping(
        &self,
        system: &mut System<'_>,
        v: &Vector,
        guess: Option<Vector>,
        _kept: &mut Option<SystemPreconditioner>,
    ) -> Result<Solved, HypergradientError> {
        self.solve(system, v, guess)
    }

    /// Whether the method is right only for symmetric matrices. Levels that depend on each other make a matrix that is not;
    /// the method then solves its symmetric part, as often as needed for the whole.
    fn needs_symmetry(&self) -> bool {
        false
    }

    /// Whether the next solve shall be given the solution of this one.
    fn keeps_solution(&self) -> bool {
        false
    }

    /// The damping that the method adds to the matrix.
    fn damping(&self) -> f64 {
        0.0
    }

    /// How much the method does at the most to a system of this many unknowns, if it can tell, beside its
    /// [preparation](Self::preparation).
    fn budget(&self, _unknowns: usize) -> Option<Budget> {
        None
    }

    /// How much the method does at the most once for a matrix, whatever it solves with it, because it
    /// [keeps](Self::solve_keeping) what comes of it.
    fn preparation(&self, _unknowns: usize) -> Budget {
        Budget::default()
    }

    /// What the method preconditions with, if it does: one loop over several levels then does so, too.
    fn preconditioning(&self) -> Option<Rc<dyn Preconditioning>> {
        None
    }

    /// How products with second derivatives of the level's loss are formed.
    fn products(&self) -> Products {
        Products::Exact
    }
}

/// What a method does at the most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Products with the matrix.
    pub products: usize,
    /// Transfers from the device, each of which waits for it. With vectors in host memory there are none. That a solver looks twice at
    /// what is doubtful is left out: then it begins again, and reads every number.
    pub reads: f64,
}

/// What a method answers.
#[derive(Clone, Debug)]
pub struct Solved {
    /// The approximate solution.
    pub x: Vector,
    /// Relative residual `‖v − (A + damping·I)·x‖ / ‖v‖`, where the method knows it.
    pub residual: Option<f64>,
}

impl From<Solution<Vector>> for Solved {
    fn from(solution: Solution<Vector>) -> Self {
        Solved { x: solution.x, residual: Some(solution.outcome.residual) }
    }
}

/// What the solves at one level took for one hypergradient, and how good the last one is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SolveReport {
    /// Products with the level's (reduced) Hessian.
    pub products: usize,
    /// Relative residual of the last solve, where the method knows it.
    pub residual: Option<f64>,
    /// Set where [one loop for all levels](Joint) or [inexact nested solves](Inexact) ended above their tolerance, although they do
    /// not go on from step to step.
    pub unfinished: Option<Unfinished>,
}

/// Why a solve ended above its tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unfinished {
    /// The most iterations.
    pub iterations: usize,
    /// The tolerance.
    pub tolerance: f64,
    /// Whether iterations were used up. If not, the residual got no smaller: by rounding errors, or because systems below could
    /// not be solved exactly enough.
    pub is_used_up: bool,
}

//! What a solver answers: a solution with how good it is, or why there is none.

use std::fmt;

use super::remedy::{ROOM, Remedy};

/// An approximate solution of `(A + δI)·x = b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution<V> {
    /// The vector found.
    pub x: V,
    /// How good it is.
    pub outcome: Outcome,
}

/// How far a solver got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Steps taken: iterations, terms, or columns, whatever the solver counts.
    pub iterations: usize,
    /// Relative residual `‖b − (A + δI)·x‖ / ‖b‖`, as far as the solver knows it without another product; 0 for `b = 0`.
    pub residual: f64,
    /// Whether the residual is within what was asked for. `false` is no failure: a budget of few steps is a
    /// legitimate, regularising approximation, and the caller decides whether it is good enough; [`Solution::within`]
    /// makes a failure of it.
    pub converged: bool,
}

impl<V> Solution<V> {
    /// The solution, for callers to whom an unfinished one is a failure.
    ///
    /// # Errors
    /// [`SolveError::NoConvergence`] when the relative residual is above `tolerance`.
    pub fn within<E>(self, tolerance: f64) -> Result<Self, SolveError<E>> {
        let Outcome { iterations, residual, .. } = self.outcome;
        if residual <= tolerance {
            Ok(self)
        } else {
            Err(SolveError::NoConvergence { residual, tolerance, iterations })
        }
    }
}

impl Outcome {
    /// The outcome for `b = 0`, whose solution 0 needs no product.
    pub(super) const TRIVIAL: Outcome = Outcome { iterations: 0, residual: 0.0, converged: true };
}

/// The number in which a solver noticed that something is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The norm of the right-hand side.
    RightHandSide,
    /// The norm of a residual.
    Residual,
    /// The curvature `⟨p, A·p⟩` along a search direction.
    Curvature,
    /// The norm of a term of a series.
    Term,
    /// An entry of the operator's matrix.
    Entry,
    /// The norm of what a preconditioner made of a residual.
    Preconditioned,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::RightHandSide => "the norm of the right-hand side",
            Quantity::Residual => "the norm of the residual",
            Quantity::Curvature => "the curvature along the search direction",
            Quantity::Term => "the norm of the term",
            Quantity::Entry => "an entry of the matrix",
            Quantity::Preconditioned => "what the preconditioner returned",
        })
    }
}

/// Why a linear system has no solution that a solver could stand for.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError<E> {
    /// A direction was met along which the damped operator does not curve upwards.
    #[error(
        "the operator is not positive definite: its curvature is {curvature:.1e} along a direction met in iteration \
         {iteration}, and its smallest eigenvalue at most {smallest:.1e}; {remedy}, or use minres, which does not need it"
    )]
    NotPositiveDefinite {
        /// Iteration that met the direction, from 1.
        iteration: usize,
        /// Rayleigh quotient `⟨p, (A + δI)·p⟩ / ⟨p, p⟩ ≤ 0`.
        curvature: f64,
        /// What the smallest eigenvalue of `A + δI` is at most.
        smallest: f64,
        /// What to change.
        remedy: Remedy,
    },
    /// A number became infinite or not a number.
    #[error("{quantity} is not finite {}", when(*iteration))]
    NotFinite {
        /// Iteration that noticed it; 0 is the preparation before the first one.
        iteration: usize,
        /// Which number it was.
        quantity: Quantity,
    },
    /// The iterations ran out; only [`Solution::within`] says so.
    #[error(
        "the residual is {residual:e} after {iterations} iterations, above the tolerance of {tolerance:e}; allow more \
         iterations, or add damping"
    )]
    NoConvergence {
        /// Relative residual reached.
        residual: f64,
        /// Relative residual asked for.
        tolerance: f64,
        /// Iterations taken.
        iterations: usize,
    },
    /// The terms of a Neumann series grew instead of shrinking, in one solve or, from solution to solution, in many.
    #[error(
        "the series diverges: {} is {growth:.1} times as large as the right-hand side, and grows; step_size {step_size} must \
         be below 2/λ_max, and λ_max is at least {largest:.1e}; {remedy}", residual_after(*term)
    )]
    Diverged {
        /// The term, from 0; that is the residual of what the series starts from.
        term: usize,
        /// Its norm over that of the right-hand side.
        growth: f64,
        /// The step size used.
        step_size: f64,
        /// What the largest eigenvalue of the damped operator is at least.
        largest: f64,
        /// What to change.
        remedy: Remedy,
    },
    /// The matrix would not fit.
    #[error("a dense solve of {dimension} unknowns exceeds the limit of {limit}")]
    TooLarge {
        /// Unknowns of the system.
        dimension: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// The matrix has no inverse in floating point.
    #[error(
        "the matrix is singular: pivot {pivot} is {magnitude:.1e}, which is rounding error beside {size:.1e}; raise the \
         damping by {:.0e} or more", enough(*size)
    )]
    Singular {
        /// Column without a pivot, from 0.
        pivot: usize,
        /// Largest magnitude left in that column.
        magnitude: f64,
        /// Largest magnitude that it was computed from.
        size: f64,
    },
    /// The operator is not symmetric, but the solver needs it to be.
    #[error(
        "the operator is not symmetric: its parts in a random subspace differ from their transpose by {asymmetry:.1e} of \
         their size; use a solver that does not need symmetry, such as gmres"
    )]
    NotSymmetric {
        /// Norm of the difference over the norm of the products it was read from.
        asymmetry: f64,
    },
    /// A Nyström approximation of an operator that is not symmetric is no preconditioner.
    #[error(
        "the operator is not symmetric: its parts in a random subspace differ from their transpose by {asymmetry:.1e} of their size, so \
         that no Nyström approximation can precondition it; use a diagonal, a preconditioner of your own, or none"
    )]
    SketchNotSymmetric {
        /// Norm of the difference over the norm of the products it was read from.
        asymmetry: f64,
    },
    /// An approximation of low rank has no inverse without damping.
    #[error("an approximation of low rank has no inverse without damping; damping is {damping}, but must be positive")]
    Undamped {
        /// The damping given.
        damping: f64,
    },
    /// A preconditioner does not answer to a residual with a vector that points the same way.
    #[error(
        "the preconditioner is not positive definite: ⟨r, P⁻¹r⟩/⟨r, r⟩ is {curvature:.1e} for the residual r of iteration \
         {iteration}; make P⁻¹ positive definite, with the absolute values of a diagonal say, or use gmres, which takes any"
    )]
    PreconditionerNotPositiveDefinite {
        /// Iteration whose residual it was, from 0.
        iteration: usize,
        /// `⟨r, P⁻¹·r⟩ / ⟨r, r⟩ ≤ 0`.
        curvature: f64,
    },
    /// A preconditioner is not symmetric, but the solver needs it to be.
    #[error(
        "the preconditioner is not symmetric: ⟨r, P⁻¹s⟩ and ⟨s, P⁻¹r⟩ differ by {asymmetry:.1e} of their size for two residuals; \
         precondition with a symmetric matrix, or use gmres, which takes any"
    )]
    PreconditionerNotSymmetric {
        /// The difference over what the products could be at most.
        asymmetry: f64,
    },
    /// What a preconditioner makes of a sum is not the sum of what it makes of its parts.
    #[error(
        "the preconditioner is not linear: P⁻¹(r + s) and P⁻¹r + P⁻¹s differ by {nonlinearity:.1e} of their size; let it return the \
         product with one matrix, the same in each iteration, or use gmres, which takes any"
    )]
    PreconditionerNotLinear {
        /// The difference over the size of the parts.
        nonlinearity: f64,
    },
    /// A product with the operator, or a number, could not be had.
    #[error("a product with the operator could not be formed")]
    Operator(#[source] E),
}

crate::report::debug_as_report!(SolveError<E>);

fn when(iteration: usize) -> String {
    if iteration == 0 { "before the first iteration".to_owned() } else { format!("in iteration {iteration}") }
}

fn residual_after(term: usize) -> String {
    if term == 0 { "the residual of what it starts from".to_owned() } else { format!("term {term}") }
}

/// Damping that is no rounding error beside numbers of this size.
fn enough(size: f64) -> f64 {
    if size > 0.0 { ROOM * size } else { 1.0 }
}

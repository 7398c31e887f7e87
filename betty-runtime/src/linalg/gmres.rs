//! Generalised minimal residuals, for operators that are not symmetric.
//!
//! Saad and Schultz, *GMRES: A Generalized Minimal Residual Algorithm for Solving Nonsymmetric Linear Systems* (1986).
//! Arnoldi's process gives an orthonormal basis `V` of the Krylov space `span{r₀, M·r₀, …, Mᵏ⁻¹·r₀}` of `M = A + δI` with
//!
//! ```text
//! M·Vₖ = Vₖ₊₁·H̄        x = x₀ + Vₖ·y,  where y minimises ‖β·e₁ − H̄·y‖,  β = ‖r₀‖
//! ```
//!
//! and plane rotations, one a column, keep the Hessenberg matrix `H̄` triangular, so that the residual is known at every
//! step. A basis of `restart` vectors is kept; when it is full, the process starts again from the `x` found.

mod ahead;
mod triangle;

use super::guess::{Begin, begin};
use super::operator::{apply_damped, damped, dot, read, read_all, unread};
use super::orthogonal::{Parts, orthogonalize, orthogonalize_unread};
use super::rounded::{TRUSTED, is_answered, is_rounding, negligible, reachable};
use super::{InnerProductSpace, LinearOperator, Outcome, Preconditioner, Quantity, Solution, SolveError};
use triangle::Triangle;

/// When to stop, how much to remember, and how much to regularise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GmresOptions {
    /// Most iterations over all restarts, each of one product and as many inner products as the basis has vectors.
    pub iterations: usize,
    /// Most vectors of the basis, at least 1 (0 counts as 1). The residual never grows, but with few vectors it may stop
    /// shrinking; as many as there are unknowns always suffice.
    pub restart: usize,
    /// Relative residual `‖r‖ / ‖b‖` that is small enough. Four rounding units of the vectors always are: below that a residual is
    /// no information. So with 0 it stops there, or when rounding errors let it get no further.
    pub tolerance: f64,
    /// `δ ≥ 0` in `A + δI`.
    pub damping: f64,
}

/// Solves `(A + δI)·x = b` for any invertible `A + δI`, symmetric or not, starting from `guess` or from 0.
///
/// The residual in the outcome is the true one; measuring it costs one product a restart, besides those of the iterations. An `x`
/// whose residual is larger than that of the restart before is not taken.
///
/// # Errors
/// [`SolveError::Singular`] when the Krylov space is exhausted before `b` is reached up to the root of the rounding unit: where a
/// pivot is below eight rounding units of the largest product, and a product that is formed again differs by as much, or a
/// residual of more than half of `b` got no smaller although it is twice what the recurrence says.
/// [`SolveError::NotFinite`], [`SolveError::Operator`]. Running out of iterations is an [`Outcome`], not an error; so is a basis
/// that is too short to get any further.
pub fn gmres<A: LinearOperator + ?Sized>(
    operator: &mut A,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &GmresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    run(operator, (&mut |_, _| Ok(None), false), b, guess, options)
}

/// As [`gmres`], prepared on the right: `precondition` answers about `M⁻¹·v`, and may be another map each time.
///
/// Saad, *A flexible inner-outer preconditioned GMRES algorithm* (1993): with `zₖ = M̃ₖ⁻¹·vₖ` the process goes on along
/// `M·zₖ`, and the answer is the combination of the `zₖ`, which are kept beside the basis. The residual is that of the system
/// itself.
///
/// # Errors
/// As [`gmres`], and [`SolveError::Operator`] where `precondition` fails.
pub fn flexible_gmres<A: LinearOperator + ?Sized>(
    operator: &mut A,
    mut precondition: impl FnMut(&mut A, &A::Vector) -> Result<A::Vector, A::Error>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &GmresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let prepare = &mut |operator: &mut A, v: &_| precondition(operator, v).map(Some).map_err(SolveError::Operator);
    run(operator, (prepare, false), b, guess, options)
}

/// As [`gmres`], with a [preconditioner](Preconditioner) on the right, which may be any: it need not be symmetric, definite, or
/// the same in each iteration. That is [`flexible_gmres`], with the answers of the preconditioner checked.
///
/// # Errors
/// As [`gmres`], and [`SolveError::NotFinite`] for what the preconditioner returned.
pub fn preconditioned_gmres<A: LinearOperator + ?Sized>(
    operator: &mut A,
    preconditioner: &mut dyn Preconditioner<A>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &GmresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let prepare = &mut |operator: &mut A, v: &A::Vector| {
        preconditioner.precondition(operator, v).map(Some).map_err(SolveError::Operator)
    };
    run(operator, (prepare, true), b, guess, options)
}

/// What a vector of the basis is prepared to; none for itself.
pub(super) type Prepare<'p, A> = dyn FnMut(
        &mut A,
        &<A as LinearOperator>::Vector,
    ) -> Result<Option<<A as LinearOperator>::Vector>, SolveError<<A as LinearOperator>::Error>>
    + 'p;

/// With what prepares, and whether its answers are checked.
fn run<A: LinearOperator + ?Sized>(
    operator: &mut A,
    (prepare, is_checked): (&mut Prepare<'_, A>, bool),
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &GmresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let every = b.check_every();
    if every > 1
        && let Some(solution) = ahead::run(operator, (&mut *prepare, is_checked), b, guess.clone(), (options, every))?
    {
        return Ok(solution);
    }
    watched(operator, (prepare, is_checked), b, guess, options)
}

/// Reads every number, and looks twice at those that are doubtful.
fn watched<A: LinearOperator + ?Sized>(
    operator: &mut A,
    (prepare, is_checked): (&mut Prepare<'_, A>, bool),
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &GmresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let GmresOptions { damping, .. } = *options;
    let tolerance = reachable(options.tolerance, b);
    let squared = unread::<A>(b, b)?;
    let square = read::<A>(&squared, 0, Quantity::RightHandSide)?;
    if square == 0.0 {
        return Ok(Solution { x: b.zero(), outcome: Outcome::TRIVIAL });
    }
    let Begin { mut x, mut r, square: of_rest, .. } = begin(operator, damping, b, guess, (squared, square))?;
    let (scale, mut norm) = (square.sqrt(), read::<A>(&of_rest, 0, Quantity::Residual)?.sqrt());
    let (mut iterations, mut largest) = (0, 0.0);
    // What says that the Krylov space was exhausted, and whether nothing is to be gained from going on at its end.
    let (mut exhausted, mut is_stuck) = (None, false);
    loop {
        let converged = norm <= tolerance * scale;
        if converged || is_stuck || iterations == options.iterations {
            return match exhausted {
                Some(error) if !is_answered(norm / scale, b) => Err(error),
                _ => Ok(Solution { x, outcome: Outcome { iterations, residual: norm / scale, converged } }),
            };
        }
        let most = options.restart.max(1).min(options.iterations - iterations);
        let mut cycle = Cycle::new(r.clone(), norm, largest);
        let mut ends = false;
        while cycle.len() < most && cycle.residual() > tolerance * scale && !ends {
            iterations += 1;
            let mut checked = |operator: &mut A, v: &A::Vector| {
                let z = prepare(operator, v)?;
                if let Some(z) = z.as_ref().filter(|_| is_checked) {
                    dot::<A>(z, z, iterations, Quantity::Preconditioned)?;
                }
                Ok(z)
            };
            match cycle.extend(operator, &mut checked, &mut A::apply, damping, iterations) {
                Err(error @ SolveError::Singular { .. }) => {
                    exhausted.get_or_insert(error);
                    ends = true;
                }
                extended => extended?,
            }
        }
        largest = cycle.largest;
        if cycle.len() == 0 {
            is_stuck = true;
            continue;
        }
        let expected = if ends { 0.0 } else { cycle.residual() };
        let (pivot, magnitude) = cycle.triangle.smallest_pivot();
        let mut next = x.clone();
        cycle.improve(&mut next);
        let rest = residual(operator, damping, b, &next)?;
        let left = dot::<A>(&rest, &rest, iterations, Quantity::Residual)?.sqrt();
        // Where the residual is no longer what the recurrence says, or grows, rounding errors are all that is left of it.
        is_stuck = left > norm || (left > 0.5 * norm && expected <= tolerance * scale);
        if left <= norm {
            (x, r, norm) = (next, rest, left);
        }
        if is_stuck && norm > 0.5 * scale && left > TRUSTED * expected {
            // The recurrence has an answer that is none. Where it has none itself, the basis was too short to get anywhere.
            exhausted.get_or_insert(SolveError::Singular { pivot, magnitude, size: largest });
        }
    }
}

/// `b − (A + δI)·x`
fn residual<A: LinearOperator + ?Sized>(
    operator: &mut A,
    damping: f64,
    b: &A::Vector,
    x: &A::Vector,
) -> Result<A::Vector, SolveError<A::Error>> {
    let mut r = b.clone();
    r.add_scaled((-1.0).into(), &apply_damped(operator, damping, x)?);
    Ok(r)
}

/// One run of Arnoldi's process, with the least-squares problem it leads to.
pub(super) struct Cycle<V> {
    /// Orthonormal; one vector more than there are columns, until the space is exhausted.
    basis: Vec<V>,
    /// What each was prepared to, if anything.
    prepared: Vec<Option<V>>,
    triangle: Triangle,
    /// The largest `‖M·v‖` seen, which measures what rounding errors are.
    largest: f64,
}

impl<V: InnerProductSpace> Cycle<V> {
    /// Starts from the residual `r` of this norm, for an operator of which a product was as long as `largest`.
    pub(super) fn new(mut r: V, norm: f64, largest: f64) -> Self {
        r.scale((1.0 / norm).into());
        Cycle { basis: vec![r], prepared: Vec::new(), triangle: Triangle::new(norm), largest }
    }

    pub(super) fn len(&self) -> usize {
        self.triangle.len()
    }

    /// The norm of the residual, as the recurrence has it.
    pub(super) fn residual(&self) -> f64 {
        self.triangle.residual()
    }

    /// One step of Arnoldi's process, with products that are formed like this. Where the space is exhausted, it is as before.
    pub(super) fn extend<A: LinearOperator<Vector = V> + ?Sized>(
        &mut self,
        operator: &mut A,
        prepare: &mut Prepare<'_, A>,
        form: &mut impl FnMut(&mut A, &V) -> Result<V, A::Error>,
        damping: f64,
        iteration: usize,
    ) -> Result<(), SolveError<A::Error>> {
        let k = self.len();
        let prepared = prepare(operator, &self.basis[k])?;
        let z = prepared.as_ref().unwrap_or(&self.basis[k]);
        let mut w = damped(form(operator, z).map_err(SolveError::Operator)?, damping, z);
        self.prepared.push(prepared);
        let (along, before, length) = self.parts::<A>(&mut w, iteration)?;
        self.largest = self.largest.max(before);
        let column = self.triangle.turned(along, length);
        let pivot = column.pivot();
        if pivot <= negligible(self.largest, &w) {
            let z = self.prepared[k].as_ref().unwrap_or(&self.basis[k]);
            let product = damped(form(operator, z).map_err(SolveError::Operator)?, damping, z);
            if is_rounding(operator, form, damping, (z, &product), pivot, iteration)? {
                return Err(SolveError::Singular { pivot: k, magnitude: pivot, size: self.largest });
            }
        }
        self.triangle.push(column);
        // Without a rest the space is exhausted, and the residual is 0.
        if length > 0.0 {
            w.scale((1.0 / length).into());
            self.basis.push(w);
        }
        Ok(())
    }

    /// Takes the parts along the basis out of `w`; what those are, the length before, and that of what is left. Where numbers are not at
    /// hand, all of them come in one transfer.
    fn parts<A: LinearOperator<Vector = V> + ?Sized>(
        &self,
        w: &mut V,
        iteration: usize,
    ) -> Result<(Vec<f64>, f64, f64), SolveError<A::Error>> {
        if w.check_every() == 1 {
            let Parts { along, before, left, .. } = orthogonalize::<A>(w, &self.basis, iteration)?;
            return Ok((along, before, left));
        }
        let column = orthogonalize_unread::<A>(w, &self.basis, None)?;
        let numbers: Vec<V::Scalar> = column.numbers().collect();
        let mut numbers = read_all::<A>(&numbers, iteration, Quantity::Entry)?.into_iter();
        let known = column.known(&mut || numbers.next().unwrap_or(f64::NAN), w);
        known.ok_or(SolveError::NotFinite { iteration, quantity: Quantity::Entry })
    }

    /// Adds the combination of the basis with the smallest residual to `x`.
    pub(super) fn improve(self, x: &mut V) {
        for ((v, prepared), factor) in self.basis.iter().zip(&self.prepared).zip(self.triangle.solve()) {
            x.add_scaled(factor.into(), prepared.as_ref().unwrap_or(v));
        }
    }
}

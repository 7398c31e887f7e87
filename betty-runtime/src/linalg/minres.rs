//! Minimal residuals, for symmetric operators that need not be definite.
//!
//! Paige and Saunders, *Solution of Sparse Indefinite Systems of Linear Equations* (1975). Lanczos's process gives an
//! orthonormal basis in which `M = A + δI` is tridiagonal; plane rotations make it triangular, and the iterate of smallest
//! residual in the Krylov space follows from the last three vectors alone:
//!
//! ```text
//! β′·v′ = M·v − α·v − β·v₋₁,   α = ⟨v, M·v⟩        ρ₁·w = v − ρ₂·w₋₁ − ρ₃·w₋₂        x ← x + c·η·w        η ← −s·η
//! ```
//!
//! With a preconditioner `P` the vectors are orthonormal in the inner product of `P⁻¹`, and `z = P⁻¹·v` is what is multiplied and
//! what directions are made of; the norm that is minimised is that of `P⁻¹`. The residual itself is then kept beside it,
//! `r ← s²·r − s·η·c·v′`, to be measured by its own norm.
//!
//! It is what conjugate gradients are for definite operators, at two more vectors of memory: where the Hessian of a network
//! away from its minimum curves downwards, conjugate gradients stop and this goes on.

mod ahead;
mod watch;

use super::ahead::else_watched;
use super::guess::{Begin, begin};
use super::operator::{apply_damped, dot, read, unread};
use super::preconditioner::Checked;
use super::rounded::{TRUSTED, negligible, reachable};
use super::{InnerProductSpace, LinearOperator, Outcome, Preconditioner, Quantity, Solution, SolveError};

/// When to stop, and how much to regularise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinresOptions {
    /// Most iterations, each of one product and two inner products.
    pub iterations: usize,
    /// Relative residual `‖r‖ / ‖b‖` that is small enough. Four rounding units of the vectors always are: below that a residual is
    /// no information. So with 0 iterations end there, or when they are used up.
    pub tolerance: f64,
    /// `δ ≥ 0` in `A + δI`.
    pub damping: f64,
}

/// After so many iterations the residual is measured for the first time, then after each power of two, and at the end.
const MEASURED: usize = 16;

/// How many products a run of so many iterations measures its residual by.
pub(crate) fn measurements(iterations: usize) -> usize {
    let powers = (iterations / MEASURED).checked_ilog2().map_or(0, |power| power as usize + 1);
    let is_last_one = iterations >= MEASURED && iterations.is_power_of_two();
    powers + usize::from(!is_last_one)
}

/// Solves `(A + δI)·x = b` for symmetric, invertible `A + δI`, starting from `guess` or from 0.
///
/// The residual in the outcome is measured. The recurrence's own falls below it where directions grow long, by rounding errors that
/// the square of the condition number enlarges (Sleijpen, van der Vorst and Modersitzki, *Differences in the effects of rounding
/// errors in Krylov solvers*, 2000), and without bound where `A + δI` has no inverse. So it is measured after 16 iterations and
/// each power of two as well: once it is more than twice what the recurrence says, the best of what was measured is the answer.
///
/// # Errors
/// [`SolveError::Singular`] when the Krylov space is exhausted before `b` is reached, or nothing that was measured is better than
/// 0; [`SolveError::NotFinite`], [`SolveError::Operator`]. Running out of iterations is an [`Outcome`], not an error.
pub fn minres<A: LinearOperator + ?Sized>(
    operator: &mut A,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &MinresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    run(operator, None, b, guess, options)
}

/// As [`minres`], with a [preconditioner](Preconditioner) that is linear, symmetric and positive definite, though the operator need
/// not be; each iteration takes one product with its inverse and two inner products more, and the first one as many again.
///
/// # Errors
/// As [`minres`], and [`SolveError::PreconditionerNotPositiveDefinite`], [`SolveError::PreconditionerNotSymmetric`] and
/// [`SolveError::PreconditionerNotLinear`]: the first is noticed at any residual, the others at the first two.
pub fn preconditioned_minres<A: LinearOperator + ?Sized>(
    operator: &mut A,
    preconditioner: &mut dyn Preconditioner<A>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &MinresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    run(operator, Some(preconditioner), b, guess, options)
}

/// What preconditioning adds to the state of the iteration.
struct Prepared<'p, A: LinearOperator + ?Sized> {
    preconditioner: Checked<'p, A>,
    /// `P⁻¹·v`
    z: A::Vector,
    r: A::Vector,
    /// `‖r‖`
    norm: f64,
    /// `‖v‖`
    length: f64,
    /// The largest `⟨v, P⁻¹·v⟩/⟨v, v⟩` so far.
    largest: f64,
}

impl<'p, A: LinearOperator + ?Sized> Prepared<'p, A> {
    /// At a residual of this norm, with `√⟨r, P⁻¹·r⟩`.
    fn new(
        operator: &mut A,
        preconditioner: Checked<'p, A>,
        r: &A::Vector,
        norm: f64,
    ) -> Result<(Self, f64), SolveError<A::Error>> {
        let (z, r) = (r.clone(), r.clone());
        let mut prepared = Prepared { preconditioner, z, r: r.clone(), norm, length: norm, largest: 0.0 };
        let (z, eta) = prepared.precondition(operator, &r, norm, 0)?;
        prepared.take(z, eta);
        Ok((prepared, eta))
    }

    /// `P⁻¹·v` with `√⟨v, P⁻¹·v⟩`, for the next vector of the basis before it is scaled.
    fn precondition(
        &mut self,
        operator: &mut A,
        v: &A::Vector,
        size: f64,
        iteration: usize,
    ) -> Result<(A::Vector, f64), SolveError<A::Error>> {
        let z = self.preconditioner.precondition(operator, v, iteration)?;
        let product = dot::<A>(v, &z, iteration, Quantity::Preconditioned)?;
        let square = dot::<A>(v, v, iteration, Quantity::Entry)?;
        self.length = square.sqrt();
        if self.length <= negligible(size, v) {
            return Ok((z, 0.0));
        }
        let curvature = product / square;
        self.largest = self.largest.max(curvature);
        if curvature <= f64::EPSILON * self.largest {
            return Err(SolveError::PreconditionerNotPositiveDefinite { iteration, curvature });
        }
        Ok((z, product.sqrt()))
    }

    /// Takes `P⁻¹·v` over, `v` being scaled by one over this.
    fn take(&mut self, mut z: A::Vector, length: f64) {
        if length > 0.0 {
            z.scale((1.0 / length).into());
            self.length /= length;
        }
        self.z = z;
    }
}

fn run<A: LinearOperator + ?Sized>(
    operator: &mut A,
    preconditioner: Option<&mut dyn Preconditioner<A>>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &MinresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let every = b.check_every();
    else_watched(
        operator,
        preconditioner,
        guess,
        every,
        |operator, checked, guess| ahead::run(operator, checked, b, guess, (options, every)),
        |operator, checked, guess| watched(operator, checked, b, guess, options),
    )
}

/// Whether the residual is measured after so many iterations, though they are not the last.
fn is_measured(iterations: usize) -> bool {
    iterations >= MEASURED && iterations.is_power_of_two()
}

/// Reads every number.
fn watched<A: LinearOperator + ?Sized>(
    operator: &mut A,
    preconditioner: Option<Checked<'_, A>>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &MinresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let MinresOptions { damping, .. } = *options;
    let tolerance = reachable(options.tolerance, b);
    let squared = unread::<A>(b, b)?;
    let square = read::<A>(&squared, 0, Quantity::RightHandSide)?;
    if square == 0.0 {
        return Ok(Solution { x: b.zero(), outcome: Outcome::TRIVIAL });
    }
    let Begin { mut x, r: mut v, square: of_rest, is_guess } = begin(operator, damping, b, guess, (squared, square))?;
    // What is left of the residual's norm has a sign.
    let (scale, mut eta) = (square.sqrt(), read::<A>(&of_rest, 0, Quantity::Residual)?.sqrt());
    let mut best = is_guess.then(|| (x.clone(), eta / scale));
    let mut prepared = None;
    if let Some(preconditioner) = preconditioner.filter(|_| eta > 0.0) {
        let first = Prepared::new(operator, preconditioner, &v, eta)?;
        eta = first.1;
        prepared = Some(first.0);
    }
    if eta > 0.0 {
        v.scale((1.0 / eta).into());
    }
    let mut previous = b.zero();
    let mut beta = 0.0;
    let (mut w, mut w_previous) = (b.zero(), b.zero());
    let (mut rotation, mut rotation_previous) = ((1.0, 0.0), (1.0, 0.0));
    let mut largest = 0.0_f64;
    let mut smallest = f64::INFINITY;
    let mut iterations = 0;
    loop {
        let claimed = prepared.as_ref().map_or(eta.abs(), |prepared| prepared.norm) / scale;
        let is_last = iterations == options.iterations;
        if claimed <= tolerance || is_last || is_measured(iterations) {
            let residual = match iterations {
                // It has just been formed.
                0 => claimed,
                _ => residual(operator, damping, b, &x, iterations)? / scale,
            };
            let is_trusted = residual <= TRUSTED * claimed;
            let is_better = best.as_ref().map_or(residual <= 1.0 || is_trusted, |(_, best)| residual < *best);
            if is_better {
                best = Some((x.clone(), residual));
            }
            if residual <= tolerance || is_last || !is_trusted {
                let Some((x, residual)) = best else {
                    return Err(SolveError::Singular { pivot: iterations, magnitude: smallest, size: largest });
                };
                return Ok(Solution { x, outcome: Outcome { iterations, residual, converged: residual <= tolerance } });
            }
        }
        iterations += 1;
        // What is known to be along the vector before goes first: its rounding errors would be taken for a part along v.
        let along = prepared.as_ref().map_or(&v, |prepared| &prepared.z);
        let mut next = apply_damped(operator, damping, along)?;
        next.add_scaled((-beta).into(), &previous);
        let alpha = dot::<A>(along, &next, iterations, Quantity::Curvature)?;
        next.add_scaled((-alpha).into(), &v);
        // The directions are made of what is multiplied.
        let mut direction = along.clone();
        let (z, mut length) = match &mut prepared {
            None => (None, dot::<A>(&next, &next, iterations, Quantity::Entry)?.sqrt()),
            Some(prepared) => {
                let size = alpha.abs().max(beta) * prepared.length;
                let (z, length) = prepared.precondition(operator, &next, size, iterations)?;
                (Some(z), length)
            }
        };
        largest = largest.max(alpha.abs()).max(length).max(beta);
        if length <= negligible(largest, b) {
            length = 0.0;
        }
        // The new column of the tridiagonal matrix is (β, α, length); the two rotations before make it (ρ₃, ρ₂, δ).
        let ((cosine, sine), (cosine_previous, sine_previous)) = (rotation, rotation_previous);
        let delta = cosine * alpha - cosine_previous * sine * beta;
        let rho_2 = sine * alpha + cosine_previous * cosine * beta;
        let rho_3 = sine_previous * beta;
        let rho_1 = delta.hypot(length);
        smallest = smallest.min(rho_1);
        if rho_1 <= negligible(largest, b) {
            return Err(SolveError::Singular { pivot: iterations - 1, magnitude: rho_1, size: largest });
        }
        (rotation_previous, rotation) = (rotation, (delta / rho_1, length / rho_1));

        direction.add_scaled((-rho_3).into(), &w_previous);
        direction.add_scaled((-rho_2).into(), &w);
        direction.scale((1.0 / rho_1).into());
        x.add_scaled((rotation.0 * eta).into(), &direction);
        eta *= -rotation.1;
        (w_previous, w) = (w, direction);

        if length > 0.0 {
            next.scale((1.0 / length).into());
        }
        if let (Some(prepared), Some(z)) = (&mut prepared, z) {
            prepared.take(z, length);
            prepared.r.combine(rotation.1.powi(2).into(), (eta * rotation.0).into(), &next);
            prepared.norm = dot::<A>(&prepared.r, &prepared.r, iterations, Quantity::Residual)?.sqrt();
        }
        (previous, v) = (v, next);
        beta = length;
    }
}

/// `‖b − (A + δI)·x‖`
fn residual<A: LinearOperator + ?Sized>(
    operator: &mut A,
    damping: f64,
    b: &A::Vector,
    x: &A::Vector,
    iteration: usize,
) -> Result<f64, SolveError<A::Error>> {
    let mut r = b.clone();
    r.add_scaled((-1.0).into(), &apply_damped(operator, damping, x)?);
    Ok(dot::<A>(&r, &r, iteration, Quantity::Residual)?.sqrt())
}

//! Conjugate gradients for symmetric positive definite operators.
//!
//! Hestenes and Stiefel, *Methods of Conjugate Gradients for Solving Linear Systems* (1952). After `k` products the
//! iterate minimises `½⟨x, A·x⟩ − ⟨b, x⟩` over the Krylov space `x₀ + span{r₀, A·r₀, …, Aᵏ⁻¹·r₀}`:
//!
//! ```text
//! α = ⟨r, r⟩ / ⟨p, A·p⟩      x ← x + α·p      r ← r − α·A·p
//! β = ⟨r′, r′⟩ / ⟨r, r⟩      p ← r′ + β·p
//! ```
//!
//! With a preconditioner `P` the direction follows `z = P⁻¹·r` instead of `r`, and `⟨r, z⟩` stands for `⟨r, r⟩` in `α` and `β`:
//! the same iteration in the inner product of `P`.

mod ahead;

use super::ahead::else_watched;
use super::definite::Suspect;
use super::guess::{Begin, begin};
use super::operator::{apply_damped, dot, read, unread};
use super::preconditioner::{Checked, Positive};
use super::rounded::{is_answered, is_rounding, reachable};
use super::{InnerProductSpace, LinearOperator, Outcome, Preconditioner, Quantity, Solution, SolveError};

/// When to stop, and how much to regularise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CgOptions {
    /// Most iterations, each of one product and two inner products.
    pub iterations: usize,
    /// Relative residual `‖r‖ / ‖b‖` that is small enough. Four rounding units of the vectors always are: below that a residual is
    /// no information. So with 0 iterations end there, or when they are used up.
    pub tolerance: f64,
    /// `δ ≥ 0` in `A + δI`.
    pub damping: f64,
}

/// Solves `(A + δI)·x = b`, starting from `guess` or from 0.
///
/// The residual in the outcome is the recursively updated one; it drifts from the true residual only by rounding errors
/// of the order of `‖A‖·‖x‖`.
///
/// A curvature `⟨p, (A + δI)·p⟩/⟨p, p⟩` of a rounding unit of the largest one is looked at twice. If
/// `(A + δI)·p` is itself rounding error, there is no going on: `x` is the answer if its residual is below the root of the rounding
/// unit, and the curvature counts as 0 otherwise. If it is not, as where unknowns have very different units, the step is taken, and
/// the residual has to be below that root, or the tolerance, in the end: of a system without a solution it is not, however far the
/// steps lead.
///
/// # Errors
/// [`SolveError::NotPositiveDefinite`] when the operator turns out not to be what the method needs, with the damping that
/// makes it so, which takes 20 to 60 products more; [`SolveError::NotFinite`], [`SolveError::Operator`]. Running out of iterations is an [`Outcome`], not an error.
pub fn conjugate_gradient<A: LinearOperator + ?Sized>(
    operator: &mut A,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &CgOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    run(operator, None, b, guess, options)
}

/// As [`conjugate_gradient`], with a [preconditioner](Preconditioner) that is linear, symmetric and positive definite; each
/// iteration takes one product with its inverse and one inner product more, and the first one more of each.
///
/// # Errors
/// As [`conjugate_gradient`], and [`SolveError::PreconditionerNotPositiveDefinite`],
/// [`SolveError::PreconditionerNotSymmetric`] and [`SolveError::PreconditionerNotLinear`]: the first is noticed at any residual, the
/// others at the first two.
pub fn preconditioned_conjugate_gradient<A: LinearOperator + ?Sized>(
    operator: &mut A,
    preconditioner: &mut dyn Preconditioner<A>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &CgOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    run(operator, Some(preconditioner), b, guess, options)
}

/// What preconditioning adds to the state of the iteration.
struct Prepared<V: InnerProductSpace> {
    /// `P⁻¹·r`
    z: V,
    /// `⟨r, z⟩`
    rz: V::Scalar,
    largest: Positive,
}

impl<V: InnerProductSpace> Prepared<V> {
    fn at<A: LinearOperator<Vector = V> + ?Sized>(
        operator: &mut A,
        preconditioner: &mut Checked<'_, A>,
        r: &V,
        iteration: usize,
        largest: Positive,
    ) -> Result<Self, SolveError<A::Error>> {
        let z = preconditioner.precondition(operator, r, iteration)?;
        let rz = unread::<A>(r, &z)?;
        Ok(Prepared { z, rz, largest })
    }
}

/// What tells a curvature from rounding errors, both in the inner product of `P`.
#[derive(Default)]
struct Flatness {
    /// `⟨p, P·p⟩`: the next residual is at right angles to `p`.
    length: f64,
    /// `⟨r, z⟩`
    last: f64,
    /// The largest `⟨p, A·p⟩/⟨r, z⟩` so far, which is a pivot of Lanczos's tridiagonal matrix and at most its largest eigenvalue.
    largest: f64,
    /// The first iteration whose direction was flat, though its product was none of rounding errors.
    first: Option<usize>,
}

impl Flatness {
    /// Whether the curvature along the direction `z + β·p` may be rounding error.
    fn is_flat<V: InnerProductSpace>(&mut self, curvature: f64, rz: f64, like: &V) -> bool {
        let beta = if self.last > 0.0 { rz / self.last } else { 0.0 };
        self.length = rz + beta * beta * self.length;
        self.last = rz;
        self.largest = self.largest.max((curvature / rz).abs());
        (curvature / self.length).abs() <= like.rounding() * self.largest
    }
}

fn run<A: LinearOperator + ?Sized>(
    operator: &mut A,
    preconditioner: Option<&mut dyn Preconditioner<A>>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &CgOptions,
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

/// Reads every number, and looks twice at those that are doubtful.
fn watched<A: LinearOperator + ?Sized>(
    operator: &mut A,
    mut preconditioner: Option<Checked<'_, A>>,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &CgOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let CgOptions { damping, .. } = *options;
    let tolerance = reachable(options.tolerance, b);
    let squared = unread::<A>(b, b)?;
    let scale = read::<A>(&squared, 0, Quantity::RightHandSide)?;
    if scale == 0.0 {
        return Ok(Solution { x: b.zero(), outcome: Outcome::TRIVIAL });
    }
    let Begin { mut x, mut r, square: mut rr, .. } = begin(operator, damping, b, guess, (squared, scale))?;
    let mut prepared = match &mut preconditioner {
        None => None,
        Some(preconditioner) => Some(Prepared::at(operator, preconditioner, &r, 0, Positive::default())?),
    };
    let mut p = prepared.as_ref().map_or_else(|| r.clone(), |prepared| prepared.z.clone());
    let suspect = Suspect { damping, start: b, iterations: options.iterations };
    let (mut flatness, mut iterations) = (Flatness::default(), 0);
    loop {
        let square = read::<A>(&rr, iterations, Quantity::Residual)?;
        let residual = (square / scale).sqrt();
        let converged = residual <= tolerance;
        let is_last = iterations == options.iterations;
        if let Some(first) = flatness.first.filter(|_| is_last && !converged && !is_answered(residual, b)) {
            return Err(suspect.not_positive_definite(operator, first, 0.0));
        }
        if converged || is_last {
            return Ok(Solution { x, outcome: Outcome { iterations, residual, converged } });
        }
        let mut rz = square;
        if let Some(prepared) = &mut prepared {
            rz = read::<A>(&prepared.rz, iterations, Quantity::Preconditioned)?;
            prepared.largest.check::<A::Error>(rz, square, iterations)?;
        }
        iterations += 1;
        let product = apply_damped(operator, damping, &p)?;
        let curvature = unread::<A>(&p, &product)?;
        let along = read::<A>(&curvature, iterations, Quantity::Curvature)?;
        if flatness.is_flat(along, rz, b) {
            let part = dot::<A>(&product, &product, iterations, Quantity::Curvature)?.sqrt();
            if is_rounding(operator, &mut A::apply, damping, (&p, &product), part, iterations)? {
                if is_answered(residual, b) {
                    return Ok(Solution { x, outcome: Outcome { iterations, residual, converged: false } });
                }
                let curvature = along.min(0.0) / dot::<A>(&p, &p, iterations, Quantity::Curvature)?;
                return Err(suspect.not_positive_definite(operator, iterations, curvature));
            }
            flatness.first.get_or_insert(iterations);
        }
        if along <= 0.0 {
            let curvature = along / dot::<A>(&p, &p, iterations, Quantity::Curvature)?;
            return Err(suspect.not_positive_definite(operator, iterations, curvature));
        }
        let alpha = prepared.as_ref().map_or(&rr, |prepared| &prepared.rz).clone() / curvature;
        x.add_scaled(alpha.clone(), &p);
        r.add_scaled(-alpha, &product);
        let previous = rr;
        rr = unread::<A>(&r, &r)?;
        if iterations < options.iterations {
            match (&mut preconditioner, prepared) {
                (Some(preconditioner), Some(last)) => {
                    let next = Prepared::at(operator, preconditioner, &r, iterations, last.largest)?;
                    p.combine(next.rz.clone() / last.rz, (1.0).into(), &next.z);
                    prepared = Some(next);
                }
                _ => {
                    prepared = None;
                    p.combine(rr.clone() / previous, (1.0).into(), &r);
                }
            }
        }
    }
}

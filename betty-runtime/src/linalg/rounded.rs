//! Which numbers of a solve are rounding errors of its vectors.

use super::operator::{damped, dot};
use super::{InnerProductSpace, LinearOperator, Quantity, SolveError};

/// A residual of this many roundings of the right-hand side is made of them. Going on from there adds to the solution what the
/// operator hardly sees: where it has no inverse, without bound.
const RESIDUAL: f64 = 4.0;

/// A residual that is measured to be so many times as large as a recurrence says is none of its making.
pub(super) const TRUSTED: f64 = 2.0;

/// A number of this many roundings of those that it was computed from may be made of them …
const NEGLIGIBLE: f64 = 8.0;

/// … and is, if the product with a multiple of the vector, which rounds otherwise, differs by this part of it.
const DIFFERS: f64 = 0.25;

/// The multiple: no power of two.
const MULTIPLE: f64 = 4.0 / 3.0;

/// The relative residual that is small enough where this is asked for.
pub(crate) fn reachable<V: InnerProductSpace>(tolerance: f64, b: &V) -> f64 {
    tolerance.max(RESIDUAL * b.rounding())
}

/// The size beside numbers of this one below which a number may be rounding error.
pub(super) fn negligible<V: InnerProductSpace>(size: f64, like: &V) -> f64 {
    NEGLIGIBLE * like.rounding() * size
}

/// Whether a relative residual is so small that an operator which shows no more of itself has been solved for all the same.
pub(super) fn is_answered<V: InnerProductSpace>(residual: f64, b: &V) -> bool {
    residual <= b.rounding().sqrt()
}

/// Whether a part of this size of the product `(A + δI)·x`, formed like this, is made of rounding errors; 0 is.
pub(super) fn is_rounding<A: LinearOperator + ?Sized>(
    operator: &mut A,
    form: &mut impl FnMut(&mut A, &A::Vector) -> Result<A::Vector, A::Error>,
    damping: f64,
    (x, product): (&A::Vector, &A::Vector),
    part: f64,
    iteration: usize,
) -> Result<bool, SolveError<A::Error>> {
    let mut multiple = x.clone();
    multiple.scale(MULTIPLE.into());
    let mut rest = damped(form(operator, &multiple).map_err(SolveError::Operator)?, damping, &multiple);
    rest.add_scaled((-MULTIPLE).into(), product);
    let difference = dot::<A>(&rest, &rest, iteration, Quantity::Entry)?.sqrt();
    Ok(difference >= DIFFERS * MULTIPLE * part)
}

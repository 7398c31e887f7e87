//! The ends of a symmetric operator's spectrum, with bounds of their errors.

use super::lanczos::{RitzValue, lanczos};
use super::remedy::ROOM;
use super::{LinearOperator, SolveError};

/// One end of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// The estimate. It is no further out than the end itself, up to rounding errors.
    pub value: f64,
    /// An eigenvalue of a symmetric operator is this close to the estimate, rounding errors included.
    pub error: f64,
}

/// What is known of the eigenvalues of a symmetric operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spectrum {
    /// The lower end; the smallest eigenvalue is at most its value, up to rounding errors.
    pub smallest: End,
    /// The upper end; the largest eigenvalue is at least its value, up to rounding errors.
    pub largest: End,
    /// How far rounding errors may move both ends: an eigenvalue that is smaller than this has no known sign.
    pub rounding: f64,
    /// Products that it took.
    pub products: usize,
}

impl Spectrum {
    /// Damping with which the operator is positive definite and no close call: it lifts the smallest eigenvalue to as much
    /// above 0 as it may be below, and is a thousandth of the largest at the least. Two digits, rounded up.
    #[must_use]
    pub fn damping(&self) -> f64 {
        let size = self.largest.value.abs().max(self.smallest.value.abs());
        let lowest = self.smallest.value - self.seen(self.smallest);
        let damping = (-2.0 * lowest).max(ROOM * size).max(2.0 * self.rounding);
        if damping > 0.0 && damping.is_finite() { to_two_digits(damping, |x| (x - EXACT).ceil()) } else { 1.0 }
    }

    /// The length of steps of gradient descent that converge, if the operator is positive definite, and no close call: the
    /// inverse of the largest eigenvalue. Two digits, rounded down.
    #[must_use]
    pub fn step_size(&self) -> f64 {
        let step_size = (self.largest.value + self.seen(self.largest)).recip();
        if step_size > 0.0 && step_size.is_finite() { to_two_digits(step_size, |x| (x + EXACT).floor()) } else { 1.0 }
    }

    /// The error of an end without what is rounding, of which a thousandth and a factor of two leave room enough.
    fn seen(&self, end: End) -> f64 {
        end.error - self.rounding
    }

    /// The spectrum of `A + damping·I`.
    pub(super) fn shifted(self, damping: f64) -> Self {
        let shift = |end: End| End { value: end.value + damping, ..end };
        Spectrum { smallest: shift(self.smallest), largest: shift(self.largest), ..self }
    }
}

/// Two digits that are exact but for rounding errors stay what they are.
const EXACT: f64 = 1e-6;

/// A number above 0 with two decimal digits.
fn to_two_digits(x: f64, round: fn(f64) -> f64) -> f64 {
    let unit = 10.0_f64.powi(x.log10().floor() as i32 - 1);
    round(x / unit) * unit
}

/// The ends of the spectrum of `A + damping·I`, from at most this many products (at least one is formed).
///
/// `start` is any vector with parts along the eigenvectors at the ends, a random one say; where its Krylov space is exhausted
/// before, the estimates are exact for what `start` has parts of. From `start = 0` nothing is seen: both ends are 0, with an
/// infinite error. The products' vectors are kept, one each.
///
/// Of an operator that is not symmetric the values are those of its symmetric part, between which the curvature
/// `⟨x, A·x⟩/⟨x, x⟩` moves, and the errors mean nothing.
///
/// # Errors
/// [`SolveError::NotFinite`], [`SolveError::Operator`].
pub fn extreme_eigenvalues<A: LinearOperator + ?Sized>(
    operator: &mut A,
    damping: f64,
    start: &A::Vector,
    products: usize,
) -> Result<Spectrum, SolveError<A::Error>> {
    let krylov = lanczos(operator, damping, start, products)?;
    let all = krylov.values().iter().map(|&RitzValue { value, error, .. }| End { value, error });
    let unseen = End { value: 0.0, error: f64::INFINITY };
    let smallest = all.clone().reduce(|best, end| if end.value < best.value { end } else { best });
    let largest = all.reduce(|best, end| if end.value > best.value { end } else { best });
    let (smallest, largest) = (smallest.unwrap_or(unseen), largest.unwrap_or(unseen));
    Ok(Spectrum { smallest, largest, rounding: krylov.rounding, products: krylov.values().len() })
}

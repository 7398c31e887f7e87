//! The ends of a symmetric operator's spectrum, with bounds of their errors.
//!
//! Lanczos, *An Iteration Method for the Solution of the Eigenvalue Problem of Linear Differential and Integral Operators*
//! (1950). In an orthonormal basis `V` of the Krylov space of a vector the operator is `T = Vᵀ·A·V`, a tridiagonal matrix,
//! and all columns of `A·V − V·T` vanish but the last, whose length is `β`. An eigenvalue `θ` of `T`, with an eigenvector
//! that ends in `s`, tells of those of `A` (Parlett, *The Symmetric Eigenvalue Problem*, §11.3 and §13.2)
//!
//! ```text
//! λ_min ≤ θ ≤ λ_max        |λ − θ| ≤ β·|s|  for one of them
//! ```
//!
//! and the outermost `θ` reach the ends of the spectrum long before the basis is complete. Every new vector is made
//! orthogonal to all before it, without which rounding errors would bring eigenvalues back that have been found.

use super::operator::{apply_damped, dot};
use super::orthogonal::{Parts, orthogonalize};
use super::remedy::ROOM;
use super::symmetric::eigen;
use super::{InnerProductSpace, LinearOperator, Quantity, SolveError};

/// One end of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// The estimate. It is no further out than the end itself.
    pub value: f64,
    /// An eigenvalue of a symmetric operator is this close to the estimate, up to rounding errors.
    pub error: f64,
}

/// What is known of the eigenvalues of a symmetric operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spectrum {
    /// The lower end; the smallest eigenvalue is at most its value.
    pub smallest: End,
    /// The upper end; the largest eigenvalue is at least its value.
    pub largest: End,
    /// Products that it took.
    pub products: usize,
}

impl Spectrum {
    /// Damping with which the operator is positive definite and no close call: it lifts the smallest eigenvalue to as much
    /// above 0 as it may be below, and is a thousandth of the largest at the least. Two digits, rounded up.
    #[must_use]
    pub fn damping(&self) -> f64 {
        let size = self.largest.value.abs().max(self.smallest.value.abs());
        let lowest = self.smallest.value - self.smallest.error;
        let damping = (-2.0 * lowest).max(ROOM * size);
        if damping > 0.0 && damping.is_finite() { to_two_digits(damping, |x| (x - EXACT).ceil()) } else { 1.0 }
    }

    /// The length of steps of gradient descent that converge, if the operator is positive definite, and no close call: the
    /// inverse of the largest eigenvalue. Two digits, rounded down.
    #[must_use]
    pub fn step_size(&self) -> f64 {
        let step_size = (self.largest.value + self.largest.error).recip();
        if step_size > 0.0 && step_size.is_finite() { to_two_digits(step_size, |x| (x + EXACT).floor()) } else { 1.0 }
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
    let length = dot::<A>(start, start, 0, Quantity::RightHandSide)?.sqrt();
    if length == 0.0 {
        let unseen = End { value: 0.0, error: f64::INFINITY };
        return Ok(Spectrum { smallest: unseen, largest: unseen, products: 0 });
    }
    let mut basis = vec![start.clone()];
    basis[0].scale((1.0 / length).into());
    // The columns of the projected matrix down to the diagonal, and the entries below it.
    let (mut columns, mut below) = (Vec::new(), Vec::new());
    while columns.len() < products.max(1) {
        let mut next = apply_damped(operator, damping, &basis[columns.len()])?;
        let Parts { along, left, is_dependent, .. } = orthogonalize::<A>(&mut next, &basis, columns.len() + 1)?;
        columns.push(along);
        below.push(if is_dependent { 0.0 } else { left });
        if is_dependent || left == 0.0 {
            break;
        }
        next.scale((1.0 / left).into());
        basis.push(next);
    }
    Ok(ends(&columns, &below))
}

/// The ends of the spectrum of a projected matrix.
fn ends(columns: &[Vec<f64>], below: &[f64]) -> Spectrum {
    let n = columns.len();
    let entry = |i: usize, j: usize| match i {
        _ if i <= j => columns[j][i],
        _ if i == j + 1 => below[j],
        _ => 0.0,
    };
    let symmetric = |i: usize, j: usize| 0.5 * (entry(i, j) + entry(j, i));
    let (values, vectors) = eigen((0..n).map(|i| (0..n).map(|j| symmetric(i, j)).collect()).collect());
    let error = |vector: &[f64]| below[n - 1] * vector[n - 1].abs();
    let all = values.iter().zip(&vectors).map(|(&value, vector)| End { value, error: error(vector) });
    let first = End { value: f64::NAN, error: f64::NAN };
    let outer = |best: End, end: End, is_out: bool| if is_out || best.value.is_nan() { end } else { best };
    let smallest = all.clone().fold(first, |best, end| outer(best, end, end.value < best.value));
    let largest = all.fold(first, |best, end| outer(best, end, end.value > best.value));
    Spectrum { smallest, largest, products: n }
}

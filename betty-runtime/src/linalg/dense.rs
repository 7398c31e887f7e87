//! The exact solve: form the matrix column by column, then eliminate.
//!
//! Gaussian elimination with partial pivoting (Golub and Van Loan, *Matrix Computations*, §3.4), in `f64` on the host. It
//! costs one product per unknown and `⅔·n³` operations, so it is for small systems and for judging the other solvers.

use super::operator::{apply_damped, dot};
use super::{Coordinates, InnerProductSpace, LinearOperator, Outcome, Quantity, Solution, SolveError};

/// Roundings of its entries that a column is not distinguished from others by.
const ROUNDINGS: f64 = 8.0;

/// How much to regularise, and how large a system to accept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseOptions {
    /// `δ ≥ 0` in `A + δI`.
    pub damping: f64,
    /// Most unknowns; the matrix of `n` unknowns takes `8·n²` bytes.
    pub limit: usize,
}

/// Solves `(A + δI)·x = b` for any invertible `A + δI`, symmetric or not.
///
/// The residual in the outcome is measured with one more product; it is converged where half of the digits are right. An unknown that no equation has, whose own equation is 0 = 0, is
/// 0, as the iterative solvers leave it: a parameter that no loss reads.
///
/// # Errors
/// [`SolveError::TooLarge`], [`SolveError::Singular`], [`SolveError::NotFinite`], [`SolveError::Operator`].
pub fn dense<A>(
    operator: &mut A,
    b: &A::Vector,
    options: &DenseOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>>
where
    A: LinearOperator<Vector: Coordinates> + ?Sized,
{
    let DenseOptions { damping, limit } = *options;
    let n = b.dimension();
    if n > limit {
        return Err(SolveError::TooLarge { dimension: n, limit });
    }
    let scale = dot::<A>(b, b, 0, Quantity::RightHandSide)?;
    if scale == 0.0 {
        return Ok(Solution { x: b.zero(), outcome: Outcome::TRIVIAL });
    }
    let mut columns = Vec::with_capacity(n);
    let mut unit = vec![0.0; n];
    while columns.len() < n {
        let together = columns.len()..n.min(columns.len() + b.check_every());
        let mut products = Vec::with_capacity(together.len());
        for j in together {
            unit[j] = 1.0;
            products.push(apply_damped(operator, damping, &b.with_coordinates(&unit))?);
            unit[j] = 0.0;
        }
        for column in A::Vector::all_coordinates(&products).map_err(|error| SolveError::Operator(error.into()))? {
            if column.iter().any(|entry| !entry.is_finite()) {
                return Err(SolveError::NotFinite { iteration: columns.len() + 1, quantity: Quantity::Entry });
            }
            columns.push(column);
        }
    }
    let mut solution = b.coordinates().map_err(|error| SolveError::Operator(error.into()))?;
    leave_out(&mut columns, &solution);
    eliminate(&mut columns, &mut solution, b.rounding())?;
    let x = b.with_coordinates(&solution);
    let mut r = b.clone();
    r.add_scaled((-1.0).into(), &apply_damped(operator, damping, &x)?);
    let residual = (dot::<A>(&r, &r, n, Quantity::Residual)? / scale).sqrt();
    let converged = residual <= b.rounding().sqrt();
    Ok(Solution { x, outcome: Outcome { iterations: n, residual, converged } })
}

/// Puts the largest entry on the diagonal where a column, the row and the right-hand side are zero throughout, so that the
/// unknown is 0.
fn leave_out(columns: &mut [Vec<f64>], b: &[f64]) {
    let largest = columns.iter().flatten().fold(0.0_f64, |largest, entry| largest.max(entry.abs()));
    for k in 0..b.len() {
        let is_zero = |column: &Vec<f64>| column[k] == 0.0;
        if b[k] == 0.0 && columns[k].iter().all(|&entry| entry == 0.0) && columns.iter().all(is_zero) {
            columns[k][k] = largest;
        }
    }
}

/// Overwrites `b` with the solution of `A·x = b`; `columns` are those of `A`, with entries that are `rounding` apart, and are
/// overwritten with its factors.
///
/// # Errors
/// [`SolveError::Singular`] when no pivot of a column stands out of rounding error: that of the elimination, or that which the
/// entries of the column came with.
pub(super) fn eliminate<E>(columns: &mut [Vec<f64>], b: &mut [f64], rounding: f64) -> Result<(), SolveError<E>> {
    let n = b.len();
    let largest_of = |column: &Vec<f64>| column.iter().fold(0.0_f64, |largest, entry| largest.max(entry.abs()));
    let sizes: Vec<f64> = columns.iter().map(largest_of).collect();
    let largest = sizes.iter().copied().fold(0.0, f64::max);
    for k in 0..n {
        let negligible = (n as f64 * f64::EPSILON * largest).max(ROUNDINGS * rounding * sizes[k]);
        let (done, rest) = columns.split_at_mut(k + 1);
        let pivots = &mut done[k];
        let row = (k..n).fold(k, |best, i| if pivots[i].abs() > pivots[best].abs() { i } else { best });
        if pivots[row].abs() <= negligible {
            return Err(SolveError::Singular { pivot: k, magnitude: pivots[row].abs(), size: largest });
        }
        pivots.swap(k, row);
        let (upper, factors) = pivots.split_at_mut(k + 1);
        for factor in factors.iter_mut() {
            *factor /= upper[k];
        }
        for column in rest.iter_mut().map(Vec::as_mut_slice).chain([&mut *b]) {
            column.swap(k, row);
            subtract(&mut column[k..], factors);
        }
    }
    // What is left is the upper triangle: substitute backwards.
    for k in (0..n).rev() {
        b[k] /= columns[k][k];
        let (above, x) = b.split_at_mut(k);
        for (entry, factor) in above.iter_mut().zip(&columns[k]) {
            *entry -= x[0] * factor;
        }
    }
    Ok(())
}

/// Subtracts `factors` times the first number of `column` from the numbers after it.
fn subtract(column: &mut [f64], factors: &[f64]) {
    if let Some((&mut first, rest)) = column.split_first_mut() {
        for (entry, factor) in rest.iter_mut().zip(factors) {
            *entry -= first * factor;
        }
    }
}

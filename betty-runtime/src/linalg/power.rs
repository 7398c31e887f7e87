//! Power iteration for the eigenvalue of largest magnitude, which decides how long a step may be.
//!
//! Golub and Van Loan, *Matrix Computations*, §8.2: `v ← A·v / ‖A·v‖` turns towards the dominant eigenvector, and for
//! symmetric `A` the Rayleigh quotient `⟨v, A·v⟩ / ⟨v, v⟩` approaches its eigenvalue from within the spectrum.

use super::operator::{apply_damped, dot};
use super::{InnerProductSpace, LinearOperator, Quantity, SolveError};

/// Estimates the eigenvalue of largest magnitude from this many products (at least one is formed).
///
/// `start` is any vector with a part along the dominant eigenvector, a random one say. The estimate never exceeds the
/// true magnitude, and is 0 when `start` is 0 or the operator sends it there.
///
/// # Errors
/// [`SolveError::NotFinite`], [`SolveError::Operator`].
pub fn largest_eigenvalue<A: LinearOperator + ?Sized>(
    operator: &mut A,
    start: &A::Vector,
    products: usize,
) -> Result<f64, SolveError<A::Error>> {
    let mut v = start.clone();
    let mut square = dot::<A>(&v, &v, 0, Quantity::RightHandSide)?;
    let mut estimate = 0.0;
    for iteration in 1..=products.max(1) {
        if square == 0.0 {
            break;
        }
        v.scale(1.0 / square.sqrt());
        let product = apply_damped(operator, 0.0, &v)?;
        estimate = dot::<A>(&v, &product, iteration, Quantity::Curvature)?;
        square = dot::<A>(&product, &product, iteration, Quantity::Term)?;
        v = product;
    }
    Ok(estimate)
}

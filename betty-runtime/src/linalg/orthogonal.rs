//! Gram and Schmidt's process, one vector at a time.

use super::operator::dot;
use super::rounded::negligible;
use super::{InnerProductSpace, LinearOperator, Quantity, SolveError};

/// What a vector was made of.
pub(super) struct Parts {
    /// Its parts along the vectors of the basis.
    pub(super) along: Vec<f64>,
    /// Its length before.
    pub(super) before: f64,
    /// The length of what is left; 0 if that is but a rounding error.
    pub(super) left: f64,
    /// Whether what is left is along the basis once more, so that it is rounding errors at any precision of the vectors.
    pub(super) is_dependent: bool,
}

/// Takes the parts along an orthonormal `basis` out of `w`.
pub(super) fn orthogonalize<A: LinearOperator + ?Sized>(
    w: &mut A::Vector,
    basis: &[A::Vector],
    iteration: usize,
) -> Result<Parts, SolveError<A::Error>> {
    let before = dot::<A>(w, w, iteration, Quantity::Entry)?.sqrt();
    let mut along = vec![0.0; basis.len()];
    let mut left = before;
    let mut is_dependent = true;
    // A second pass where the first one cancelled much of the vector; twice is enough (Parlett, *The Symmetric Eigenvalue
    // Problem*, §6.9).
    for _ in 0..2 {
        let whole = left;
        for (sum, v) in along.iter_mut().zip(basis) {
            let part = dot::<A>(v, w, iteration, Quantity::Entry)?;
            w.add_scaled((-part).into(), v);
            *sum += part;
        }
        left = dot::<A>(w, w, iteration, Quantity::Entry)?.sqrt();
        if left > std::f64::consts::FRAC_1_SQRT_2 * whole {
            is_dependent = false;
            break;
        }
    }
    if left <= negligible(before, w) {
        left = 0.0;
    }
    Ok(Parts { along, before, left, is_dependent })
}

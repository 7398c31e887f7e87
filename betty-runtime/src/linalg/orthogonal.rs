//! Gram and Schmidt's process, one vector at a time.

use super::operator::{dot, unread};
use super::rounded::negligible;
use super::{InnerProductSpace, LinearOperator, Quantity, Scalar, SolveError};

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

/// What a vector was made of, in numbers that nobody has read.
pub(super) struct Column<S> {
    /// Something else that has to be finite.
    checked: Option<S>,
    /// The parts along the vectors of the basis.
    along: Vec<S>,
    before: S,
    pub(super) left: S,
}

impl<S: Scalar> Column<S> {
    /// All of them.
    pub(super) fn numbers(&self) -> impl Iterator<Item = S> {
        self.checked.iter().chain(&self.along).chain([&self.before, &self.left]).cloned()
    }

    /// What the next numbers say, as [`orthogonalize`] does: the parts along the basis, the length before, and the length of what is
    /// left. None where one is not finite.
    pub(super) fn known<V: InnerProductSpace>(
        &self,
        next: &mut impl FnMut() -> f64,
        like: &V,
    ) -> Option<(Vec<f64>, f64, f64)> {
        let checked = self.checked.as_ref().map(|_| next());
        let along: Vec<f64> = self.along.iter().map(|_| next()).collect();
        let (before, left) = (next(), next());
        let is_finite = checked.iter().chain(&along).chain([&before, &left]).all(|number| number.is_finite());
        is_finite.then_some((along, before, if left <= negligible(before, like) { 0.0 } else { left }))
    }
}

/// As [`orthogonalize`], with nothing read: the second pass is always made, and takes nothing out where the first one was enough.
pub(super) fn orthogonalize_unread<A: LinearOperator + ?Sized>(
    w: &mut A::Vector,
    basis: &[A::Vector],
    checked: Option<<A::Vector as InnerProductSpace>::Scalar>,
) -> Result<Column<<A::Vector as InnerProductSpace>::Scalar>, SolveError<A::Error>> {
    let before = unread::<A>(w, w)?.sqrt();
    let mut along = Vec::with_capacity(basis.len());
    for v in basis {
        let part = unread::<A>(v, w)?;
        w.add_scaled(-part.clone(), v);
        along.push(part);
    }
    let left = unread::<A>(w, w)?.sqrt();
    let whole = before.clone() * std::f64::consts::FRAC_1_SQRT_2.into();
    for (sum, v) in along.iter_mut().zip(basis) {
        let part = unread::<A>(v, w)?.while_above(&whole, &left);
        w.add_scaled(-part.clone(), v);
        *sum = sum.clone() + part;
    }
    let left = unread::<A>(w, w)?.sqrt();
    Ok(Column { checked, along, before, left })
}

//! What a solver begins with: a guess, such as the solution of the system before, if it is better than nothing.

use super::ahead::Unread;
use super::operator::{apply_damped, read, unread};
use super::{InnerProductSpace, LinearOperator, Quantity, SolveError};

/// Where an iteration begins.
pub(super) struct Begin<V: InnerProductSpace> {
    pub(super) x: V,
    /// `b − (A + δI)·x`
    pub(super) r: V,
    /// `⟨r, r⟩`
    pub(super) square: V::Scalar,
    /// Whether `x` is the guess, and not 0.
    pub(super) is_guess: bool,
}

/// At the guess, unless its residual is larger than `b`, of which `squared` is `⟨b, b⟩` and `scale` the same as it was read: the solution
/// of another system may lead further astray than a few iterations lead back.
pub(super) fn begin<A: LinearOperator + ?Sized>(
    operator: &mut A,
    damping: f64,
    b: &A::Vector,
    guess: Option<A::Vector>,
    (squared, scale): (<A::Vector as InnerProductSpace>::Scalar, f64),
) -> Result<Begin<A::Vector>, SolveError<A::Error>> {
    if let Some(x) = guess {
        let mut r = b.clone();
        r.add_scaled((-1.0).into(), &apply_damped(operator, damping, &x)?);
        let square = unread::<A>(&r, &r)?;
        if read::<A>(&square, 0, Quantity::Residual)? <= scale {
            return Ok(Begin { x, r, square, is_guess: true });
        }
    }
    Ok(Begin { x: b.zero(), r: b.clone(), square: squared, is_guess: false })
}

/// The same where nothing is read without need: `squared` is not, but together with the residual of a guess. None where a number is
/// not finite.
pub(super) fn begin_unread<A: LinearOperator + ?Sized>(
    operator: &mut A,
    damping: f64,
    b: &A::Vector,
    guess: Option<A::Vector>,
    squared: &<A::Vector as InnerProductSpace>::Scalar,
) -> Result<Option<Begin<A::Vector>>, SolveError<A::Error>> {
    if let Some(x) = guess {
        let mut r = b.clone();
        r.add_scaled((-1.0).into(), &apply_damped(operator, damping, &x)?);
        let square = unread::<A>(&r, &r)?;
        let mut both = Unread::<A::Vector>::new();
        both.extend([squared.clone(), square.clone()]);
        let both: Vec<f64> = both.read::<A::Error>()?.collect();
        if both.iter().any(|number| !number.is_finite()) {
            return Ok(None);
        }
        if both[1] <= both[0] {
            return Ok(Some(Begin { x, r, square, is_guess: true }));
        }
    }
    Ok(Some(Begin { x: b.zero(), r: b.clone(), square: squared.clone(), is_guess: false }))
}

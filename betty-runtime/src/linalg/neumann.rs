//! The truncated Neumann series, which replaces an inverse by a sum of powers.
//!
//! For `M = A + δI` with eigenvalues in `(0, 2/s)`
//!
//! ```text
//! M⁻¹·b = s·Σ_{k≥0} tₖ      t₀ = b      tₖ₊₁ = tₖ − s·M·tₖ
//! ```
//!
//! and the first `K` terms are what `K` steps `x ← x + s·(b − M·x)` of gradient descent on `½⟨x, M·x⟩ − ⟨b, x⟩` from 0 give,
//! each term being the residual before its step. From another start `x₀` they give `x₀` and the sum of the series for
//! `t₀ = b − M·x₀`. Steps are what is computed, because they make sense for an operator that is not quite linear as well.
//! Lorraine, Vicol and Duvenaud, *Optimizing Millions of Hyperparameters by Implicit Differentiation* (AISTATS 2020).

use super::definite::Suspect;
use super::operator::{apply_damped, dot};
use super::{InnerProductSpace, LinearOperator, Outcome, Quantity, Solution, SolveError};

/// How many terms to add, and how large they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeumannOptions {
    /// `K`, the number of terms; `K − 1` products are formed, one more for a guess, and one more for a guess that is worse
    /// than none by far.
    pub terms: usize,
    /// `s > 0`, below `2/λ_max` of the damped operator.
    pub step_size: f64,
    /// `δ ≥ 0` in `A + δI`.
    pub damping: f64,
}

/// Terms never grow for a symmetric operator and a step size in range; this leaves room for a transient of an
/// operator that is not symmetric.
const GROWTH: f64 = 10.0;

/// The sum `s·Σ_{k<K} (I − s·(A + δI))ᵏ·b`, or `K` steps of descent from `guess`.
///
/// `(A + δI)` times the sum of `k` terms is `b − tₖ`: each term is the residual of the sum before it. The residual in the
/// outcome is that of all terms but the last, which bounds the residual of the sum as long as terms shrink.
///
/// # Errors
/// [`SolveError::Diverged`] when a term is more than 10 times as large as `b` and the first because the step is too long,
/// [`SolveError::NotPositiveDefinite`] when it is because the operator curves downwards, both also when the residual of the
/// guess is that large and the next step makes it longer; [`SolveError::NotFinite`], [`SolveError::Operator`].
pub fn neumann<A: LinearOperator + ?Sized>(
    operator: &mut A,
    b: &A::Vector,
    guess: Option<A::Vector>,
    options: &NeumannOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let NeumannOptions { terms, step_size, damping } = *options;
    let scale = dot::<A>(b, b, 0, Quantity::RightHandSide)?;
    if scale == 0.0 {
        return Ok(Solution { x: b.zero(), outcome: Outcome::TRIVIAL });
    }
    let mut term = b.clone();
    let (mut x, first) = match guess {
        None => (b.zero(), scale),
        Some(x) => {
            term.add_scaled((-1.0).into(), &apply_damped(operator, damping, &x)?);
            let first = dot::<A>(&term, &term, 0, Quantity::Residual)?;
            (x, first)
        }
    };
    let suspect = Suspect { damping, start: b, iterations: terms };
    if (first / scale).sqrt() > GROWTH {
        // So bad a guess is of another system, or what came of steps that are too long: then the next is longer still.
        let product = apply_damped(operator, damping, &term)?;
        let curvature = dot::<A>(&term, &product, 0, Quantity::Curvature)? / first;
        if !(0.0..2.0 / step_size).contains(&curvature) {
            return Err(suspect.diverged(operator, (0, (first / scale).sqrt()), curvature, step_size));
        }
    }
    let mut square = first;
    // After a good guess the first term may be rounding error, and so may what it grows to.
    let start = first.max(scale);
    if terms > 0 {
        x.add_scaled(step_size.into(), &term);
    }
    for k in 1..terms {
        let before = term;
        term = apply_damped(operator, damping, &x)?;
        term.combine((-1.0).into(), (1.0).into(), b);
        let last = square;
        square = dot::<A>(&term, &term, k, Quantity::Term)?;
        if (square / start).sqrt() > GROWTH {
            // The term before is t, and this one t − s·M·t.
            let kept = dot::<A>(&before, &term, k, Quantity::Curvature)?;
            let curvature = (1.0 - kept / last) / step_size;
            let grown = (k, (square / scale).sqrt());
            return Err(suspect.diverged(operator, grown, curvature, step_size));
        }
        x.add_scaled(step_size.into(), &term);
    }
    let residual = (square / scale).sqrt();
    Ok(Solution { x, outcome: Outcome { iterations: terms, residual, converged: residual <= f64::EPSILON } })
}

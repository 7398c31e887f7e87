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

use super::ahead::{Unread, is_asked};
use super::definite::Suspect;
use super::operator::{apply_damped, dot, unread};
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
    let every = b.check_every();
    if every > 1
        && let Some(solution) = ahead(operator, b, guess.clone(), (options, every))?
    {
        return Ok(solution);
    }
    watched(operator, b, guess, options)
}

/// Reads the length of every term.
fn watched<A: LinearOperator + ?Sized>(
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

/// The same where inner products are not at hand: lengths of several terms are read at once. None where one has grown or is no number.
fn ahead<A: LinearOperator + ?Sized>(
    operator: &mut A,
    b: &A::Vector,
    guess: Option<A::Vector>,
    (options, every): (&NeumannOptions, usize),
) -> Result<Option<Solution<A::Vector>>, SolveError<A::Error>> {
    let NeumannOptions { terms, step_size, damping } = *options;
    let mut lengths = Unread::<A::Vector>::new();
    let squared = unread::<A>(b, b)?;
    let mut x = b.zero();
    let mut term = b.clone();
    lengths.extend([squared.clone()]);
    match guess {
        None => lengths.extend([squared]),
        Some(guess) => {
            term.add_scaled((-1.0).into(), &apply_damped(operator, damping, &guess)?);
            lengths.extend([unread::<A>(&term, &term)?]);
            x = guess;
        }
    }
    let mut known: Option<(f64, f64)> = None;
    for k in 0..terms.max(1) {
        let mut stepped = Ok(());
        if k > 0 {
            stepped = apply_damped(operator, damping, &x).and_then(|product| {
                term = product;
                term.combine((-1.0).into(), (1.0).into(), b);
                lengths.extend([unread::<A>(&term, &term)?]);
                Ok(())
            });
        }
        let is_last = k + 1 >= terms;
        if stepped.is_err() || is_last || is_asked(k, every, terms) {
            let mut read = lengths.read::<A::Error>()?;
            let (scale, start) = match known {
                Some(known) => known,
                None => {
                    let scale = read.next().unwrap_or(f64::NAN);
                    if scale == 0.0 {
                        return Ok(Some(Solution { x: b.zero(), outcome: Outcome::TRIVIAL }));
                    }
                    let first = read.as_slice().first().copied().unwrap_or(f64::NAN);
                    if !(scale.is_finite() && first.is_finite()) || (first / scale).sqrt() > GROWTH {
                        return Ok(None);
                    }
                    *known.insert((scale, first.max(scale)))
                }
            };
            let mut square = scale;
            for length in read {
                if !length.is_finite() || (length / start).sqrt() > GROWTH {
                    return Ok(None);
                }
                square = length;
            }
            stepped?;
            if is_last {
                if terms > 0 {
                    x.add_scaled(step_size.into(), &term);
                }
                let residual = (square / scale).sqrt();
                let outcome = Outcome { iterations: terms, residual, converged: residual <= f64::EPSILON };
                return Ok(Some(Solution { x, outcome }));
            }
        }
        x.add_scaled(step_size.into(), &term);
    }
    Ok(None)
}

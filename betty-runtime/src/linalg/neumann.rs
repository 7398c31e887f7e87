//! The truncated Neumann series, which replaces an inverse by a sum of powers.
//!
//! For `M = A + δI` with eigenvalues in `(0, 2/s)`
//!
//! ```text
//! M⁻¹·b = s·Σ_{k≥0} tₖ      t₀ = b      tₖ₊₁ = tₖ − s·M·tₖ
//! ```
//!
//! and the first `K` terms are what `K` steps of gradient descent on `½⟨x, M·x⟩ − ⟨b, x⟩` from 0 give. Lorraine, Vicol and
//! Duvenaud, *Optimizing Millions of Hyperparameters by Implicit Differentiation* (AISTATS 2020).

use super::operator::{apply_damped, dot};
use super::{InnerProductSpace, LinearOperator, Outcome, Quantity, Solution, SolveError};

/// How many terms to add, and how large they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeumannOptions {
    /// `K`, the number of terms; `K − 1` products are formed.
    pub terms: usize,
    /// `s > 0`, below `2/λ_max` of the damped operator.
    pub step_size: f64,
    /// `δ ≥ 0` in `A + δI`.
    pub damping: f64,
}

/// Terms never grow for a symmetric operator and a step size in range; this leaves room for a transient of an
/// operator that is not symmetric.
const GROWTH: f64 = 10.0;

/// The sum `s·Σ_{k<K} (I − s·(A + δI))ᵏ·b`.
///
/// `(A + δI)` times the sum of `k` terms is `b − tₖ`: each term is the residual of the sum before it. The residual in the
/// outcome is that of all terms but the last, which bounds the residual of the sum as long as terms shrink.
///
/// # Errors
/// [`SolveError::Diverged`] when a term is more than 10 times as large as `b` because the step is too long,
/// [`SolveError::NotPositiveDefinite`] when it is because the operator curves downwards, [`SolveError::NotFinite`],
/// [`SolveError::Operator`].
pub fn neumann<A: LinearOperator + ?Sized>(
    operator: &mut A,
    b: &A::Vector,
    options: &NeumannOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let NeumannOptions { terms, step_size, damping } = *options;
    let scale = dot::<A>(b, b, 0, Quantity::RightHandSide)?;
    let mut x = b.zero();
    if scale == 0.0 {
        return Ok(Solution { x, outcome: Outcome::TRIVIAL });
    }
    let mut residual = 1.0;
    if terms > 0 {
        x.add_scaled(step_size, b);
    }
    let mut term = b.clone();
    for k in 1..terms {
        let product = apply_damped(operator, damping, &term)?;
        let mut next = term.clone();
        next.add_scaled(-step_size, &product);
        residual = (dot::<A>(&next, &next, k, Quantity::Term)? / scale).sqrt();
        if residual > GROWTH {
            let curvature =
                dot::<A>(&term, &product, k, Quantity::Curvature)? / dot::<A>(&term, &term, k, Quantity::Term)?;
            return Err(if curvature <= 0.0 {
                SolveError::NotPositiveDefinite { iteration: k, curvature }
            } else {
                SolveError::Diverged { term: k, growth: residual, step_size, curvature }
            });
        }
        x.add_scaled(step_size, &next);
        term = next;
    }
    Ok(Solution { x, outcome: Outcome { iterations: terms, residual, converged: residual <= f64::EPSILON } })
}

//! Generalised minimal residuals for products that are no more exact than the answer needs.
//!
//! What an error `eₖ` in the product with the `k`-th vector of the basis leaves in the residual is `eₖ·yₖ`, and `|yₖ|` is at most the
//! residual before it over the smallest singular value of the Hessenberg matrix `H̄`. So with a residual of `ε` to be reached
//! products may have errors of
//!
//! ```text
//! ‖eₖ‖ ≤ ε·σ_min(H̄) / (k·‖rₖ₋₁‖)
//! ```
//!
//! (Simoncini and Szyld, *Theory of inexact Krylov subspace methods and applications to scientific computing*, 2003; van den
//! Eshof and Sleijpen, *Inexact Krylov subspace methods for linear systems*, 2004): the first ones hardly any, and the last ones
//! the more, the better the system is conditioned. In general the bound is much too small, `σ_min` is known only in the end, and
//! operators say how well they form a product, not how large its error is. So products are asked for by `‖rₖ₋₁‖` alone, and the
//! rest is one number for each operator that starts from 1 and is measured: at the end of each cycle the residual is, and where it
//! is above what the recurrence says, products have to be that much more exact from then on, also in the solves that follow. An
//! answer that is worse than the one before is not taken.

use super::gmres::{Cycle, Prepare};
use super::operator::{damped, dot};
use super::rounded::reachable;
use super::{GmresOptions, InnerProductSpace, LinearOperator, Outcome, Quantity, Solution, SolveError};

/// An operator whose products are cheaper where they are less exact.
pub trait InexactOperator: LinearOperator {
    /// The product `A·x` with an error of about `accuracy` times its length. By how much more the error is larger, solvers
    /// [find out](Exactness).
    ///
    /// # Errors
    /// When the product cannot be formed.
    fn apply_within(&mut self, x: &Self::Vector, accuracy: f64) -> Result<Self::Vector, Self::Error>;

    /// As [`apply_within`](Self::apply_within), where `x` may be the solution and its residual is measured.
    ///
    /// # Errors
    /// When the product cannot be formed.
    fn measure(&mut self, x: &Self::Vector, accuracy: f64) -> Result<Self::Vector, Self::Error> {
        self.apply_within(x, accuracy)
    }

    /// What was [measured](Self::measure) last is the solution so far.
    fn keep(&mut self) {}
}

/// How exact the products of an operator have to be; found out while systems are solved, for those that follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exactness {
    /// How many times as much as they might errors of products left.
    excess: f64,
    /// The least error that products have however exactly they are formed, relative to their length.
    rounding: f64,
}

impl Exactness {
    /// That of an operator of which nothing is known, but that the numbers of its vectors are rounded by so much.
    #[must_use]
    pub fn new(rounding: f64) -> Self {
        Exactness { excess: 1.0, rounding }
    }

    /// How exact a product has to be whose errors may leave this part of what is left.
    fn accuracy(&self, part: f64) -> f64 {
        (part / self.excess).clamp(self.rounding, LOOSEST)
    }

    /// Errors left so many times what they may.
    fn missed(&mut self, times: f64) {
        self.excess = (self.excess * times.clamp(2.0, MOST)).min(1.0 / self.rounding);
    }
}

/// The most that is wrong about a product.
const LOOSEST: f64 = 0.5;

/// How much more exact products become at once.
const MOST: f64 = 1e4;

/// As [`flexible_gmres`](super::flexible_gmres) from 0, for an operator whose products may be inexact: `precondition` answers about
/// `M⁻¹·v`, or nothing for `v` itself.
///
/// The residual in the outcome is the measured one, at most 1. It is not within the tolerance where iterations ran out, or, with
/// fewer of them taken, where products that are as exact as they can be make it no smaller.
///
/// # Errors
/// As [`gmres`](super::gmres), and [`SolveError::Operator`] where `precondition` fails.
pub fn inexact_gmres<A: InexactOperator + ?Sized>(
    operator: &mut A,
    mut precondition: impl FnMut(&mut A, &A::Vector) -> Result<Option<A::Vector>, A::Error>,
    b: &A::Vector,
    exactness: &mut Exactness,
    options: &GmresOptions,
) -> Result<Solution<A::Vector>, SolveError<A::Error>> {
    let GmresOptions { iterations: all, restart, damping, .. } = *options;
    let tolerance = reachable(options.tolerance, b);
    let scale = dot::<A>(b, b, 0, Quantity::RightHandSide)?.sqrt();
    if scale == 0.0 {
        return Ok(Solution { x: b.zero(), outcome: Outcome::TRIVIAL });
    }
    // One half for the recurrence, one for the errors of products.
    let half = 0.5 * tolerance * scale;
    let (mut x, mut r, mut norm) = (b.zero(), b.clone(), scale);
    let (mut iterations, mut is_stuck) = (0, false);
    let prepare: &mut Prepare<'_, A> = &mut |operator, v| precondition(operator, v).map_err(SolveError::Operator);
    loop {
        let converged = norm <= tolerance * scale;
        if converged || is_stuck || iterations == all {
            return Ok(Solution { x, outcome: Outcome { iterations, residual: norm / scale, converged } });
        }
        let most = restart.max(1).min(all - iterations);
        let mut cycle = Cycle::new(r.clone(), norm, 0.0);
        let (mut exhausted, before) = (None, *exactness);
        while cycle.len() < most && cycle.residual() > half && exhausted.is_none() {
            iterations += 1;
            let accuracy = exactness.accuracy(half / cycle.residual());
            let mut form = |operator: &mut A, z: &A::Vector| operator.apply_within(z, accuracy);
            match cycle.extend(operator, prepare, &mut form, damping, iterations) {
                // With errors in the products that may be the last one alone.
                Err(error @ SolveError::Singular { .. }) => exhausted = Some(error),
                extended => extended?,
            }
        }
        let expected = cycle.residual();
        let mut next = x.clone();
        cycle.improve(&mut next);
        let product = operator.measure(&next, exactness.accuracy(0.5 * tolerance)).map_err(SolveError::Operator)?;
        let mut rest = b.clone();
        rest.add_scaled((-1.0).into(), &damped(product, damping, &next));
        let left = dot::<A>(&rest, &rest, iterations, Quantity::Residual)?.sqrt();
        if left > 2.0 * expected.max(half) {
            exactness.missed(left / expected.max(half));
        }
        if left < norm {
            operator.keep();
            (x, r, norm) = (next, rest, left);
        } else if let Some(error) = exhausted {
            return Err(error);
        } else {
            is_stuck = *exactness == before;
        }
    }
}

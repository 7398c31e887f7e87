//! What minimal residuals are watched by where numbers are read every few iterations.

use super::super::ahead::Unread;
use super::super::preconditioner::{Positive, Told};
use super::super::rounded::{TRUSTED, negligible};
use super::super::{InnerProductSpace, Outcome, Solution, SolveError};

/// Numbers of an iteration that are read later.
pub(super) enum Event<V: InnerProductSpace> {
    /// The residual's norm as the recurrence has it, and what is held against its limit.
    Claim(V::Scalar, V::Scalar),
    /// An answer, with the square of its residual.
    Measured(V, V::Scalar),
    /// The next column of the tridiagonal matrix, and what the rotations make of it.
    Vector { alpha: V::Scalar, length: V::Scalar, rho_1: V::Scalar },
    /// `⟨v, P⁻¹·v⟩` and `⟨v, v⟩` of the next vector before it is scaled, and what a preconditioner is checked by.
    Prepared(V::Scalar, V::Scalar, Option<[V::Scalar; Told::NUMBERS]>),
}

impl<V: InnerProductSpace> Event<V> {
    fn numbers(&self) -> Vec<V::Scalar> {
        match self {
            Event::Claim(claimed, measure) => vec![claimed.clone(), measure.clone()],
            Event::Measured(_, square) => vec![square.clone()],
            Event::Vector { alpha, length, rho_1 } => vec![alpha.clone(), length.clone(), rho_1.clone()],
            Event::Prepared(product, square, told) => {
                let both = [product.clone(), square.clone()];
                both.into_iter().chain(told.iter().flatten().cloned()).collect()
            }
        }
    }
}

/// What the numbers that were read come to.
pub(super) enum Look<V> {
    Going,
    Over(Solution<V>),
    /// The recurrence's residual is small enough, and the true one has to be formed.
    Claimed,
    /// Something that has to be looked at twice.
    Doubtful,
}

/// See the [module](self).
pub(super) struct Watch<'b, V: InnerProductSpace> {
    b: &'b V,
    most: usize,
    tolerance: f64,
    events: Vec<Event<V>>,
    /// `⟨b, b⟩`, and what of it the square of a residual may be, before and after they were read.
    bounds: (V::Scalar, V::Scalar),
    known: Option<(f64, f64)>,
    /// A guess, until its residual is known.
    guess: Option<V>,
    /// The best answer that was measured, with its residual.
    best: Option<(V, f64)>,
    /// Iterations that were looked at.
    iterations: usize,
    /// The residual that the recurrence claims, and whether it is small enough, so that nothing moves any more.
    claim: (f64, bool),
    beta: f64,
    /// `‖v‖`, where vectors are orthonormal in another inner product, and what the next one was computed from.
    length: f64,
    size: f64,
    largest: f64,
    positive: Positive,
}

impl<'b, V: InnerProductSpace> Watch<'b, V> {
    pub(super) fn new(
        b: &'b V,
        (most, tolerance): (usize, f64),
        guess: Option<V>,
        bounds: (V::Scalar, V::Scalar),
    ) -> Self {
        Watch {
            b,
            most,
            tolerance,
            events: Vec::new(),
            bounds,
            known: None,
            guess,
            best: None,
            iterations: 0,
            claim: (f64::INFINITY, false),
            beta: 0.0,
            length: 1.0,
            size: 0.0,
            largest: 0.0,
            positive: Positive::default(),
        }
    }

    pub(super) fn note(&mut self, event: Event<V>) {
        self.events.push(event);
    }

    /// What all that happened since the last time comes to.
    pub(super) fn look<E: From<V::Error>>(&mut self) -> Result<Look<V>, SolveError<E>> {
        let mut unread = Unread::<V>::new();
        if self.known.is_none() {
            unread.extend([self.bounds.0.clone(), self.bounds.1.clone()]);
        }
        self.events.iter().for_each(|event| unread.extend(event.numbers()));
        let mut numbers = unread.read::<E>()?;
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let (square, limit) = match self.known {
            Some(known) => known,
            None => *self.known.insert((next(), next())),
        };
        if square == 0.0 {
            return Ok(Look::Over(Solution { x: self.b.zero(), outcome: Outcome::TRIVIAL }));
        }
        let scale = square.sqrt();
        for event in std::mem::take(&mut self.events) {
            // Nothing moves any more; that the answer is what it was is seen when it is measured.
            let is_settled = self.claim.1;
            let look = match event {
                Event::Claim(..) => {
                    let (claimed, measure) = (next().abs() / scale, next());
                    if is_settled { Look::Going } else { self.claimed(claimed, measure <= limit) }
                }
                Event::Measured(x, _) => self.measured(x, next().sqrt() / scale),
                Event::Vector { .. } => {
                    let numbers = [next(), next(), next()];
                    if is_settled { Look::Going } else { self.vector(numbers) }
                }
                Event::Prepared(_, _, told) => {
                    let (product, square) = (next(), next());
                    let told = told.map(|told| told.map(|_| next()));
                    if is_settled { Look::Going } else { self.prepared(product, square, told) }
                }
            };
            if !matches!(look, Look::Going) {
                return Ok(look);
            }
        }
        Ok(if self.claim.1 { Look::Claimed } else { Look::Going })
    }

    /// After an iteration.
    fn claimed(&mut self, claimed: f64, is_small: bool) -> Look<V> {
        self.claim = (claimed, is_small);
        if let Some(guess) = self.guess.take() {
            self.best = Some((guess, claimed));
        }
        match claimed.is_finite() {
            false => Look::Doubtful,
            // It has just been formed.
            true if self.iterations == 0 && (is_small || self.most == 0) => {
                let x = self.best.as_ref().map_or_else(|| self.b.zero(), |(guess, _)| guess.clone());
                self.measured(x, claimed)
            }
            true => Look::Going,
        }
    }

    fn measured(&mut self, x: V, residual: f64) -> Look<V> {
        let (claimed, is_small) = self.claim;
        if !residual.is_finite() {
            return Look::Doubtful;
        }
        let is_trusted = residual <= TRUSTED * claimed;
        let is_better = self.best.as_ref().map_or(residual <= 1.0 || is_trusted, |(_, best)| residual < *best);
        if is_better {
            self.best = Some((x, residual));
        }
        let converged = residual <= self.tolerance;
        if !(converged || self.iterations == self.most || !is_trusted) {
            // From a residual that is not quite small enough it would go on.
            return if is_small { Look::Doubtful } else { Look::Going };
        }
        let Some((x, residual)) = self.best.take() else { return Look::Doubtful };
        let converged = residual <= self.tolerance;
        Look::Over(Solution { x, outcome: Outcome { iterations: self.iterations, residual, converged } })
    }

    fn vector(&mut self, [alpha, length, rho_1]: [f64; 3]) -> Look<V> {
        self.iterations += 1;
        self.largest = self.largest.max(alpha.abs()).max(length).max(self.beta);
        let least = negligible(self.largest, self.b);
        let is_fine = [alpha, length, rho_1].iter().all(|number| number.is_finite()) && length > least && rho_1 > least;
        self.size = alpha.abs().max(self.beta) * self.length;
        self.beta = length;
        if is_fine { Look::Going } else { Look::Doubtful }
    }

    fn prepared(&mut self, product: f64, square: f64, told: Option<[f64; Told::NUMBERS]>) -> Look<V> {
        let is_fine = (product + square).is_finite()
            && square.sqrt() > negligible(self.size, self.b)
            && self.positive.check::<()>(product, square, self.iterations).is_ok()
            && told.is_none_or(Told::is_fine);
        self.length = square.sqrt() / product.sqrt();
        if is_fine { Look::Going } else { Look::Doubtful }
    }
}

//! The diagonal of an operator, from products with random signs, as a preconditioner.
//!
//! Bekas, Kokiopoulou and Saad, *An estimator for the diagonal of a matrix* (2007): with `k` vectors `ω` whose entries are ±1
//!
//! ```text
//! diag(A) ≈ (1/k)·Σ ω∘(A·ω)
//! ```
//!
//! whose error at an entry is `√(Σⱼ Aᵢⱼ²/k)` over the others of its row: none for a diagonal operator, whatever `k`. Where the
//! operator has no more unknowns than there are products, they are taken with unit vectors instead, and the diagonal is exact.
//!
//! Where that error is as large as the entry, an estimate may be zero by accident, and its inverse anything. So no entry counts as
//! less than its own error `sᵢ`, which the same products tell by how much they differ, `sᵢ² = Σ(ω∘Aω − mean)ᵢ²/(k(k − 1))`, and none as
//! less than `δ`, which is the least that the diagonal of `A + δI` can be for a positive semidefinite `A`:
//!
//! ```text
//! Pᵢ = max(|dᵢ + δ|, sᵢ, δ),   and no less than 10⁻⁸ of the largest
//! ```
//!
//! Entries that are known keep their scales, which a bound by the largest or the mean of all would take away: how many products an
//! entry of some relative error takes depends on its own row (Baston and Nakatsukasa, *Stochastic diagonal estimation*, 2022,
//! arXiv:2201.10684). One product tells no error.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Coordinates, LinearOperator, Preconditioner, Quantity, SolveError};

/// How many products to learn a diagonal from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagonalOptions {
    /// Products with the operator, at least 1 (0 counts as 1); from 2 on, it is known how far each entry can be trusted.
    pub probes: usize,
    /// Decides the random signs: equal seeds give equal signs.
    pub seed: u64,
}

/// Entries smaller than this, relative to the largest, count as this: what is left of them may be rounding errors.
const SMALLEST: f64 = 1e-8;

/// `P = |diag(A + δI)|`, which is positive definite, and the diagonal itself where that is positive, as far as it is known.
#[derive(Clone, Debug)]
pub struct Diagonal<V> {
    /// `1/P`, entry by entry.
    inverse: V,
}

impl<V: Coordinates> Diagonal<V> {
    /// Learns the diagonal of `A + damping·I` on the space that `like` lives in.
    ///
    /// # Errors
    /// [`SolveError::NotFinite`], [`SolveError::Operator`].
    pub fn of<A>(
        operator: &mut A,
        damping: f64,
        like: &V,
        options: &DiagonalOptions,
    ) -> Result<Self, SolveError<A::Error>>
    where
        A: LinearOperator<Vector = V> + ?Sized,
    {
        let failed = |error: V::Error| SolveError::Operator(error.into());
        let (dimension, probes) = (like.dimension(), options.probes.max(1));
        let mut product = |probe: &[f64]| {
            let product = operator.apply(&like.with_coordinates(probe)).map_err(SolveError::Operator)?;
            product.coordinates().map_err(failed)
        };
        let mut known = vec![Estimate::default(); dimension];
        if dimension <= probes {
            for (k, of) in known.iter_mut().enumerate() {
                let unit: Vec<f64> = (0..dimension).map(|i| f64::from(u8::from(i == k))).collect();
                of.mean = product(&unit)?[k];
            }
        } else {
            let mut generator = StdRng::seed_from_u64(options.seed);
            for _ in 0..probes {
                let signs: Vec<f64> = (0..dimension).map(|_| if generator.random() { 1.0 } else { -1.0 }).collect();
                let product = product(&signs)?;
                known.iter_mut().zip(&signs).zip(product).for_each(|((of, sign), entry)| of.add(sign * entry));
            }
        }
        if known.iter().any(|of| !(of.mean + of.error()).is_finite()) {
            return Err(SolveError::NotFinite { iteration: 0, quantity: Quantity::Entry });
        }
        let entries = known.iter().map(|of| (of.mean + damping).abs().max(of.error()).max(damping));
        let entries: Vec<f64> = entries.collect();
        let largest = entries.iter().copied().fold(0.0, f64::max);
        let inverse = |entry: &f64| if largest > 0.0 { entry.max(SMALLEST * largest).recip() } else { 1.0 };
        let inverse = like.with_coordinates(&entries.iter().map(inverse).collect::<Vec<_>>());
        // The vectors may have an entry and not its square, or neither.
        if inverse.coordinates().map_err(failed)?.iter().any(|entry| !entry.is_finite()) {
            return Err(SolveError::NotFinite { iteration: 0, quantity: Quantity::Entry });
        }
        Ok(Diagonal { inverse })
    }
}

/// The mean of what products say about an entry, and how far they are from it.
#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    count: usize,
    mean: f64,
    /// The sum of squares of distances from the mean.
    squares: f64,
}

impl Estimate {
    fn add(&mut self, entry: f64) {
        self.count += 1;
        let gap = entry - self.mean;
        self.mean += gap / self.count as f64;
        self.squares += gap * (entry - self.mean);
    }

    /// The standard error of the mean, as far as it can be told.
    fn error(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.squares / (self.count * (self.count - 1)) as f64).sqrt() }
    }
}

impl<A> Preconditioner<A> for Diagonal<A::Vector>
where
    A: LinearOperator<Vector: Coordinates> + ?Sized,
{
    fn precondition(&mut self, _operator: &mut A, r: &A::Vector) -> Result<A::Vector, A::Error> {
        Ok(r.entrywise(&self.inverse)?)
    }
}

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

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::operator::inner_products;
use super::{Coordinates, LinearOperator, Preconditioner, SolveError};

/// How many products to learn a diagonal from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagonalOptions {
    /// Products with the operator, at least 1 (0 counts as 1).
    pub probes: usize,
    /// Decides the random signs: equal seeds give equal signs.
    pub seed: u64,
}

/// Entries smaller than this, relative to the largest, count as this: an estimate may be zero by accident.
const SMALLEST: f64 = 1e-8;

/// `P = |diag(A + δI)|`, which is positive definite, and the diagonal itself where that is positive.
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
        let mut sum = vec![0.0; dimension];
        let mut add = |probe: &[f64], weight: f64| {
            let product = operator.apply(&like.with_coordinates(probe)).map_err(SolveError::Operator)?;
            let product = product.coordinates().map_err(failed)?;
            sum.iter_mut().zip(probe).zip(product).for_each(|((sum, probe), entry)| *sum += weight * probe * entry);
            Ok(())
        };
        if dimension <= probes {
            let unit = |k: usize| (0..dimension).map(|i| f64::from(u8::from(i == k))).collect::<Vec<_>>();
            (0..dimension).try_for_each(|k| add(&unit(k), 1.0))?;
        } else {
            let mut generator = StdRng::seed_from_u64(options.seed);
            let mut signs =
                || (0..dimension).map(|_| if generator.random() { 1.0 } else { -1.0 }).collect::<Vec<f64>>();
            (0..probes).try_for_each(|_| add(&signs(), 1.0 / probes as f64))?;
        }
        let entries: Vec<f64> = sum.into_iter().map(|entry| (entry + damping).abs()).collect();
        let largest = entries.iter().copied().fold(0.0, f64::max);
        let inverse = |entry: &f64| if largest > 0.0 { entry.max(SMALLEST * largest).recip() } else { 1.0 };
        let inverse = like.with_coordinates(&entries.iter().map(inverse).collect::<Vec<_>>());
        inner_products::<A>(std::slice::from_ref(&inverse), std::slice::from_ref(&inverse), 0)?;
        Ok(Diagonal { inverse })
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

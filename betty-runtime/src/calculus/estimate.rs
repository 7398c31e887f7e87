//! Trace and diagonal of the Hessian or the Gauss-Newton matrix, estimated from products with random signs.
//!
//! For a vector `z` of independent signs, `⟨z, A·z⟩` has the trace of `A` as its mean (Hutchinson, *A Stochastic Estimator of the
//! Trace of the Influence Matrix for Laplacian Smoothing Splines*, 1989), and `z ∘ (A·z)` its diagonal (Bekas, Kokiopoulou and
//! Saad, *An Estimator for the Diagonal of a Matrix*, 2007). Both are exact where `A` is diagonal.

use super::DerivativesError;
use super::operator::CurvatureOperator;
use super::spectrum::at_least;
use super::vector::ParameterVector;
use crate::execute::mix;

/// The mean of independent samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate<T> {
    /// The mean.
    pub value: T,
    /// Its standard error, from the spread of the samples: about two thirds of all estimates are this close to what they
    /// estimate.
    pub error: T,
    /// How many samples there were.
    pub samples: usize,
}

/// Mean and spread of numbers that come one by one (Welford 1962).
#[derive(Clone, Copy, Default)]
struct Running {
    mean: f64,
    squares: f64,
}

impl Running {
    /// The sample number `count`, from 1.
    fn add(&mut self, sample: f64, count: usize) {
        let before = sample - self.mean;
        self.mean += before / count as f64;
        self.squares += before * (sample - self.mean);
    }

    fn error(&self, count: usize) -> f64 {
        (self.squares / ((count - 1) * count) as f64).sqrt()
    }
}

impl CurvatureOperator<'_> {
    /// The trace, from one product a sample; `seed` decides the signs.
    ///
    /// # Errors
    /// [`DerivativesError::TooFew`] for fewer than 2 samples, and as [`product`](Self::product).
    pub fn trace(&mut self, samples: usize, seed: u64) -> Result<Estimate<f64>, DerivativesError> {
        let mut running = Running::default();
        self.sample(samples, seed, |count, signs, product| {
            running.add(signs.dot(product)?, count);
            Ok(())
        })?;
        Ok(Estimate { value: running.mean, error: running.error(samples), samples })
    }

    /// The diagonal, from one product a sample; `seed` decides the signs.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn diagonal(&mut self, samples: usize, seed: u64) -> Result<Estimate<ParameterVector>, DerivativesError> {
        let mut running = vec![Running::default(); self.dimension()];
        self.sample(samples, seed, |count, signs, product| {
            for ((running, sign), entry) in running.iter_mut().zip(signs.to_vec()?).zip(product.to_vec()?) {
                running.add(sign * entry, count);
            }
            Ok(())
        })?;
        let like = self.vector();
        let values: Vec<f64> = running.iter().map(|running| running.mean).collect();
        let errors: Vec<f64> = running.iter().map(|running| running.error(samples)).collect();
        Ok(Estimate { value: like.with_values(&values)?, error: like.with_values(&errors)?, samples })
    }

    /// Shows each vector of signs with its product.
    fn sample(
        &mut self,
        samples: usize,
        seed: u64,
        mut see: impl FnMut(usize, &ParameterVector, &ParameterVector) -> Result<(), DerivativesError>,
    ) -> Result<(), DerivativesError> {
        at_least("the number of samples", 2, samples)?;
        let like = self.vector();
        for count in 1..=samples {
            let signs = like.signs(mix(seed, count as u64));
            let product = self.product(&signs)?;
            see(count, &signs, &product)?;
        }
        Ok(())
    }
}

//! Eigenvalues of the Hessian or the Gauss-Newton matrix, with bounds of their errors, and the density of all of them.

use super::DerivativesError;
use super::operator::CurvatureOperator;
use super::vector::ParameterVector;
use crate::execute::mix;
use crate::linalg::{Krylov, RitzValue, lanczos};

/// Estimates of a symmetric matrix's eigenvalues, from a few products.
///
/// The outermost ones are found first, and each comes with a bound of its error. An eigenvalue that occurs several times is
/// seen once.
#[derive(Clone, Debug)]
pub struct Eigenvalues {
    krylov: Krylov<ParameterVector>,
    /// The numbers of the estimates, the smallest first.
    order: Vec<usize>,
}

impl Eigenvalues {
    /// All estimates, the smallest first; there is one for each product that was formed.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = RitzValue> + ExactSizeIterator {
        self.order.iter().map(|&number| self.krylov.values()[number])
    }

    /// The lower end of the spectrum, as far as it was found; no eigenvalue is known to be smaller, but the smallest one is no
    /// larger.
    pub fn smallest(&self) -> RitzValue {
        self.all().next().unwrap_or(UNSEEN)
    }

    /// The upper end of the spectrum, as far as it was found: the largest eigenvalue is no smaller.
    pub fn largest(&self) -> RitzValue {
        self.all().next_back().unwrap_or(UNSEEN)
    }

    /// Unit vectors that are nearly eigenvectors for the `count` largest estimates, the largest first: `‖A·x − θ·x‖` is the
    /// estimate's error.
    pub fn top_vectors(&self, count: usize) -> Vec<ParameterVector> {
        self.krylov.vectors(&self.order.iter().rev().take(count).copied().collect::<Vec<_>>())
    }

    /// As [`top_vectors`](Self::top_vectors), for the `count` smallest estimates, the smallest first.
    pub fn bottom_vectors(&self, count: usize) -> Vec<ParameterVector> {
        self.krylov.vectors(&self.order[..count.min(self.order.len())])
    }
}

/// Nothing is known of an eigenvalue without a product.
const UNSEEN: RitzValue = RitzValue { value: 0.0, error: f64::INFINITY, weight: 0.0 };

/// How the eigenvalues of a symmetric matrix are distributed: estimates with weights that add up to 1.
///
/// Stochastic Lanczos quadrature (Golub and Meurant, *Matrices, Moments and Quadrature*, 1994; Ghorbani, Krishnan and Xiao, *An
/// Investigation into Neural Net Optimization via Hessian Eigenvalue Density*, 2019).
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralDensity {
    /// Eigenvalues, the smallest first, each with the share of the spectrum that it stands for.
    pub points: Vec<(f64, f64)>,
}

impl SpectralDensity {
    /// Share of the eigenvalues that are below `x`, about.
    pub fn share_below(&self, x: f64) -> f64 {
        self.points.iter().take_while(|(value, _)| *value < x).map(|(_, weight)| weight).sum()
    }

    /// The density at `x`, smoothed by a normal distribution with standard deviation `width > 0`.
    pub fn smoothed(&self, x: f64, width: f64) -> f64 {
        let scale = (2.0 * std::f64::consts::PI).sqrt() * width;
        let kernel = |value: f64| (-0.5 * ((x - value) / width).powi(2)).exp() / scale;
        self.points.iter().map(|&(value, weight)| weight * kernel(value)).sum()
    }
}

impl CurvatureOperator<'_> {
    /// Eigenvalues by Lanczos's process from a random vector, which `seed` decides, with at most so many products; their vectors
    /// are held together. For the ends of a network's spectrum 20 to 80 products are enough.
    ///
    /// # Errors
    /// [`DerivativesError::TooFew`] for no product; [`DerivativesError::Solve`] where a number is not finite.
    pub fn eigenvalues(&mut self, products: usize, seed: u64) -> Result<Eigenvalues, DerivativesError> {
        at_least("the number of products", 1, products)?;
        let start = self.vector().normal(seed);
        let krylov = lanczos(self, 0.0, &start, products)?;
        let values = krylov.values();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].value.total_cmp(&values[j].value));
        Ok(Eigenvalues { krylov, order })
    }

    /// The density of all eigenvalues, as the mean over so many random starts with at most so many products each.
    ///
    /// # Errors
    /// As [`eigenvalues`](Self::eigenvalues).
    pub fn density(&mut self, starts: usize, products: usize, seed: u64) -> Result<SpectralDensity, DerivativesError> {
        at_least("the number of starts", 1, starts)?;
        let mut points = Vec::new();
        for start in 0..starts {
            let found = self.eigenvalues(products, mix(seed, start as u64))?;
            points.extend(found.all().map(|RitzValue { value, weight, .. }| (value, weight / starts as f64)));
        }
        points.sort_by(|(x, _), (y, _)| x.total_cmp(y));
        Ok(SpectralDensity { points })
    }
}

/// Refuses a number that is too small.
pub(super) fn at_least(what: &'static str, least: usize, found: usize) -> Result<(), DerivativesError> {
    if found < least { Err(DerivativesError::TooFew { what, least, found }) } else { Ok(()) }
}

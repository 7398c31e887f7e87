//! Coordinate vectors, the plainest space there is.

use std::convert::Infallible;

use crate::linalg::{Coordinates, InnerProductSpace};

/// Entries one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column(pub(crate) Vec<f64>);

impl InnerProductSpace for Column {
    type Scalar = f64;
    type Error = Infallible;

    fn dot(&self, other: &Self) -> Result<f64, Infallible> {
        Ok(self.0.iter().zip(&other.0).map(|(x, y)| x * y).sum())
    }

    fn read(scalar: &f64) -> Result<f64, Infallible> {
        Ok(*scalar)
    }

    fn scale(&mut self, factor: f64) {
        self.0.iter_mut().for_each(|x| *x *= factor);
    }

    fn add_scaled(&mut self, factor: f64, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(x, y)| *x += factor * y);
    }

    fn zero(&self) -> Self {
        Column(vec![0.0; self.0.len()])
    }
}

impl Coordinates for Column {
    fn dimension(&self) -> usize {
        self.0.len()
    }

    fn coordinates(&self) -> Result<Vec<f64>, Infallible> {
        Ok(self.0.clone())
    }

    fn with_coordinates(&self, coordinates: &[f64]) -> Self {
        Column(coordinates.to_vec())
    }
}

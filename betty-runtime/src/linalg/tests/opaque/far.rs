//! Coordinate vectors whose numbers are kept elsewhere, so that reading them is counted.

use std::cell::Cell;
use std::ops::{Add, Div, Mul, Neg};

use super::super::*;

thread_local! {
    pub(super) static READS: Cell<usize> = const { Cell::new(0) };
}

/// A number that nobody knows who does not read it.
#[derive(Clone)]
pub(super) struct Sealed(pub(super) f64);

impl From<f64> for Sealed {
    fn from(value: f64) -> Self {
        Sealed(value)
    }
}

impl Neg for Sealed {
    type Output = Sealed;

    fn neg(self) -> Sealed {
        Sealed(-self.0)
    }
}

impl Add for Sealed {
    type Output = Sealed;

    fn add(self, other: Sealed) -> Sealed {
        Sealed(self.0 + other.0)
    }
}

impl Mul for Sealed {
    type Output = Sealed;

    fn mul(self, other: Sealed) -> Sealed {
        Sealed(self.0 * other.0)
    }
}

impl Div for Sealed {
    type Output = Sealed;

    fn div(self, other: Sealed) -> Sealed {
        Sealed(self.0 / other.0)
    }
}

impl Scalar for Sealed {
    fn sqrt(&self) -> Self {
        Sealed(self.0.sqrt())
    }

    fn hypot(&self, other: &Self) -> Self {
        Sealed(self.0.hypot(other.0))
    }

    fn while_above(self, measure: &Self, limit: &Self) -> Self {
        Sealed(self.0.while_above(&measure.0, &limit.0))
    }
}

/// Coordinate vectors whose inner products are sealed, and opened every so many iterations.
#[derive(Clone, Debug)]
pub(super) struct Far {
    pub(super) x: Column,
    pub(super) every: usize,
}

impl InnerProductSpace for Far {
    type Scalar = Sealed;
    type Error = Infallible;

    fn dot(&self, other: &Self) -> Result<Sealed, Infallible> {
        self.x.dot(&other.x).map(Sealed)
    }

    fn read(scalar: &Sealed) -> Result<f64, Infallible> {
        READS.set(READS.get() + 1);
        Ok(scalar.0)
    }

    fn read_all(scalars: &[Sealed]) -> Result<Vec<f64>, Infallible> {
        READS.set(READS.get() + 1);
        Ok(scalars.iter().map(|scalar| scalar.0).collect())
    }

    fn check_every(&self) -> usize {
        self.every
    }

    fn scale(&mut self, factor: Sealed) {
        self.x.scale(factor.0);
    }

    fn add_scaled(&mut self, factor: Sealed, other: &Self) {
        self.x.add_scaled(factor.0, &other.x);
    }

    fn zero(&self) -> Self {
        Far { x: self.x.zero(), ..*self }
    }
}

pub(super) struct FarMatrix {
    pub(super) matrix: Matrix,
    pub(super) every: usize,
}

impl LinearOperator for FarMatrix {
    type Vector = Far;
    type Error = Gone;

    fn apply(&mut self, x: &Far) -> Result<Far, Gone> {
        self.matrix.apply(&x.x).map(|x| Far { x, every: self.every })
    }
}

//! The numbers of a space: what inner products are, and vectors are scaled by.

use std::ops::{Add, Div, Mul, Neg};

/// A number of a space: an `f64` on the host, or one that a device keeps to itself.
///
/// A solver computes with such numbers without knowing them. What it decides by, it [reads](super::InnerProductSpace::read_all), no
/// more often than [the space asks for](super::InnerProductSpace::check_every).
pub trait Scalar:
    Clone + From<f64> + Neg<Output = Self> + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// `√self`
    #[must_use]
    fn sqrt(&self) -> Self;

    /// `√(self² + other²)`
    #[must_use]
    fn hypot(&self, other: &Self) -> Self {
        (self.clone() * self.clone() + other.clone() * other.clone()).sqrt()
    }

    /// `self`, but 0 where `measure ≤ limit`: what a solver goes on by until something is small enough, and then no further.
    #[must_use]
    fn while_above(self, measure: &Self, limit: &Self) -> Self;
}

impl Scalar for f64 {
    fn sqrt(&self) -> Self {
        f64::sqrt(*self)
    }

    fn hypot(&self, other: &Self) -> Self {
        f64::hypot(*self, *other)
    }

    fn while_above(self, measure: &Self, limit: &Self) -> Self {
        if measure <= limit { 0.0 } else { self }
    }
}

//! The numbers of a space: what inner products are, and vectors are scaled by.

use std::ops::{Add, Mul, Neg};

/// A number of a space: an `f64` on the host, or one that a device keeps to itself.
///
/// A solver computes with such numbers without knowing them. What it decides by, it
/// [reads](super::InnerProductSpace::read), and no more often than numbers allow.
pub trait Scalar: Clone + From<f64> + Neg<Output = Self> + Add<Output = Self> + Mul<Output = Self> {
    /// Every how many iterations a solver asks a question that needs a number to be read; 1 where all are at hand.
    const READ_EVERY: usize;

    /// `self / other`; 0 where `self` is, so that iterations after nothing is left change nothing.
    #[must_use]
    fn over(&self, other: &Self) -> Self;

    /// The smaller one of two numbers; not a number if either is none.
    #[must_use]
    fn smaller(&self, other: &Self) -> Self;
}

impl Scalar for f64 {
    const READ_EVERY: usize = 1;

    fn over(&self, other: &Self) -> Self {
        if *self == 0.0 { 0.0 } else { self / other }
    }

    fn smaller(&self, other: &Self) -> Self {
        if self.is_nan() || self < other { *self } else { *other }
    }
}

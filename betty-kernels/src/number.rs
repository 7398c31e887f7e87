//! The types of numbers that kernels exist for.

use std::fmt::Debug;

/// A float type that kernels compute in: `f32` or `f64`.
pub trait Number: Copy + Default + PartialEq + Debug + Send + Sync + sealed::Sealed + 'static {
    /// `self · factor + addend`, rounded once if `FUSED`.
    #[doc(hidden)]
    fn multiplied<const FUSED: bool>(self, factor: Self, addend: Self) -> Self;

    /// `self + other`
    #[doc(hidden)]
    fn plus(self, other: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! number {
    ($number:ty) => {
        impl Number for $number {
            #[inline(always)]
            fn multiplied<const FUSED: bool>(self, factor: Self, addend: Self) -> Self {
                if FUSED { self.mul_add(factor, addend) } else { self * factor + addend }
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    };
}

number!(f32);
number!(f64);

//! The types of numbers that kernels exist for.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Convolution;
use crate::arithmetic::{self, Arithmetic};
use crate::sum::sum_in;
use crate::sums::Sums;
use crate::vectorized::Instructions;
use crate::{product, running, softmax};

/// A float type that kernels compute in: `f32` or `f64`.
pub trait Number:
    Copy
    + Default
    + PartialEq
    + Debug
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + sealed::Sealed
    + 'static
{
    /// `self · factor + addend`, rounded once if `FUSED`.
    #[doc(hidden)]
    fn multiplied<const FUSED: bool>(self, factor: Self, addend: Self) -> Self;

    /// The number of this type next to another one.
    #[doc(hidden)]
    fn of(number: f64) -> Self;

    /// `other` where `self` is positive or no number, 0 elsewhere.
    #[doc(hidden)]
    fn gate(self, other: Self) -> Self;

    /// The square root.
    #[doc(hidden)]
    fn root(self) -> Self;

    /// The number in double precision.
    #[doc(hidden)]
    fn wide(self) -> f64;

    /// [`Convolution::forward`]. What is generic is compiled where it is used, which tests do without optimisations; this is compiled
    /// here, as are all below.
    #[doc(hidden)]
    fn forward(of: &Convolution, x: &[Self], weight: &[Self]) -> Vec<Self>;

    /// [`Convolution::weight_adjoint`]
    #[doc(hidden)]
    fn weight_adjoint(of: &Convolution, x: &[Self], cotangent: &[Self]) -> Vec<Self>;

    /// [`Convolution::input_adjoint`]
    #[doc(hidden)]
    fn input_adjoint(of: &Convolution, weight: &[Self], cotangent: &[Self]) -> Vec<Self>;

    /// [`Arithmetic::replace_first`]
    #[doc(hidden)]
    fn replace_first(of: Arithmetic, x: &mut [Self], y: &[Self]);

    /// [`Arithmetic::replace_second`]
    #[doc(hidden)]
    fn replace_second(of: Arithmetic, x: &[Self], y: &mut [Self]);

    /// [`Arithmetic::fresh`]
    #[doc(hidden)]
    fn fresh(of: Arithmetic, x: &[Self], y: &[Self]) -> Vec<Self>;

    /// [`sum`](crate::sum())
    #[doc(hidden)]
    fn sum(numbers: &[Self]) -> f64;

    /// [`Sums::of`]
    #[doc(hidden)]
    fn sums(of: Sums, numbers: &[Self]) -> Vec<Self>;

    /// [`softmax`](crate::softmax())
    #[doc(hidden)]
    fn softmax(entries: &mut [Self], length: usize);

    /// [`running_sums`](crate::running_sums)
    #[doc(hidden)]
    fn add_up(plane: &mut [Self], within: usize);

    /// [`of_columns`](product::of_columns)
    #[doc(hidden)]
    fn of_columns(vector: &[Self], matrix: &[Self]) -> Vec<Self>;

    /// [`of_rows`](product::of_rows)
    #[doc(hidden)]
    fn of_rows(matrix: &[Self], vector: &[Self]) -> Vec<Self>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! number {
    ($number:ty, $softmax:path) => {
        impl Number for $number {
            #[inline(always)]
            fn multiplied<const FUSED: bool>(self, factor: Self, addend: Self) -> Self {
                if FUSED { self.mul_add(factor, addend) } else { self * factor + addend }
            }

            #[inline(always)]
            fn of(number: f64) -> Self {
                number as $number
            }

            #[inline(always)]
            fn gate(self, other: Self) -> Self {
                if self.is_nan() || self > 0.0 { other } else { 0.0 }
            }

            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn wide(self) -> f64 {
                self.into()
            }

            fn forward(of: &Convolution, x: &[Self], weight: &[Self]) -> Vec<Self> {
                of.forward_in(x, weight)
            }

            fn weight_adjoint(of: &Convolution, x: &[Self], cotangent: &[Self]) -> Vec<Self> {
                of.weight_adjoint_in(x, cotangent)
            }

            fn input_adjoint(of: &Convolution, weight: &[Self], cotangent: &[Self]) -> Vec<Self> {
                of.input_adjoint_in(weight, cotangent)
            }

            fn replace_first(of: Arithmetic, x: &mut [Self], y: &[Self]) {
                arithmetic::with_function!(of, f => arithmetic::replace_first(x, y, f));
            }

            fn replace_second(of: Arithmetic, x: &[Self], y: &mut [Self]) {
                arithmetic::with_function!(of, f => arithmetic::replace_second(x, y, f));
            }

            fn fresh(of: Arithmetic, x: &[Self], y: &[Self]) -> Vec<Self> {
                arithmetic::with_function!(of, f => arithmetic::fresh(x, y, f))
            }

            fn sum(numbers: &[Self]) -> f64 {
                sum_in(numbers)
            }

            fn sums(of: Sums, numbers: &[Self]) -> Vec<Self> {
                of.of_in(numbers)
            }

            fn softmax(entries: &mut [Self], length: usize) {
                $softmax(entries, length);
            }

            fn add_up(plane: &mut [Self], within: usize) {
                running::add_up(plane, within);
            }

            fn of_columns(vector: &[Self], matrix: &[Self]) -> Vec<Self> {
                product::of_columns_with(Instructions::best(), vector, matrix)
            }

            fn of_rows(matrix: &[Self], vector: &[Self]) -> Vec<Self> {
                product::of_rows_with(Instructions::best(), matrix, vector)
            }
        }
    };
}

number!(f32, softmax::single);
number!(f64, softmax::double);

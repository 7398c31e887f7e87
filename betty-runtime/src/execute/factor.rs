//! Products with numbers that the type of what is multiplied may have no place for.

use burn::tensor::{DType, DispatchTensor};
use burn_backend::ops::FloatTensorOps;
use burn_backend::{Scalar, TensorMetadata as _};
use burn_dispatch::Dispatch;

use super::Value;
use super::wide::wide;

/// Whether a factor is a number of this type, neither too large nor too small.
pub(super) fn fits(factor: f64, dtype: DType) -> bool {
    let size = factor.abs();
    dtype.finfo().is_none_or(|of| size == 0.0 || (of.min_positive..=of.max).contains(&size))
}

/// `factor · x`, also where the product has a place among the numbers of `x` but the factor has none: f16 ends at 65504, f32 at 3e38, and
/// a vector may well be shorter than one over that.
pub(super) fn scaled(x: DispatchTensor, factor: f64) -> DispatchTensor {
    let dtype = x.dtype();
    if fits(factor, dtype) {
        return times(x, factor);
    }
    let x = wide(&Value(x));
    let product = if fits(factor, x.dtype()) {
        times(x, factor)
    } else {
        // By two numbers, of which a power of two does not round.
        let first = if factor.abs() > 1.0 { LARGE } else { 1.0 / LARGE };
        times(times(x, first), factor / first)
    };
    Dispatch::float_cast(product, dtype.into())
}

/// With it, any number of f32 times a factor that makes it 1 is two numbers of f32.
const LARGE: f64 = (1_u128 << 64) as f64;

fn times(x: DispatchTensor, factor: f64) -> DispatchTensor {
    Dispatch::float_mul_scalar(x, Scalar::Float(factor))
}

//! Single-pass loops over tensors in host memory.
//!
//! A solver's vectors are as long as a level's parameters, and its inner products and updates move bytes, nothing else. On the
//! CPU one pass without intermediate tensors does what two kernels and an allocation do on the dispatch layer.

use burn::tensor::{DType, DispatchTensor};
use burn_dispatch::{BackendTensor, DispatchTensorKind};

/// Lanes of independent partial sums: what the compiler needs to vectorise a sum.
const LANES: usize = 16;

/// `⟨x, y⟩` summed in f64, if both are contiguous in host memory.
pub(super) fn dot(x: &DispatchTensor, y: &DispatchTensor) -> Option<f64> {
    let (DispatchTensorKind::Flex(BackendTensor::Float(x)), DispatchTensorKind::Flex(BackendTensor::Float(y))) =
        (&x.kind, &y.kind)
    else {
        return None;
    };
    match (x.dtype(), y.dtype()) {
        (DType::F32, DType::F32) => Some(sum_of_products(x.as_slice::<f32>()?, y.as_slice::<f32>()?, f64::from)),
        (DType::F64, DType::F64) => Some(sum_of_products(x.as_slice::<f64>()?, y.as_slice::<f64>()?, |x| x)),
        _ => None,
    }
}

/// `y ← scale·y + factor·x` in place; false, with nothing changed, if `y` is shared or either is not plain host memory.
pub(super) fn combine(y: &mut DispatchTensor, scale: f64, factor: f64, x: Option<&DispatchTensor>) -> bool {
    let DispatchTensorKind::Flex(BackendTensor::Float(y)) = &mut y.kind else { return false };
    let x = match x.map(|x| &x.kind) {
        None => None,
        Some(DispatchTensorKind::Flex(BackendTensor::Float(x))) if x.dtype() == y.dtype() => Some(x),
        Some(_) => return false,
    };
    macro_rules! in_place {
        ($number:ty) => {{
            // A view of a part of a larger buffer is no plain memory: what is written is the whole buffer.
            let whole = y.as_slice::<$number>().is_some_and(|view| view.len() == y.storage::<$number>().len());
            if !whole || x.is_some_and(|x| x.as_slice::<$number>().is_none()) {
                return false;
            }
            let (scale, factor) = (scale as $number, factor as $number);
            let Some(y) = y.try_storage_mut::<$number>() else { return false };
            match x.and_then(|x| x.as_slice::<$number>()) {
                None => y.iter_mut().for_each(|y| *y *= scale),
                Some(x) if scale == 1.0 => y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x),
                Some(x) => y.iter_mut().zip(x).for_each(|(y, x)| *y = scale * *y + factor * x),
            }
            true
        }};
    }
    match y.dtype() {
        DType::F32 => in_place!(f32),
        DType::F64 => in_place!(f64),
        _ => false,
    }
}

fn sum_of_products<T: Copy>(x: &[T], y: &[T], wide: impl Fn(T) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (x_chunks, y_chunks) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = x_chunks.remainder().iter().zip(y_chunks.remainder()).map(|(&x, &y)| wide(x) * wide(y)).sum();
    for (x, y) in x_chunks.zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] += wide(x[lane]) * wide(y[lane]);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

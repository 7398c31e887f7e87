//! Single-pass loops over tensors in host memory.
//!
//! A solver's vectors are as long as a level's parameters, and its inner products and updates move bytes, nothing else. On the
//! CPU one pass without intermediate tensors does what two kernels and an allocation do on the dispatch layer.

use std::ops::{Add, AddAssign, Mul, MulAssign};

use betty_kernels::arithmetic::{Arithmetic, LEAST};
use betty_kernels::entrywise::{Function, Real as _};
use burn::tensor::{DType, DispatchTensor, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::{BackendTensor, Dispatch, DispatchTensorKind};
use rayon::prelude::*;

/// Elements that one thread works on at a time; shorter tensors are not worth a second thread.
const BLOCK: usize = 1 << 15;

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

/// Whether a tensor is in host memory, in a type that there are loops for: nobody waits for its numbers.
pub(super) fn is_plain(x: &DispatchTensor) -> bool {
    matches!(x.kind, DispatchTensorKind::Flex(BackendTensor::Float(_))) && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// Whether all entries are finite, if they are contiguous in host memory.
pub(super) fn is_finite(x: &DispatchTensor) -> Option<bool> {
    let DispatchTensorKind::Flex(BackendTensor::Float(x)) = &x.kind else { return None };
    match x.dtype() {
        DType::F32 => Some(x.as_slice::<f32>()?.par_chunks(BLOCK).all(|block| all_finite(block, 0.0))),
        DType::F64 => Some(x.as_slice::<f64>()?.par_chunks(BLOCK).all(|block| all_finite(block, 0.0))),
        _ => None,
    }
}

/// Whether all entries of a block are finite: `0·x` is zero for those, and for no others, and so is the sum.
fn all_finite<T: Copy + PartialEq + Mul<Output = T> + AddAssign>(block: &[T], zero: T) -> bool {
    let mut lanes = [zero; LANES];
    let chunks = block.chunks_exact(LANES);
    let rest = chunks.remainder().iter().all(|&x| zero * x == zero);
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += zero * chunk[lane];
        }
    }
    rest && lanes.iter().all(|&lane| lane == zero)
}

/// `y ← scale·y + factor·x`, in place if nobody shares `y`; false, with nothing changed, if either is not plain host memory.
pub(super) fn combine(y: &mut DispatchTensor, scale: f64, factor: f64, x: Option<&DispatchTensor>) -> bool {
    let DispatchTensorKind::Flex(BackendTensor::Float(target)) = &mut y.kind else { return false };
    let x = match x.map(|x| &x.kind) {
        None => None,
        Some(DispatchTensorKind::Flex(BackendTensor::Float(x))) if x.dtype() == target.dtype() => Some(x),
        Some(_) => return false,
    };
    macro_rules! combined {
        ($number:ty) => {{
            let (scale, factor) = (scale as $number, factor as $number);
            let x = match x.map(|x| x.as_slice::<$number>()) {
                None => None,
                Some(Some(x)) => Some(x),
                Some(None) => return false,
            };
            let Some(view) = target.as_slice::<$number>() else { return false };
            // A view of a part of a larger buffer is no plain memory: what would be written is the whole buffer.
            let whole = view.len() == target.storage::<$number>().len();
            if whole && let Some(y) = target.try_storage_mut::<$number>() {
                in_place(y, scale, factor, x);
                return true;
            }
            let Some(view) = target.as_slice::<$number>() else { return false };
            let data = TensorData::new(fresh(view, scale, factor, x), target.shape().clone());
            *y = Dispatch::float_from_data(data, &y.device());
            true
        }};
    }
    match target.dtype() {
        DType::F32 => combined!(f32),
        DType::F64 => combined!(f64),
        _ => false,
    }
}

/// Multiplies each entry, in place if nobody shares `x`; false, with nothing changed, if it is small, or no plain host memory.
pub(super) fn scaled(x: &mut DispatchTensor, factor: f64) -> bool {
    // A factor that a type has not is what Burn makes of it.
    let has_factor = (factor as f32).is_normal() || factor == 0.0;
    has_factor && x.shape().num_elements() >= LEAST && combine(x, factor, 0.0, None)
}

/// Replaces each entry by the function of it, in place if nobody shares `x`; false, with nothing changed, if `x` is no plain host
/// memory.
pub(super) fn entrywise(x: &mut DispatchTensor, function: Function) -> bool {
    let DispatchTensorKind::Flex(BackendTensor::Float(entries)) = &mut x.kind else { return false };
    macro_rules! replaced {
        ($number:ty) => {{
            let Some(view) = entries.as_slice::<$number>() else { return false };
            let whole = view.len() == entries.storage::<$number>().len();
            if whole && let Some(entries) = entries.try_storage_mut::<$number>() {
                <$number>::replace(function, entries);
                return true;
            }
            let Some(view) = entries.as_slice::<$number>() else { return false };
            let mut values = view.to_vec();
            <$number>::replace(function, &mut values);
            let data = TensorData::new(values, entries.shape().clone());
            *x = Dispatch::float_from_data(data, &x.device());
            true
        }};
    }
    match entries.dtype() {
        DType::F32 => replaced!(f32),
        DType::F64 => replaced!(f64),
        _ => false,
    }
}

/// `f(x, y)` entry by entry, in the place of one of both if nobody shares it; nothing if they are small, or no plain host memory.
pub(super) fn arithmetic(f: Arithmetic, x: &mut DispatchTensor, y: &mut DispatchTensor) -> Option<DispatchTensor> {
    let DispatchTensorKind::Flex(BackendTensor::Float(one)) = &mut x.kind else { return None };
    let DispatchTensorKind::Flex(BackendTensor::Float(other)) = &mut y.kind else { return None };
    if one.dtype() != other.dtype() || one.shape() != other.shape() || one.shape().num_elements() < LEAST {
        return None;
    }
    macro_rules! computed {
        ($number:ty) => {{
            let length = one.as_slice::<$number>()?.len();
            let of_other = other.as_slice::<$number>()?;
            // A view of a part of a larger buffer is no plain memory: what would be written is the whole buffer.
            if one.storage::<$number>().len() == length
                && let Some(entries) = one.try_storage_mut::<$number>()
            {
                f.replace_first(entries, of_other);
                return Some(x.clone());
            }
            if other.storage::<$number>().len() == length
                && let Some(entries) = other.try_storage_mut::<$number>()
            {
                f.replace_second(one.as_slice::<$number>()?, entries);
                return Some(y.clone());
            }
            let values = f.fresh(one.as_slice::<$number>()?, other.as_slice::<$number>()?);
            let data = TensorData::new(values, one.shape().clone());
            Some(Dispatch::float_from_data(data, &x.device()))
        }};
    }
    match one.dtype() {
        DType::F32 => computed!(f32),
        DType::F64 => computed!(f64),
        _ => None,
    }
}

fn in_place<T>(y: &mut [T], scale: T, factor: T, x: Option<&[T]>)
where
    T: Copy + PartialEq + From<u8> + Mul<Output = T> + Add<Output = T> + MulAssign + AddAssign + Send + Sync,
{
    let blocks = y.par_chunks_mut(BLOCK);
    match x {
        None => blocks.for_each(|y| y.iter_mut().for_each(|y| *y *= scale)),
        Some(x) if scale == T::from(1) => {
            blocks.zip(x.par_chunks(BLOCK)).for_each(|(y, x)| y.iter_mut().zip(x).for_each(|(y, &x)| *y += factor * x))
        }
        Some(x) => blocks
            .zip(x.par_chunks(BLOCK))
            .for_each(|(y, x)| y.iter_mut().zip(x).for_each(|(y, &x)| *y = scale * *y + factor * x)),
    }
}

fn fresh<T>(y: &[T], scale: T, factor: T, x: Option<&[T]>) -> Vec<T>
where
    T: Copy + Mul<Output = T> + Add<Output = T> + Send + Sync,
{
    match x {
        None => y.par_iter().with_min_len(BLOCK).map(|&y| scale * y).collect(),
        Some(x) => y.par_iter().zip(x).with_min_len(BLOCK).map(|(&y, &x)| scale * y + factor * x).collect(),
    }
}

/// Sums block by block, in order: the number of threads does not change the result.
fn sum_of_products<T: Copy + Sync>(x: &[T], y: &[T], wide: impl Fn(T) -> f64 + Sync) -> f64 {
    if x.len() <= BLOCK {
        return sum_of_block(x, y, wide);
    }
    let blocks = x.par_chunks(BLOCK).zip(y.par_chunks(BLOCK));
    blocks.map(|(x, y)| sum_of_block(x, y, &wide)).collect::<Vec<f64>>().into_iter().sum()
}

fn sum_of_block<T: Copy>(x: &[T], y: &[T], wide: impl Fn(T) -> f64) -> f64 {
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

//! Single-pass loops over tensors in host memory.
//!
//! A solver's vectors are as long as a level's parameters, and its inner products and updates move bytes, nothing else. On the
//! CPU one pass without intermediate tensors does what two kernels and an allocation do on the dispatch layer.

use std::cmp::Reverse;
use std::ops::{Add, AddAssign, Mul, MulAssign};

use betty_kernels::arithmetic::{Arithmetic, LEAST};
use betty_kernels::chain::{Chained, Input};
use betty_kernels::entrywise::Function;
use burn::tensor::{DType, DispatchTensor, Element, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::{BackendTensor, Dispatch, DispatchTensorKind};
use rayon::prelude::*;

/// Elements that one thread works on at a time; shorter tensors are not worth a second thread.
const BLOCK: usize = 1 << 15;

/// Lanes of independent partial sums: what the compiler needs to vectorise a sum.
const LANES: usize = 16;

/// A type of numbers whose tensors may lie in host memory as they are.
pub(super) trait Plain: Chained + Element + From<u8> + AddAssign + MulAssign {
    /// The numbers of a tensor, if they lie in host memory one after the other.
    fn plain(x: &DispatchTensor) -> Option<&[Self]>;

    /// The same, to be written over, if the tensor is no view, and nobody else has it.
    fn whole(x: &mut DispatchTensor) -> Option<&mut [Self]>;

    /// Where the numbers of a tensor in host memory are, of which no dimension runs backwards.
    fn input(x: &DispatchTensor) -> Input<'_, Self>;
}

macro_rules! plain {
    ($number:ty) => {
        impl Plain for $number {
            fn plain(x: &DispatchTensor) -> Option<&[Self]> {
                let DispatchTensorKind::Flex(BackendTensor::Float(x)) = &x.kind else { return None };
                x.as_slice::<$number>()
            }

            fn whole(x: &mut DispatchTensor) -> Option<&mut [Self]> {
                let DispatchTensorKind::Flex(BackendTensor::Float(x)) = &mut x.kind else { return None };
                // A view of a part of a larger buffer is no plain memory: what would be written is the whole buffer.
                let is_whole = x.as_slice::<$number>()?.len() == x.storage::<$number>().len();
                x.try_storage_mut::<$number>().filter(|_| is_whole)
            }

            fn input(x: &DispatchTensor) -> Input<'_, Self> {
                let DispatchTensorKind::Flex(BackendTensor::Float(x)) = &x.kind else {
                    unreachable!("a chain runs on tensors in host memory")
                };
                x.as_slice::<$number>().map_or_else(
                    || {
                        let strides = x.layout().strides().iter().map(|&stride| stride.unsigned_abs()).collect();
                        Input::Strided(&x.storage::<$number>()[x.layout().start_offset()..], strides)
                    },
                    Input::Dense,
                )
            }
        }
    };
}

plain!(f32);
plain!(f64);

/// A tensor made of what becomes of the entries of another one in host memory, one after the other; nothing, if they lie elsewhere or are of
/// another type than `f32` and `f64`. The expression is compiled for each.
macro_rules! from_entries {
    ($x:expr, $sizes:expr, $entries:ident => $values:expr) => {{
        let x: &burn::tensor::DispatchTensor = $x;
        match &x.kind {
            burn_dispatch::DispatchTensorKind::Flex(burn_dispatch::BackendTensor::Float(own)) => {
                let dense = own.to_contiguous();
                let data = match dense.dtype() {
                    burn::tensor::DType::F32 => {
                        dense.as_slice::<f32>().map(|$entries| TensorData::new($values, $sizes))
                    }
                    burn::tensor::DType::F64 => {
                        dense.as_slice::<f64>().map(|$entries| TensorData::new($values, $sizes))
                    }
                    _ => None,
                };
                data.map(|data| burn_dispatch::Dispatch::float_from_data(data, &x.device()))
            }
            _ => None,
        }
    }};
}

pub(super) use from_entries;

/// The dimensions of a float tensor in host memory in the order in which they lie there: seen so, a transposed tensor is not copied.
pub(super) fn order_of_memory(x: &DispatchTensor) -> Option<Vec<usize>> {
    let DispatchTensorKind::Flex(BackendTensor::Float(entries)) = &x.kind else { return None };
    let strides = entries.layout().strides();
    let mut axes: Vec<usize> = (0..strides.len()).collect();
    axes.sort_by_key(|&axis| Reverse(strides[axis].unsigned_abs()));
    Some(axes)
}

/// `⟨x, y⟩` summed in f64, if both are in host memory. Those that are no views are read where they are, and so are two that are seen alike.
pub(super) fn dot(x: &DispatchTensor, y: &DispatchTensor) -> Option<f64> {
    fn of<T: Plain>(x: &DispatchTensor, y: &DispatchTensor, wide: impl Fn(T) -> f64 + Sync) -> Option<f64> {
        if let (Some(x), Some(y)) = (T::plain(x), T::plain(y)) {
            return Some(sum_of_products(x, y, wide));
        }
        let axes = order_of_memory(x)?;
        let [x, y] = [x, y].map(|of| dense(&Dispatch::float_permute(of.clone(), &axes)));
        Some(sum_of_products(T::plain(&x?)?, T::plain(&y?)?, wide))
    }
    match (x.dtype(), y.dtype()) {
        (DType::F32, DType::F32) => of::<f32>(x, y, f64::from),
        (DType::F64, DType::F64) => of::<f64>(x, y, |x| x),
        _ => None,
    }
}

/// The tensor with its entries one after the other, if it is in host memory.
pub(super) fn dense(x: &DispatchTensor) -> Option<DispatchTensor> {
    match f32::plain(x).is_some() || f64::plain(x).is_some() {
        true => Some(x.clone()),
        false => from_entries!(x, x.shape(), entries => entries.to_vec()),
    }
}

/// Whether a tensor is in host memory, in a type that there are loops for: nobody waits for its numbers.
pub(super) fn is_plain(x: &DispatchTensor) -> bool {
    matches!(x.kind, DispatchTensorKind::Flex(BackendTensor::Float(_))) && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// Whether all entries are finite, if they are in host memory.
pub(super) fn is_finite(x: &DispatchTensor) -> Option<bool> {
    fn of<T: Plain>(x: &DispatchTensor) -> Option<bool> {
        let finite = |entries: &[T]| entries.par_chunks(BLOCK).all(|block| all_finite(block, T::from(0)));
        match T::plain(x) {
            Some(entries) => Some(finite(entries)),
            None => Some(finite(T::plain(&dense(&Dispatch::float_permute(x.clone(), &order_of_memory(x)?))?)?)),
        }
    }
    match x.dtype() {
        DType::F32 => of::<f32>(x),
        DType::F64 => of::<f64>(x),
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
    fn combined<T: Plain>(y: &mut DispatchTensor, scale: f64, factor: f64, x: Option<&DispatchTensor>) -> bool {
        let (scale, factor) = (T::of(scale), T::of(factor));
        let x = match x.map(T::plain) {
            None => None,
            Some(Some(x)) => Some(x),
            Some(None) => return false,
        };
        if let Some(y) = T::whole(y) {
            in_place(y, scale, factor, x);
            return true;
        }
        let Some(view) = T::plain(y) else { return false };
        let data = TensorData::new(fresh(view, scale, factor, x), y.shape());
        *y = Dispatch::float_from_data(data, &y.device());
        true
    }
    match y.dtype() {
        DType::F32 => combined::<f32>(y, scale, factor, x),
        DType::F64 => combined::<f64>(y, scale, factor, x),
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
    fn replaced<T: Plain>(x: &mut DispatchTensor, function: Function) -> bool {
        if let Some(entries) = T::whole(x) {
            T::replace(function, entries);
            return true;
        }
        let Some(view) = T::plain(x) else { return false };
        let mut values = view.to_vec();
        T::replace(function, &mut values);
        *x = Dispatch::float_from_data(TensorData::new(values, x.shape()), &x.device());
        true
    }
    match x.dtype() {
        DType::F32 => replaced::<f32>(x, function),
        DType::F64 => replaced::<f64>(x, function),
        _ => false,
    }
}

/// `f(x, y)` entry by entry, in the place of one of both if nobody shares it; nothing if they are small, or no plain host memory.
pub(super) fn arithmetic(f: Arithmetic, x: &mut DispatchTensor, y: &mut DispatchTensor) -> Option<DispatchTensor> {
    fn computed<T: Plain>(f: Arithmetic, x: &mut DispatchTensor, y: &mut DispatchTensor) -> Option<DispatchTensor> {
        if let (Some(entries), Some(other)) = (T::whole(x), T::plain(y)) {
            f.replace_first(entries, other);
            return Some(x.clone());
        }
        if let (Some(one), Some(entries)) = (T::plain(x), T::whole(y)) {
            f.replace_second(one, entries);
            return Some(y.clone());
        }
        let values = f.fresh(T::plain(x)?, T::plain(y)?);
        Some(Dispatch::float_from_data(TensorData::new(values, x.shape()), &x.device()))
    }
    if x.dtype() != y.dtype() || x.shape() != y.shape() || x.shape().num_elements() < LEAST {
        return None;
    }
    match x.dtype() {
        DType::F32 => computed::<f32>(f, x, y),
        DType::F64 => computed::<f64>(f, x, y),
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

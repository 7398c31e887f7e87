//! Where extreme values are, which order values have, and running extremes.

use burn::tensor::DispatchTensor;
use burn_backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn_backend::{Scalar as Number, TensorMetadata};
use burn_dispatch::Dispatch as B;

use super::Run;
use crate::execute::stored::Stored;
use crate::execute::total::{sums, total};

pub(super) fn sum(x: DispatchTensor, axes: &[usize]) -> DispatchTensor {
    let rank = x.shape().num_dims();
    if !x.dtype().is_float() {
        return axes.iter().fold(x, |x, &axis| B::int_sum_dim(x, axis));
    }
    // A graph sums over no dimension of size 1: `[N, 1]` is summed whole along its first.
    if (0..rank).all(|axis| axes.contains(&axis) || x.shape()[axis] == 1) {
        return B::float_reshape(total(x), vec![1; rank].into());
    }
    sums(x, axes)
}

pub(super) fn arg_extreme(x: DispatchTensor, axis: usize, max: bool, stored: Stored) -> DispatchTensor {
    if x.dtype().is_float() {
        return if max { B::float_argmax(x, axis, stored.index) } else { B::float_argmin(x, axis, stored.index) };
    }
    B::int_cast(if max { B::int_argmax(x, axis) } else { B::int_argmin(x, axis) }, stored.index)
}

/// `√(E (x − E x)² + ε)` along the last dimension.
pub(super) fn deviation(x: DispatchTensor, epsilon: f64) -> DispatchTensor {
    let last = x.shape().num_dims() - 1;
    let mean = B::float_mean_dim(x.clone(), last);
    let centred = B::float_sub(x, mean);
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred), last);
    B::float_sqrt(B::float_add_scalar(variance, Number::Float(epsilon)))
}

/// Indices that put the values along `axis` in order: those that Burn's own sort would answer, also among equal ones.
pub(super) fn arg_sort(x: DispatchTensor, axis: usize, descending: bool, stored: Stored) -> DispatchTensor {
    if x.dtype().is_float() {
        return B::float_sort_with_indices(x, axis, descending, stored.index).1;
    }
    B::int_cast(B::int_sort_with_indices(x, axis, descending).1, stored.index)
}

/// Indices of the largest values: backends without a sort have a kernel for this.
pub(super) fn arg_top_k(x: DispatchTensor, axis: usize, count: usize, stored: Stored) -> DispatchTensor {
    if x.dtype().is_float() {
        return B::float_topk_with_indices(x, axis, count, stored.index).1;
    }
    B::int_cast(B::int_topk_with_indices(x, axis, count).1, stored.index)
}

/// Index of the extreme value so far: the last position that held it.
pub(super) fn cumulative_arg_extreme(x: DispatchTensor, axis: usize, max: bool, run: &Run<'_>) -> DispatchTensor {
    let Stored { mask, index } = run.stored;
    let shape = x.shape();
    let extreme = if max {
        by_number!(x.clone(), float_cummax, int_cummax, axis)
    } else {
        by_number!(x.clone(), float_cummin, int_cummin, axis)
    };
    let holds = if x.dtype().is_float() {
        // Nothing is larger or smaller than a `NaN`, and nothing equals it.
        let nan = B::float_is_nan(x.clone(), mask);
        B::bool_or(B::float_equal(extreme, x, mask), nan)
    } else {
        B::int_equal(extreme, x, mask)
    };
    let mut along = vec![1; shape.num_dims()];
    along[axis] = shape[axis];
    let positions = B::int_reshape(B::int_arange(0..shape[axis] as i64, run.device, index), along.into());
    let held = B::int_mul(B::int_expand(positions, shape), B::bool_into_int(holds, index));
    B::int_cummax(held, axis)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::sum;
    use crate::execute::Value;

    /// Tenths, whose sum term by term in single precision would be a hundredth off.
    #[test]
    fn what_has_columns_is_summed_as_what_has_none() {
        const COUNT: usize = 1 << 20;
        let device = Device::flex();
        let tenths = |shape: Vec<usize>, axes: &[usize]| {
            let x = Tensor::<3>::from_data(TensorData::new(vec![0.1f32; COUNT], shape), &device);
            Value(sum(x.into_dispatch(), axes)).to_vec().expect("host memory")
        };
        let exact = |terms: usize| f64::from((f64::from(0.1f32) * terms as f64) as f32);
        for (shape, axes) in [
            (vec![COUNT, 1, 1], vec![0, 1, 2]),
            (vec![COUNT, 1, 1], vec![0]),
            (vec![1, COUNT, 1], vec![1]),
            (vec![1, 1, COUNT], vec![2]),
            (vec![1024, 1, 1024], vec![0, 2]),
        ] {
            assert_eq!(tenths(shape.clone(), &axes), [exact(COUNT)], "{shape:?} over {axes:?}");
        }
        // And what has several.
        for (shape, axes, columns) in [
            (vec![COUNT / 2, 2, 1], vec![0], 2),
            (vec![COUNT / 16, 4, 4], vec![0], 16),
            (vec![1, COUNT / 64, 64], vec![1], 64),
            (vec![2, 1, COUNT / 2], vec![2], 2),
            (vec![64, 4, COUNT / 256], vec![0, 2], 4),
            (vec![4, COUNT / 16, 4], vec![1], 16),
        ] {
            assert_eq!(tenths(shape.clone(), &axes), vec![exact(COUNT / columns); columns], "{shape:?} over {axes:?}");
        }
    }
}

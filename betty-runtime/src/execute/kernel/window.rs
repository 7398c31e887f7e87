//! Convolutions and pools of one to three dimensions.

use burn::tensor::DispatchTensor;
use burn_backend::TensorMetadata;
use burn_backend::ops::{ConvOptions, FloatTensorOps, ModuleOps};
use burn_dispatch::Dispatch as B;

use super::types::INDEX;
use crate::graph::{Convolution, Window};

/// Calls the one-, two- or three-dimensional variant of an operation.
macro_rules! by_rank {
    ($rank:expr, $one:expr, $two:expr, $three:expr) => {
        match $rank {
            1 => $one,
            2 => $two,
            _ => $three,
        }
    };
}

pub(super) use by_rank;

pub(super) fn options<const N: usize>(o: &Convolution) -> ConvOptions<N> {
    ConvOptions {
        stride: std::array::from_fn(|d| o.stride[d]),
        padding: std::array::from_fn(|d| o.padding[d]),
        dilation: std::array::from_fn(|d| o.dilation[d]),
        groups: o.groups,
    }
}

/// Adjoint of a one-dimensional convolution in its weight.
///
/// Where the stride leaves a rest, Burn 0.22 computes more taps than a grouped weight has and writes all of them. With a
/// second dimension of size 1 it drops what is too much.
pub(super) fn conv1d_weight(
    x: DispatchTensor,
    weight: DispatchTensor,
    c: DispatchTensor,
    o: &Convolution,
) -> DispatchTensor {
    if o.groups == 1 {
        return B::conv1d_weight_backward(x, weight, c, options(o));
    }
    let shape = weight.shape();
    let flat = |tensor: DispatchTensor| {
        let shape = [tensor.shape().to_vec(), vec![1]].concat();
        B::float_reshape(tensor, shape.into())
    };
    let options = ConvOptions {
        stride: [o.stride[0], 1],
        padding: [o.padding[0], (0, 0)],
        dilation: [o.dilation[0], 1],
        groups: o.groups,
    };
    B::float_reshape(B::conv2d_weight_backward(flat(x), flat(weight), flat(c), options), shape)
}

pub(super) fn pair(sizes: &[usize]) -> [usize; 2] {
    [sizes[0], sizes[1]]
}

pub(super) fn avg_pool(x: DispatchTensor, w: &Window) -> DispatchTensor {
    let Window { kernel, stride, padding, ceil, count_padding, .. } = w;
    match kernel.len() {
        1 => B::avg_pool1d(x, kernel[0], stride[0], padding[0], *count_padding, *ceil),
        _ => B::avg_pool2d(x, pair(kernel), pair(stride), pair(padding), *count_padding, *ceil),
    }
}

pub(super) fn avg_pool_adjoint(x: DispatchTensor, c: DispatchTensor, w: &Window) -> DispatchTensor {
    let Window { kernel, stride, padding, ceil, count_padding, .. } = w;
    match kernel.len() {
        1 => B::avg_pool1d_backward(x, c, kernel[0], stride[0], padding[0], *count_padding, *ceil),
        _ => B::avg_pool2d_backward(x, c, pair(kernel), pair(stride), pair(padding), *count_padding, *ceil),
    }
}

pub(super) fn max_pool_indices(x: DispatchTensor, w: &Window) -> DispatchTensor {
    let Window { kernel, stride, padding, dilation, ceil, .. } = w;
    match kernel.len() {
        1 => B::max_pool1d_with_indices(x, kernel[0], stride[0], padding[0], dilation[0], *ceil, INDEX).indices,
        _ => {
            let (kernel, stride, padding, dilation) = (pair(kernel), pair(stride), pair(padding), pair(dilation));
            B::max_pool2d_with_indices(x, kernel, stride, padding, dilation, *ceil, INDEX).indices
        }
    }
}

//! Pools of one to three dimensions.

use burn::tensor::{DispatchTensor, IntDType};
use burn_backend::ops::{IntTensorOps, ModuleOps};
use burn_dispatch::{Dispatch as B, DispatchTensorKind};

use crate::execute::stored::Stored;
use crate::graph::Window;

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

/// Where the largest number of each window stands.
///
/// CubeCL's pools write positions of 32 bits into the memory whatever type it was asked for.
pub(super) fn max_pool_indices(x: DispatchTensor, w: &Window, stored: Stored) -> DispatchTensor {
    let Window { kernel, stride, padding, dilation, ceil, .. } = w;
    let written = if matches!(x.kind, DispatchTensorKind::Flex(_)) { stored.index } else { IntDType::I32 };
    let indices = match kernel.len() {
        1 => B::max_pool1d_with_indices(x, kernel[0], stride[0], padding[0], dilation[0], *ceil, written).indices,
        _ => {
            let (kernel, stride, padding, dilation) = (pair(kernel), pair(stride), pair(padding), pair(dilation));
            B::max_pool2d_with_indices(x, kernel, stride, padding, dilation, *ceil, written).indices
        }
    };
    if written == stored.index { indices } else { B::int_cast(indices, stored.index) }
}

//! Reading and writing at indices.

use burn::tensor::DispatchTensor;
use burn_backend::TensorMetadata;
use burn_backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn_backend::tensor::IndexingUpdateOp;
use burn_dispatch::Dispatch as B;

use crate::graph::Update;

pub(super) fn gather(axis: usize, x: DispatchTensor, indices: DispatchTensor) -> DispatchTensor {
    if x.dtype().is_float() {
        B::float_gather(axis, x, indices)
    } else if x.dtype().is_bool() {
        B::bool_gather(axis, x, indices)
    } else {
        B::int_gather(axis, x, indices)
    }
}

pub(super) fn scatter(
    axis: usize,
    update: IndexingUpdateOp,
    x: DispatchTensor,
    indices: DispatchTensor,
    values: DispatchTensor,
) -> DispatchTensor {
    if x.dtype().is_float() {
        return B::float_scatter(axis, x, indices, values, update);
    }
    B::int_scatter(axis, x, indices, values, update)
}

/// An update by Burn's name.
pub(super) fn burn_update(update: Update) -> IndexingUpdateOp {
    match update {
        Update::Assign => IndexingUpdateOp::Assign,
        Update::Multiply => IndexingUpdateOp::Mul,
        Update::Minimum => IndexingUpdateOp::Min,
        Update::Maximum => IndexingUpdateOp::Max,
    }
}

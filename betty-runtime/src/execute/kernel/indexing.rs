//! Reading and writing at indices.

use burn::tensor::{DispatchTensor, IntDType};
use burn_backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn_backend::tensor::IndexingUpdateOp;
use burn_backend::{Scalar as Number, TensorMetadata};
use burn_dispatch::Dispatch as B;

use crate::execute::stored::Stored;
use crate::graph::Update;

pub(super) fn gather(axis: usize, x: DispatchTensor, indices: DispatchTensor, stored: Stored) -> DispatchTensor {
    if x.dtype().is_float() {
        B::float_gather(axis, x, indices)
    } else if x.dtype().is_bool() {
        truth(x, stored, |x| B::int_gather(axis, x, indices))
    } else {
        B::int_gather(axis, x, indices)
    }
}

pub(super) fn select(axis: usize, x: DispatchTensor, indices: DispatchTensor, stored: Stored) -> DispatchTensor {
    if x.dtype().is_float() {
        B::float_select(x, axis, indices)
    } else if x.dtype().is_bool() {
        truth(x, stored, |x| B::int_select(x, axis, indices))
    } else {
        B::int_select(x, axis, indices)
    }
}

/// Reads truth values as integers: what Burn 0.22 reads of a mask at indices has another type on the CPU, and the next operation would
/// not know it for one.
fn truth(x: DispatchTensor, stored: Stored, read: impl FnOnce(DispatchTensor) -> DispatchTensor) -> DispatchTensor {
    let read = read(B::bool_into_int(x, IntDType::I32));
    B::int_not_equal_elem(read, Number::Int(0), stored.mask)
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

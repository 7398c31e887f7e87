//! Sums of many entries are formed in a type that is wide enough, whatever a backend adds up in.
//!
//! In 16 bits a sum stands still once it is some hundred terms long, and in f16 it ends at 65504. Some of Burn's kernels add up in the type
//! of their operands: what they write to indices, average pools, and on the CPU products of f16 with one row or column and small
//! convolutions. Others round a sum over several dimensions after each of them, or square before they take a mean. Which of them do is
//! a backend's own affair, so every operation of the graph that adds up is run in f32 where its operands have 16 bits.

use burn::tensor::{DType, DispatchTensor};
use burn_backend::TensorMetadata;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::{Dispatch as B, DispatchDevice};

use crate::graph::{Op, accumulator};

/// The type in which to run an operation with a result of this type, if that is another one.
pub(super) fn summed_in(op: &Op, dtype: DType, device: &DispatchDevice) -> Option<DType> {
    let wide = accumulator(dtype);
    (dtype.is_float() && wide != dtype && adds_up(op, device)).then_some(wide)
}

fn adds_up(op: &Op, device: &DispatchDevice) -> bool {
    match op {
        // Graphics processors have units that multiply in 16 bits and add up in 32.
        _ if op.is_product() => matches!(device, DispatchDevice::Flex(_)),
        Op::Sum(_) | Op::CumSum(_) | Op::ScatterAdd { .. } | Op::SelectAdd { .. } => true,
        Op::LogSoftmax(_) | Op::Softmax(_) | Op::Normalize { .. } | Op::Deviation { .. } => true,
        Op::AvgPool(_) | Op::AvgPoolAdjoint(..) => true,
        Op::AdaptiveAvgPool(_) | Op::AdaptiveAvgPoolAdjoint(_) => true,
        _ => false,
    }
}

/// A float in this type; positions and masks stay what they are.
pub(super) fn in_type(x: DispatchTensor, dtype: DType) -> DispatchTensor {
    if x.dtype() == dtype || !x.dtype().is_float() { x } else { B::float_cast(x, dtype.into()) }
}

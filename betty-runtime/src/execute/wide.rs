//! Types that are wide enough to add up in.

use burn::tensor::DispatchTensor;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::Value;
use crate::graph::accumulator;

/// The tensor in the type in which it is added up.
pub(super) fn wide(x: &Value) -> DispatchTensor {
    Dispatch::float_cast(x.0.clone(), accumulator(x.dtype()).into())
}

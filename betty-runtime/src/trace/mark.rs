//! Markers: custom operations in a recording, for what Burn's own operations cannot say.

use burn_backend::TensorMetadata;
use burn_ir::{CustomOpIr, OperationIr, TensorIr};
use burn_router::{RouterClient, RouterTensor};

use super::recorded::Recorded;

/// What turns a placeholder's zeros into a tensor without a value.
pub(super) const PLACEHOLDER: &str = "placeholder";
/// A value held constant by every derivative.
pub(super) const STOP_GRADIENT: &str = "stop_gradient";
/// A tensor of a module takes a new value (inputs: the tensor, the value).
pub(super) const ADVANCE: &str = "advance";
/// The output of a model (input: the tensor).
pub(super) const OUTPUT: &str = "output";
/// A parameter that the map of a fixed point returns (input: the tensor).
pub(super) const NEXT: &str = "next";
/// A part of a sum over all ranks (input: the tensor).
pub(super) const SUMMED: &str = "summed";
/// Mean and variance of a batch (inputs: both).
pub(super) const MOMENTS: &str = "moments";
/// Derivatives of a sum of elements (inputs: the tensor that is summed, and those to differentiate by).
pub(super) const GRADIENT: &str = "gradient";

/// Records a marker that answers a tensor like `input`, whose value the recording cannot know.
pub(super) fn mark(marker: &'static str, input: Recorded) -> Recorded {
    let like = vec![(input.shape().to_vec(), input.dtype())];
    mark_all(marker, vec![input], &like).remove(0)
}

/// Records a marker over several tensors that answers tensors of these shapes and types.
pub(super) fn mark_all(
    marker: &'static str,
    inputs: Vec<Recorded>,
    outputs: &[(Vec<usize>, burn::tensor::DType)],
) -> Vec<Recorded> {
    let Some(client) = inputs.first().map(|input| input.client.clone()) else { return Vec::new() };
    let outputs: Vec<TensorIr> = outputs
        .iter()
        .map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape.clone().into(), *dtype))
        .collect();
    let inputs: Vec<TensorIr> = inputs.into_iter().map(RouterTensor::into_ir).collect();
    client.register_op(OperationIr::Custom(CustomOpIr::new(marker, &inputs, &outputs)));
    outputs.into_iter().map(|out| RouterTensor::new(out.id, out.shape, out.dtype, client.clone())).collect()
}

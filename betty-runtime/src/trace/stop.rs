//! `stop_gradient`: a constant for every derivative, visible in the recorded graph.

use burn::tensor::{DispatchTensor, Tensor};
use burn_backend::{AutodiffBackend, BackendTypes, TensorMetadata};
use burn_dispatch::backends::{Autodiff, Capture};
use burn_dispatch::{BackendTensor, DispatchKindConversion};
use burn_ir::{CustomOpIr, OperationIr, TensorIr};
use burn_router::{RouterClient, RouterTensor};

use super::tracer::taped;

/// Name of the marker in the recording.
pub(super) const MARKER: &str = "stop_gradient";
/// Name in the recording of what turns a placeholder's zeros into a tensor without a value.
pub(super) const PLACEHOLDER: &str = "placeholder";

/// A tensor of the recording, of any kind.
type Recorded = <Capture as BackendTypes>::FloatTensorPrimitive;

/// The same value, held constant by every derivative.
///
/// Inside a loss, use this instead of `Tensor::detach`: Burn's `detach` changes only its own tape and leaves no trace in
/// the recorded graph, so derivatives of the graph would run through it. Outside of a loss it is `detach`.
pub fn stop_gradient<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let dispatch = tensor.into_dispatch();
    let Some(recorded) = taped(&dispatch).cloned() else {
        return Tensor::from_dispatch(dispatch).detach();
    };
    let output = mark(MARKER, recorded.into_primitive());
    let constant = <Autodiff<Capture> as AutodiffBackend>::from_inner(output);
    let float = BackendTensor::<Autodiff<Capture>>::Float(constant);
    Tensor::from_dispatch(<DispatchTensor as DispatchKindConversion<Autodiff<Capture>>>::from_backend(float))
}

/// Records a custom operation that answers a tensor like `input`, whose value the recording cannot know.
pub(super) fn mark(marker: &'static str, input: Recorded) -> Recorded {
    let (shape, dtype, client) = (input.shape(), input.dtype(), input.client.clone());
    let id = client.create_empty_handle();
    let output = TensorIr::uninit(id, shape.clone(), dtype);
    client.register_op(OperationIr::Custom(CustomOpIr::new(marker, &[input.into_ir()], &[output])));
    RouterTensor::new(id, shape, dtype, client)
}

//! `stop_gradient`: a constant for every derivative, visible in the recorded graph.

use burn::tensor::{DispatchTensor, Tensor};
use burn_backend::{AutodiffBackend, TensorMetadata};
use burn_dispatch::backends::{Autodiff, Capture};
use burn_dispatch::{BackendTensor, DispatchKindConversion};
use burn_ir::{CustomOpIr, OperationIr, TensorIr};
use burn_router::{RouterClient, RouterTensor};

use super::tracer::taped;

/// Name of the marker in the recording.
pub(super) const MARKER: &str = "stop_gradient";

/// The same value, held constant by every derivative.
///
/// Inside a loss, use this instead of `Tensor::detach`: Burn's `detach` changes only its own tape and leaves no trace in
/// the recorded graph, so derivatives of the graph would run through it. Outside of a loss it is `detach`.
pub fn stop_gradient<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let dispatch = tensor.into_dispatch();
    let Some(recorded) = taped(&dispatch).cloned() else {
        return Tensor::from_dispatch(dispatch).detach();
    };
    let input = recorded.into_primitive();
    let (shape, dtype, client) = (input.shape(), input.dtype(), input.client.clone());
    let id = client.create_empty_handle();
    let output = TensorIr::uninit(id, shape.clone(), dtype);
    client.register_op(OperationIr::Custom(CustomOpIr::new(MARKER, &[input.into_ir()], &[output])));
    let constant = <Autodiff<Capture> as AutodiffBackend>::from_inner(RouterTensor::new(id, shape, dtype, client));
    let float = BackendTensor::<Autodiff<Capture>>::Float(constant);
    Tensor::from_dispatch(<DispatchTensor as DispatchKindConversion<Autodiff<Capture>>>::from_backend(float))
}

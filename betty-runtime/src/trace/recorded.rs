//! Tensors of a recording: what Burn's capture and its tape have behind a tensor.

use burn::tensor::DispatchTensor;
use burn_backend::{AutodiffBackend, BackendTypes};
use burn_dispatch::backends::{Autodiff, Capture};
use burn_dispatch::{BackendTensor, DispatchKindConversion, DispatchTensorKind};
use burn_ir::TensorId;

/// A tensor of the recording, of any kind.
pub(super) type Recorded = <Capture as BackendTypes>::FloatTensorPrimitive;

/// A float of Burn's capture backend on an autodiff tape.
pub(super) type Taped = <Autodiff<Capture> as BackendTypes>::FloatTensorPrimitive;

/// The tape's view of a recorded float.
pub(super) fn taped(tensor: &DispatchTensor) -> Option<&Taped> {
    match &tensor.kind {
        DispatchTensorKind::Autodiff(inner) => match &**inner {
            DispatchTensorKind::Capture(BackendTensor::Autodiff(tensor)) => Some(tensor),
            _ => None,
        },
        _ => None,
    }
}

/// The recording's name of a tensor, if it is part of one.
pub(super) fn tensor_id(tensor: &DispatchTensor) -> Option<TensorId> {
    if let Some(taped) = taped(tensor) {
        return Some(taped.primitive().id());
    }
    match &tensor.kind {
        DispatchTensorKind::Capture(BackendTensor::Float(tensor)) => Some(tensor.id()),
        DispatchTensorKind::Capture(BackendTensor::Int(tensor)) => Some(tensor.id()),
        DispatchTensorKind::Capture(BackendTensor::Bool(tensor)) => Some(tensor.id()),
        _ => None,
    }
}

/// A recorded float as a tensor that Burn's tape does not lead through.
pub(super) fn constant(tensor: Recorded) -> DispatchTensor {
    let float = BackendTensor::<Autodiff<Capture>>::Float(<Autodiff<Capture> as AutodiffBackend>::from_inner(tensor));
    <DispatchTensor as DispatchKindConversion<Autodiff<Capture>>>::from_backend(float)
}

/// The recording's view of a float, if it is part of one.
pub(super) fn recorded(tensor: &DispatchTensor) -> Option<Recorded> {
    if let Some(taped) = taped(tensor) {
        return Some(taped.clone().into_primitive());
    }
    match &tensor.kind {
        DispatchTensorKind::Capture(BackendTensor::Float(float)) => Some(float.clone()),
        _ => None,
    }
}

//! `stop_gradient`: a constant for every derivative, visible in the recorded graph.

use burn::tensor::Tensor;

use super::mark::{STOP_GRADIENT, mark};
use super::recorded::{constant, taped};

/// The same value, held constant by every derivative.
///
/// Inside a loss, use this instead of `Tensor::detach`: Burn's `detach` changes only its own tape and leaves no trace in
/// the recorded graph, so derivatives of the graph would run through it. Outside of a loss it is `detach`.
pub fn stop_gradient<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let dispatch = tensor.into_dispatch();
    let Some(recorded) = taped(&dispatch).cloned() else {
        return Tensor::from_dispatch(dispatch).detach();
    };
    Tensor::from_dispatch(constant(mark(STOP_GRADIENT, recorded.into_primitive())))
}

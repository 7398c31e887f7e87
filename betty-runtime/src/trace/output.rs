//! `output`: which tensor of a loss is the model's output, visible in the recorded graph.

use burn::tensor::Tensor;

use super::mark::{NEXT, OUTPUT, mark_all};
use super::recorded::recorded;

/// The same tensor, marked as the output of the model whose loss is computed from it.
///
/// Once marked, `Derivatives` has Jacobian products of this tensor, and products with the Gauss-Newton
/// matrix of the loss. Nothing else changes: outside of a recording, and for all other derivatives, it is the tensor itself.
///
/// ```
/// # use burn::nn::Linear;
/// # use burn::tensor::Tensor;
/// fn squared_error(model: &Linear, (x, y): (Tensor<2>, Tensor<2>)) -> Tensor<1> {
///     (betty_runtime::output(model.forward(x)) - y).square().mean()
/// }
/// ```
pub fn output<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    marked(OUTPUT, tensor)
}

/// The same tensor, marked as a parameter that the map of a fixed point returns.
pub(super) fn next<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    marked(NEXT, tensor)
}

fn marked<const D: usize>(marker: &'static str, tensor: Tensor<D>) -> Tensor<D> {
    let dispatch = tensor.into_dispatch();
    if let Some(of) = recorded(&dispatch) {
        mark_all(marker, vec![of], &[]);
    }
    Tensor::from_dispatch(dispatch)
}

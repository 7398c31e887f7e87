//! `advance`: a tensor of a module takes a new value, visible in the recorded graph.

use burn::tensor::Tensor;
use burn_backend::TensorMetadata;

use super::mark::{ADVANCE, mark_all};
use super::recorded::{constant, recorded};

/// Answers `next`, held constant by every derivative; in a recording, notes that it takes the place of `state`.
///
/// `state` is a tensor of a module, or what an earlier advance of it answered.
pub(crate) fn advance<const D: usize>(state: Tensor<D>, next: Tensor<D>) -> Tensor<D> {
    let (state, next) = (state.into_dispatch(), next.into_dispatch());
    let (Some(old), Some(new)) = (recorded(&state), recorded(&next)) else {
        return Tensor::from_dispatch(next).detach();
    };
    let like = (new.shape().to_vec(), new.dtype());
    Tensor::from_dispatch(constant(mark_all(ADVANCE, vec![old, new], &[like]).remove(0)))
}

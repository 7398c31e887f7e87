//! Parts of what ranks have together, visible in the recorded graph.

use burn::tensor::Tensor;

use super::mark::{MOMENTS, SUMMED, mark_all};
use super::recorded::recorded;

/// The same tensor; in a recording, the part of a sum over all ranks that this one has.
pub(crate) fn summed<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let dispatch = tensor.into_dispatch();
    if recorded(&dispatch).is_none() {
        return Tensor::from_dispatch(dispatch);
    }
    // A tensor of its own, so that the other one stays what it is.
    let part = Tensor::<D>::from_dispatch(dispatch).mul_scalar(1.0).into_dispatch();
    mark_all(SUMMED, recorded(&part).into_iter().collect(), &[]);
    Tensor::from_dispatch(part)
}

/// Notes in a recording that these are mean and variance over all examples of a batch.
pub(crate) fn moments(mean: &Tensor<1>, variance: &Tensor<1>) {
    let (mean, variance) = (mean.clone().into_dispatch(), variance.clone().into_dispatch());
    if let (Some(mean), Some(variance)) = (recorded(&mean), recorded(&variance)) {
        mark_all(MOMENTS, vec![mean, variance], &[]);
    }
}

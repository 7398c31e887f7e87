//! Models that people train, with their losses: a residual network, a transformer encoder, a recurrent network.

mod recurrent;
mod residual;
mod transformer;

pub use recurrent::Recurrent;
pub use residual::{Group, Norm, ResNet};
pub use transformer::Encoder;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Mean cross-entropy of `[batch, classes]` scores, in the scores' own precision.
pub fn cross_entropy(scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let count = labels.dims()[0];
    log_softmax(scores, 1).gather(1, labels.reshape([count, 1])).neg().mean()
}

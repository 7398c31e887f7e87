//! The two levels: weights of training examples above, the classifier trained under them below.

use betty_examples::data::DeviceDataset;
use betty_runtime::distributed::sum;
use betty_runtime::{Batch, multilevel, stop_gradient};
use burn::tensor::{Int, Tensor, TensorData};

use crate::model::Mlp;
use crate::weighting::Weighting;

/// What every method with a Hessian adds to its diagonal, the program's `cg` below included: more than the negative
/// curvature that a network's loss has in places.
pub(crate) const DAMPING: f64 = 1.0;

/// Training examples, some of them with a wrong label.
#[derive(Clone, Debug, Batch)]
pub(crate) struct NoisyBatch {
    /// One image a row.
    pub(crate) images: Tensor<2>,
    /// The given class of each.
    pub(crate) labels: Tensor<1, Int>,
    /// Which training examples they are.
    pub(crate) indices: Tensor<1, Int>,
}

/// Examples whose labels can be trusted.
#[derive(Clone, Debug, Batch)]
pub(crate) struct CleanBatch {
    /// One image a row.
    pub(crate) images: Tensor<2>,
    /// The class of each.
    pub(crate) labels: Tensor<1, Int>,
}

multilevel! {
    /// Learns how much each training example should count.
    pub(crate) struct HyperCleaning;

    /// Moves the weights so that the classifier trained under them does well on the clean set.
    level weighting: Weighting {
        lower: [classifier],
        batch: CleanBatch,
        loss: clean_loss,
        optimizer: adam(lr = 0.2),
    }

    /// Fits the noisy examples under the current weights.
    level classifier: Mlp {
        upper: [weighting],
        batch: NoisyBatch,
        loss: weighted_loss,
        optimizer: sgd(lr = 0.1, momentum = 0.9, weight_decay = 1e-3),
        unroll: 10,
        hypergradient: cg(iterations = 5, damping = 1.0),
    }
}

/// The weighted mean of the examples' losses.
fn weighted_loss(classifier: &Mlp, weighting: &Weighting, batch: NoisyBatch) -> Tensor<1> {
    let losses = classifier.losses(batch.images, batch.labels);
    // A weight is no way to lower the loss it was computed from.
    let weights = weighting.weights(batch.indices, stop_gradient(losses.clone()));
    weighted_mean(losses, weights)
}

/// Divided by the sum of weights, the loss keeps its scale: an upper level that makes all weights larger does not merely
/// speed the classifier up.
pub(crate) fn weighted_mean(losses: Tensor<1>, weights: Tensor<1>) -> Tensor<1> {
    sum((weights.clone() * losses).sum()) / sum(weights.sum())
}

/// The mean loss on clean examples; of the weighting it sees only what the classifier has become.
fn clean_loss(_weighting: &Weighting, classifier: &Mlp, batch: CleanBatch) -> Tensor<1> {
    classifier.losses(batch.images, batch.labels).mean()
}

impl NoisyBatch {
    /// Batches of these training examples.
    pub(crate) fn of(examples: DeviceDataset, batches: impl Iterator<Item = Vec<usize>>) -> impl Iterator<Item = Self> {
        batches.map(move |chosen| {
            let indices = indices(&chosen, &examples);
            let DeviceDataset { images, labels } = examples.select(indices.clone());
            NoisyBatch { images, labels, indices }
        })
    }
}

impl CleanBatch {
    /// Batches of these clean examples.
    pub(crate) fn of(examples: DeviceDataset, batches: impl Iterator<Item = Vec<usize>>) -> impl Iterator<Item = Self> {
        batches.map(move |chosen| {
            let DeviceDataset { images, labels } = examples.select(indices(&chosen, &examples));
            CleanBatch { images, labels }
        })
    }
}

/// The chosen examples as a tensor beside them.
fn indices(chosen: &[usize], examples: &DeviceDataset) -> Tensor<1, Int> {
    let chosen: Vec<i32> = chosen.iter().map(|&index| index as i32).collect();
    let count = chosen.len();
    Tensor::from_data(TensorData::new(chosen, [count]), &examples.device())
}

//! A linear classifier, trained on examples that count as much as another level says.

use betty_examples::data::{Dataset, DeviceDataset};
use betty_runtime::{Batch, multilevel};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Device, Int, Tensor};

/// How much each training example counts, before a sigmoid.
pub(crate) type Logits = Param<Tensor<1>>;

/// Labelled images.
#[derive(Batch, Clone, Debug)]
pub(crate) struct Examples {
    /// One image a row.
    pub(crate) images: Tensor<2>,
    /// The class of each.
    pub(crate) labels: Tensor<1, Int>,
}

impl Examples {
    /// All examples of a data set.
    pub(crate) fn of(dataset: &Dataset, device: &Device) -> Self {
        let DeviceDataset { images, labels } = dataset.to_device(device);
        Examples { images, labels }
    }
}

multilevel! {
    /// Learns how much each training example should count.
    #[derive(Clone)]
    pub(crate) struct Cleaning;

    level weights: Logits {
        lower: [classifier],
        batch: Examples,
        loss: mean_loss_above,
        optimizer: sgd(lr = 100.0, momentum = 0.5),
    }
    level classifier: Linear {
        upper: [weights],
        batch: Examples,
        loss: weighted_loss,
        optimizer: sgd(lr = 0.5, momentum = 0.9),
        unroll: 10,
        hypergradient: cg(iterations = 10, damping = 1e-2),
    }
}

/// The cross-entropy of each example.
fn losses(classifier: &Linear, Examples { images, labels }: Examples) -> Tensor<1> {
    log_softmax(classifier.forward(images), 1).gather(1, labels.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
}

/// The mean loss, in which all examples count the same.
pub(crate) fn mean_loss(classifier: &Linear, examples: Examples) -> Tensor<1> {
    losses(classifier, examples).mean()
}

/// The mean loss on clean examples; of the weights it sees only what the classifier has become.
fn mean_loss_above(_weights: &Logits, classifier: &Linear, clean: Examples) -> Tensor<1> {
    mean_loss(classifier, clean)
}

/// The weighted mean of the examples' losses.
fn weighted_loss(classifier: &Linear, weights: &Logits, noisy: Examples) -> Tensor<1> {
    let weights = sigmoid(weights.val());
    (weights.clone() * losses(classifier, noisy)).sum() / weights.sum()
}

/// The share of examples whose class gets the highest score.
pub(crate) fn accuracy(classifier: &Linear, Examples { images, labels }: &Examples) -> f64 {
    let predicted = classifier.forward(images.clone()).argmax(1).squeeze_dim::<1>(1);
    let hits = predicted.equal(labels.clone()).int().sum().into_scalar::<i64>();
    let [count] = labels.dims();
    hits as f64 / count.max(1) as f64
}

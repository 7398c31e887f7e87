//! A weight of its own for each training row, learned so that the classifier does well on rows that it is not trained on.

use betty_examples::penalized::{Classifier, Examples};
use betty_runtime::{Batch, multilevel};
use burn::module::{Module, Param};
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// A number for each training row, whose sigmoid is its weight.
#[derive(Module, Debug)]
pub(crate) struct Weights {
    logits: Param<Tensor<1>>,
}

/// Training rows, and the penalty of all parameters.
#[derive(Clone, Debug, Batch)]
pub(crate) struct Training {
    pub(crate) inputs: Tensor<2>,
    pub(crate) labels: Tensor<1, Int>,
    pub(crate) penalty: Tensor<1>,
}

multilevel! {
    /// A weight for each training row.
    pub(crate) struct Weighted;

    level weights: Weights {
        lower: [classifier],
        batch: Examples,
        loss: validation_loss,
        optimizer: adam(lr = 0.3),
    }

    level classifier: Classifier {
        upper: [weights],
        batch: Training,
        loss: weighted_loss,
        optimizer: sgd(lr = 0.2, momentum = 0.9),
        unroll: 50,
        hypergradient: minres(iterations = 20, damping = 1e-4),
    }
}

fn validation_loss(_weights: &Weights, classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.cross_entropy(examples)
}

/// The weighted mean of the cross-entropy, and the penalty.
fn weighted_loss(classifier: &Classifier, weights: &Weights, batch: Training) -> Tensor<1> {
    let weights = weights.weights();
    let scores = log_softmax(classifier.logits(batch.inputs), 1);
    let losses = scores.gather(1, batch.labels.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg();
    let squares = classifier.parameters().into_iter().map(|theta| theta.square().sum());
    let penalty = squares.reduce(|all, one| all + one).map(|squares| squares * batch.penalty * 0.5);
    let mean = (weights.clone() * losses).sum() / weights.sum();
    penalty.into_iter().fold(mean, |total, term| total + term)
}

impl Weights {
    /// The same weight for all rows.
    pub(crate) fn equal(rows: usize, device: &Device) -> Self {
        let zeros = Tensor::from_data(TensorData::new(vec![0.0_f64; rows], [rows]), (device, DType::F64));
        Weights { logits: Param::from_tensor(zeros) }
    }

    /// From 0 to 1.
    fn weights(&self) -> Tensor<1> {
        sigmoid(self.logits.val())
    }

    /// With so many more rows, which count as much as the one that counts most.
    pub(crate) fn joined_by(&self, rows: usize) -> Self {
        let logits = self.logits.val();
        let more = logits.clone().max().expand([rows]);
        Weights { logits: Param::from_tensor(Tensor::cat(vec![logits, more], 0)) }
    }

    /// The share of rows whose weight is less than half of the largest.
    pub(crate) fn share_of_doubted(&self) -> f64 {
        let weights: Vec<f64> = self.weights().into_data().iter::<f64>().collect();
        let largest = weights.iter().copied().fold(0.0, f64::max);
        weights.iter().filter(|weight| **weight < 0.5 * largest).count() as f64 / weights.len().max(1) as f64
    }
}

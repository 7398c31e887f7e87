//! How much each training example counts.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Int, Tensor};
use rand::RngExt;

use crate::model::linear;

/// Hidden units of [`WeightNetwork`].
const HIDDEN: usize = 100;

/// Gives each training example a weight in 0..1. Only the weights' ratios matter.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has a single weighting")]
pub(crate) enum Weighting {
    /// See [`WeightTable`].
    Table(WeightTable),
    /// See [`WeightNetwork`].
    Network(WeightNetwork),
}

/// A weight of its own for each example: the sigmoid of one parameter.
#[derive(Module, Debug)]
pub(crate) struct WeightTable {
    logits: Param<Tensor<1>>,
}

/// A weight that depends on the example's loss alone, through a network of one hidden layer.
///
/// See [Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting](https://arxiv.org/abs/1902.07379).
#[derive(Module, Debug)]
pub(crate) struct WeightNetwork {
    hidden: Linear,
    output: Linear,
}

impl Weighting {
    /// A table in which `examples` examples weigh the same.
    pub(crate) fn table(examples: usize, device: &Device) -> Self {
        Weighting::Table(WeightTable { logits: Param::from_tensor(Tensor::zeros([examples], device)) })
    }

    /// A network with initial parameters from `rng`.
    pub(crate) fn network(rng: &mut impl RngExt, device: &Device) -> Self {
        let hidden = linear(1, HIDDEN, rng, device);
        let output = linear(HIDDEN, 1, rng, device);
        Weighting::Network(WeightNetwork { hidden, output })
    }

    /// The weights of the training examples at `indices`, whose losses are `losses`.
    pub(crate) fn weights(&self, indices: Tensor<1, Int>, losses: Tensor<1>) -> Tensor<1> {
        match self {
            Weighting::Table(table) => sigmoid(table.logits.val().select(0, indices)),
            Weighting::Network(network) => {
                let hidden = relu(network.hidden.forward(losses.unsqueeze_dim::<2>(1)));
                sigmoid(network.output.forward(hidden).squeeze_dim::<1>(1))
            }
        }
    }
}

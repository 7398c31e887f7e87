//! The MLP 784-256-10 at batch 128, trained on examples that a 1-100-1 network of their losses weighs.

use betty_runtime::{Batch, multilevel, stop_gradient};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu, sigmoid};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

const BATCH: usize = 128;

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) first: Linear,
    pub(crate) second: Linear,
}

#[derive(Module, Debug)]
pub(crate) struct WeightNet {
    first: Linear,
    second: Linear,
}

#[derive(Batch, Clone, Debug)]
pub(crate) struct Images {
    pub(crate) x: Tensor<2>,
    pub(crate) y: Tensor<1, Int>,
}

fn losses(model: &Mlp, batch: Images) -> Tensor<2> {
    let scores = model.second.forward(relu(model.first.forward(batch.x)));
    log_softmax(scores, 1).gather(1, batch.y.reshape([BATCH, 1])).neg()
}

pub(crate) fn weighted(model: &Mlp, weights: &WeightNet, batch: Images) -> Tensor<1> {
    let losses = losses(model, batch);
    let hidden = relu(weights.first.forward(stop_gradient(losses.clone())));
    (sigmoid(weights.second.forward(hidden)) * losses).mean()
}

fn clean(_weights: &WeightNet, model: &Mlp, batch: Images) -> Tensor<1> {
    losses(model, batch).mean()
}

multilevel! {
    pub(crate) struct Reweighting;

    level weights: WeightNet {
        lower: [model],
        batch: Images,
        loss: clean,
        optimizer: adam(lr = 1e-3),
    }
    level model: Mlp {
        upper: [weights],
        batch: Images,
        loss: weighted,
        optimizer: sgd(lr = 0.1, momentum = 0.9),
        hypergradient: cg(iterations = 5, damping = 1.0, tolerance = 0.0),
    }
}

pub(crate) fn problem(device: &Device) -> Reweighting {
    Reweighting {
        weights: WeightNet {
            first: LinearConfig::new(1, 100).init(device),
            second: LinearConfig::new(100, 1).init(device),
        },
        model: Mlp { first: LinearConfig::new(784, 256).init(device), second: LinearConfig::new(256, 10).init(device) },
    }
}

pub(crate) fn images(device: &Device) -> Images {
    let labels: Vec<i64> = (0..BATCH as i64).map(|i| i % 10).collect();
    Images {
        x: Tensor::random([BATCH, 784], Distribution::Uniform(0.0, 1.0), device),
        y: Tensor::from_data(TensorData::new(labels, [BATCH]), device),
    }
}

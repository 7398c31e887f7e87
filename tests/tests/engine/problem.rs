//! A reweighting problem: a network is trained on weighted examples, a table of logits weighs them.

use betty_runtime::{Batch, Engine, Stream, multilevel, stop_gradient};
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) const FEATURES: usize = 6;
pub(crate) const CLASSES: usize = 3;
pub(crate) const TRAIN: usize = 24;

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    first: Linear,
    dropout: Dropout,
    second: Linear,
}

impl Mlp {
    pub(crate) fn new(device: &Device, dropout: f64) -> Self {
        Mlp {
            first: LinearConfig::new(FEATURES, 8).init(device),
            dropout: DropoutConfig::new(dropout).init(),
            second: LinearConfig::new(8, CLASSES).init(device),
        }
    }

    pub(crate) fn first_layer(&self) -> &Linear {
        &self.first
    }

    pub(crate) fn set_dropout(&mut self, rate: f64) {
        self.dropout = DropoutConfig::new(rate).init();
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.dropout.forward(relu(self.first.forward(x))))
    }
}

#[derive(Module, Debug)]
pub(crate) struct Weights {
    pub(crate) logits: Param<Tensor<1>>,
}

impl Weights {
    pub(crate) fn new(device: &Device) -> Self {
        Weights { logits: Param::from_tensor(Tensor::zeros([TRAIN], device)) }
    }
}

#[derive(Batch, Clone, Debug)]
pub(crate) struct Examples {
    pub(crate) x: Tensor<2>,
    pub(crate) y: Tensor<1, Int>,
    pub(crate) index: Tensor<1, Int>,
}

pub(crate) fn losses(model: &Mlp, batch: &Examples) -> Tensor<1> {
    let log = log_softmax(model.forward(batch.x.clone()), 1);
    let count = batch.y.shape()[0];
    log.gather(1, batch.y.clone().reshape([count, 1])).neg().reshape([count])
}

pub(crate) fn weighted(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    let weight = sigmoid(weights.logits.val().select(0, batch.index.clone()));
    (weight * losses(model, &batch)).mean()
}

pub(crate) fn clean(_weights: &Weights, model: &Mlp, batch: Examples) -> Tensor<1> {
    CrossEntropyLossConfig::new().init(&batch.x.device()).forward(model.forward(batch.x), batch.y)
}

multilevel! {
    pub(crate) struct Cleaning;

    level weights: Weights {
        lower: [model],
        batch: Examples,
        loss: clean,
        optimizer: adam(lr = 0.1),
    }
    level model: Mlp {
        upper: [weights],
        batch: Examples,
        loss: weighted,
        optimizer: sgd(lr = 0.1, momentum = 0.9),
        unroll: 3,
        hypergradient: cg(iterations = 5, damping = 1.0),
    }
}

/// Weighs each example by a function of its own, constant loss, as a weighting network does.
pub(crate) fn self_weighted(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    let losses = losses(model, &batch);
    let scale = weights.logits.val().slice(0..1);
    (sigmoid(stop_gradient(losses.clone()) * scale) * losses).mean()
}

/// The same with Burn's `detach`, which a recording does not see.
pub(crate) fn self_weighted_with_detach(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    let losses = losses(model, &batch);
    let scale = weights.logits.val().slice(0..1) + 1.0;
    (sigmoid(losses.clone().detach() * scale) * losses).mean()
}

/// `count` examples of three noisy blobs, the same for equal seeds.
pub(crate) fn examples(count: usize, seed: u64) -> Examples {
    let device = Device::flex();
    let mut random = StdRng::seed_from_u64(seed);
    let labels: Vec<i64> = (0..count).map(|i| (i % CLASSES) as i64).collect();
    let mut x = Vec::with_capacity(count * FEATURES);
    for &label in &labels {
        for feature in 0..FEATURES {
            let centre = if feature % CLASSES == label as usize { 1.0 } else { 0.0 };
            x.push(centre + random.random_range(-0.4..0.4_f32));
        }
    }
    Examples {
        x: Tensor::from_data(TensorData::new(x, [count, FEATURES]), &device),
        y: Tensor::from_data(TensorData::new(labels, [count]), &device),
        index: Tensor::from_data(TensorData::new((0..count as i64).collect::<Vec<_>>(), [count]), &device),
    }
}

pub(crate) fn problem(dropout: f64) -> Cleaning {
    let device = Device::flex();
    Cleaning { weights: Weights::new(&device), model: seeded(Mlp::new(&device, dropout)) }
}

/// Parameters that depend on nothing but their position.
pub(crate) fn seeded<M: Module + 'static>(mut module: M) -> M {
    use betty_runtime::LevelModule;
    let mut random = StdRng::seed_from_u64(7);
    let leaves = module.leaves().into_iter().map(|leaf| {
        let shape = leaf.value.shape();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-0.5..0.5)).collect();
        betty_runtime::execute::Value::from_data(TensorData::new(values, shape), &Device::flex())
    });
    let values = leaves.collect();
    module.assign(values);
    module
}

pub(crate) fn data() -> CleaningData {
    CleaningData { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) }
}

pub(crate) fn engine(dropout: f64) -> Engine<Cleaning> {
    Engine::new(problem(dropout), data(), CleaningConfig::default()).unwrap()
}

pub(crate) fn logits(problem: &Cleaning) -> Vec<f32> {
    problem.weights.logits.val().into_data().try_to_vec().unwrap()
}

pub(crate) fn first_weight(problem: &Cleaning) -> Vec<f32> {
    problem.model.first.weight.val().into_data().try_to_vec().unwrap()
}

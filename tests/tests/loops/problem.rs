//! A network trained on weighted examples, with dropout, and the table of logits that weighs them.

use std::cell::Cell;

use betty_runtime::{Batch, Hypergradient, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{log_softmax, relu, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) const FEATURES: usize = 6;
pub(crate) const CLASSES: usize = 3;
pub(crate) const TRAIN: usize = 24;

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) first: Linear,
    pub(crate) dropout: Dropout,
    pub(crate) second: Linear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.dropout.forward(relu(self.first.forward(x))))
    }
}

#[derive(Module, Debug)]
pub(crate) struct Weights {
    pub(crate) logits: Param<Tensor<1>>,
}

#[derive(Batch, Clone, Debug)]
pub(crate) struct Examples {
    pub(crate) x: Tensor<2>,
    pub(crate) y: Tensor<1, Int>,
    pub(crate) index: Tensor<1, Int>,
}

thread_local! {
    /// How often a loss has been called.
    pub(crate) static CALLS: Cell<usize> = const { Cell::new(0) };
}

pub(crate) fn weighted(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    CALLS.set(CALLS.get() + 1);
    let log = log_softmax(model.forward(batch.x.clone()), 1);
    let count = batch.y.shape()[0];
    let losses = log.gather(1, batch.y.clone().reshape([count, 1])).neg().reshape([count]);
    (sigmoid(weights.logits.val().select(0, batch.index)) * losses).mean()
}

pub(crate) fn clean(_weights: &Weights, model: &Mlp, batch: Examples) -> Tensor<1> {
    CALLS.set(CALLS.get() + 1);
    CrossEntropyLossConfig::new().init(&batch.x.device()).forward(model.forward(batch.x), batch.y)
}

multilevel! {
    #[derive(Clone)]
    pub(crate) struct Cleaning;

    level weights: Weights {
        lower: [model],
        batch: Examples,
        loss: clean,
        optimizer: sgd(lr = 2.0, momentum = 0.5),
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

/// `count` examples of three noisy blobs, the same for equal seeds.
pub(crate) fn examples(count: usize, seed: u64, device: &Device) -> Examples {
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
        x: Tensor::from_data(TensorData::new(x, [count, FEATURES]), device),
        y: Tensor::from_data(TensorData::new(labels, [count]), device),
        index: Tensor::from_data(TensorData::new((0..count as i64).collect::<Vec<_>>(), [count]), device),
    }
}

/// The batch of a step of either level.
pub(crate) fn noisy(step: usize, device: &Device) -> Examples {
    examples(TRAIN, 100 + step as u64, device)
}

pub(crate) fn held_out(step: usize, device: &Device) -> Examples {
    examples(12, 900 + step as u64, device)
}

pub(crate) fn linear(inputs: usize, outputs: usize, seed: u64, device: &Device) -> Linear {
    let mut random = StdRng::seed_from_u64(seed);
    let mut numbers = |shape: Vec<usize>| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-0.5..0.5)).collect();
        TensorData::new(values, shape)
    };
    let mut linear = LinearConfig::new(inputs, outputs).init(device);
    linear.weight = Param::from_data(numbers(vec![inputs, outputs]), device);
    linear.bias = Some(Param::from_data(numbers(vec![outputs]), device));
    linear
}

pub(crate) fn problem(dropout: f64, device: &Device) -> Cleaning {
    Cleaning {
        weights: Weights { logits: Param::from_tensor(Tensor::zeros([TRAIN], device)) },
        model: Mlp {
            first: linear(FEATURES, 8, 1, device),
            dropout: DropoutConfig::new(dropout).init(),
            second: linear(8, CLASSES, 2, device),
        },
    }
}

/// One batch for each level.
pub(crate) fn data(weights: Examples, model: Examples) -> CleaningData {
    CleaningData { weights: weights.into(), model: model.into() }
}

/// All batches of so many steps of the upper level.
pub(crate) fn streams(device: &Device) -> CleaningData {
    let (one, other) = (device.clone(), device.clone());
    CleaningData {
        weights: Stream::batches((0..).map(move |step| Ok::<_, std::io::Error>(held_out(step, &one)))),
        model: Stream::batches((0..).map(move |step| Ok::<_, std::io::Error>(noisy(step, &other)))),
    }
}

pub(crate) fn sgd(momentum: f64) -> ModuleOptimizer {
    SgdConfig::new().with_momentum(Some(MomentumConfig { momentum, dampening: 0.0, nesterov: false })).init()
}

/// A plain Burn loop, whose gradients come from the program.
pub(crate) fn trained(
    mut all: Cleaning,
    mut hypergradient: Hypergradient<Cleaning>,
    steps: usize,
    device: &Device,
) -> Cleaning {
    let (mut lower, mut upper) = (sgd(0.9), sgd(0.5));
    for step in 0..steps {
        for inner in 0..3 {
            let batch = noisy(3 * step + inner, device);
            let direct = hypergradient.direct("model", &all, data(held_out(step, device), batch)).unwrap();
            all.model = lower.step(0.1, all.model, direct.gradient);
        }
        let batches = data(held_out(step, device), noisy(3 * step + 2, device));
        let total = hypergradient.total("weights", &all, batches).unwrap();
        all.weights = upper.step(2.0, all.weights, total.gradient);
    }
    all
}

/// Every number of both levels, to be compared bit for bit.
pub(crate) fn numbers(all: &Cleaning) -> Vec<u32> {
    let bits = |data: TensorData| data.iter::<f32>().map(f32::to_bits).collect::<Vec<_>>();
    let linear = |of: &Linear| [of.weight.val().into_data(), of.bias.as_ref().unwrap().val().into_data()];
    let tensors = [linear(&all.model.first), linear(&all.model.second)].into_iter().flatten();
    tensors.chain([all.weights.logits.val().into_data()]).flat_map(bits).collect()
}

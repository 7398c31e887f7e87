//! A network with dropout that is trained on weighted examples, on any device and in any type.

use betty_runtime::{Batch, Engine, HypergradientConfig, LevelModule, Precision, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu, sigmoid};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::{numbers, placed};

const COUNT: usize = 32;

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    first: Linear,
    second: Linear,
    dropout: Dropout,
}

#[derive(Module, Debug)]
pub(crate) struct Weights {
    logits: Param<Tensor<1>>,
}

#[derive(Batch, Clone, Debug)]
pub(crate) struct Examples {
    pub(crate) x: Tensor<2>,
    pub(crate) y: Tensor<1, Int>,
}

fn losses(model: &Mlp, batch: Examples) -> Tensor<1> {
    let hidden = model.dropout.forward(relu(model.first.forward(batch.x)));
    log_softmax(model.second.forward(hidden), 1).gather(1, batch.y.reshape([COUNT, 1])).neg().reshape([COUNT])
}

fn weighted(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    (sigmoid(weights.logits.val()) * losses(model, batch)).mean()
}

fn clean(_weights: &Weights, model: &Mlp, batch: Examples) -> Tensor<1> {
    losses(model, batch).mean()
}

multilevel! {
    pub(crate) struct Cleaning;
    level weights: Weights { lower: [model], batch: Examples, loss: clean, optimizer: adam(lr = 0.1) }
    level model: Mlp {
        upper: [weights], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.1, momentum = 0.9),
        unroll: 3, hypergradient: cg(iterations = 5, damping = 1.0),
    }
}

pub(crate) fn problem(device: &Device, dtype: DType) -> Cleaning {
    let linear = |from, to| LinearConfig::new(from, to).init(device);
    let model = Mlp { first: linear(8, 16), second: linear(16, 4), dropout: DropoutConfig::new(0.25).init() };
    let weights = Weights { logits: Param::from_tensor(Tensor::zeros([COUNT], device)) };
    Cleaning { weights: placed(weights, dtype), model: placed(model, dtype) }
}

pub(crate) fn examples(device: &Device, dtype: DType, phase: f64) -> Examples {
    let labels: Vec<i64> = (0..COUNT as i64).map(|i| i % 4).collect();
    let x = TensorData::new(numbers(COUNT * 8, phase), [COUNT, 8]).convert_dtype(dtype);
    Examples {
        x: Tensor::from_data(x, (device, dtype)),
        y: Tensor::from_data(TensorData::new(labels, [COUNT]), device),
    }
}

pub(crate) fn data(device: &Device, dtype: DType) -> CleaningData {
    CleaningData {
        weights: Stream::constant(examples(device, dtype, 0.1)),
        model: Stream::constant(examples(device, dtype, 0.2)),
    }
}

pub(crate) fn config(method: &HypergradientConfig, precision: Option<Precision>) -> CleaningConfig {
    let mut config = CleaningConfig::default();
    config.model.hypergradient = Some(method.clone());
    (config.weights.precision, config.model.precision) = (precision, precision);
    config
}

pub(crate) fn engine(device: &Device, method: &HypergradientConfig) -> Engine<Cleaning> {
    Engine::new(problem(device, DType::F32), data(device, DType::F32), config(method, None)).unwrap().seed(5)
}

/// All parameters, as numbers.
pub(crate) fn parameters(engine: &mut Engine<Cleaning>) -> Vec<f64> {
    let Cleaning { weights, model } = engine.problem();
    let leaves = weights.leaves().into_iter().chain(model.leaves());
    leaves.flat_map(|leaf| leaf.value.to_vec().unwrap()).collect()
}

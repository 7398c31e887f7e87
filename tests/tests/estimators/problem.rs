//! A small network whose penalties and example weights are tuned, in double precision, on batches that all differ.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, Event, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const FEATURES: usize = 3;
const HIDDEN: usize = 4;
const BATCH: usize = 5;
/// How many upper parameters there are.
pub(crate) const KNOBS: usize = FEATURES + BATCH;

#[derive(Module, Debug)]
pub(crate) struct Net {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
    dropout: Dropout,
}

/// The logarithm of a penalty for each feature, and a logit for each example of a batch.
#[derive(Module, Debug)]
pub(crate) struct Knobs {
    penalties: Param<Tensor<1>>,
    logits: Param<Tensor<1>>,
}

type Samples = (Tensor<2>, Tensor<2>);

fn tensor<const D: usize>(shape: [usize; D], random: &mut StdRng) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

impl Net {
    fn new(dropout: f64) -> Self {
        let mut random = StdRng::seed_from_u64(3);
        Net {
            first: Param::from_tensor(tensor([FEATURES, HIDDEN], &mut random)),
            second: Param::from_tensor(tensor([HIDDEN, 1], &mut random)),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    pub(crate) fn halve(&mut self) {
        self.second = Param::from_tensor(self.second.val() * 0.5);
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.dropout.forward(x.matmul(self.first.val()).tanh()).matmul(self.second.val())
    }
}

impl Knobs {
    fn new(values: &[f64]) -> Self {
        let vector = |values: &[f64]| {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            Param::from_tensor(Tensor::from_data(data, (&Device::flex(), DType::F64)))
        };
        Knobs { penalties: vector(&values[..FEATURES]), logits: vector(&values[FEATURES..]) }
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        let values = |param: &Param<Tensor<1>>| param.val().into_data().try_to_vec::<f64>().unwrap();
        [values(&self.penalties), values(&self.logits)].concat()
    }
}

fn training(net: &Net, knobs: &Knobs, (x, y): Samples) -> Tensor<1> {
    let errors = (net.forward(x) - y).powi_scalar(2);
    let weights = sigmoid(knobs.logits.val()).reshape([BATCH, 1]);
    let penalty = knobs.penalties.val().exp().reshape([FEATURES, 1]) * net.first.val().powi_scalar(2);
    (weights * errors).sum() + penalty.sum().mul_scalar(0.05)
}

fn held_out(knobs: &Knobs, net: &Net, (x, y): Samples) -> Tensor<1> {
    let regular = knobs.logits.val().powi_scalar(2).sum().mul_scalar(0.1);
    (x.matmul(net.first.val()).tanh().matmul(net.second.val()) - y).powi_scalar(2).mean() + regular
}

multilevel! {
    pub(crate) struct Tuning;

    level knobs: Knobs { lower: [net], batch: Samples, loss: held_out, optimizer: sgd(lr = 1.0) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: training, optimizer: sgd(lr = 0.05), unroll: 5, hypergradient: forward,
    }
}

fn batch(seed: u64) -> Samples {
    let mut random = StdRng::seed_from_u64(seed);
    (tensor([BATCH, FEATURES], &mut random), tensor([BATCH, 1], &mut random))
}

fn data() -> TuningData {
    TuningData {
        knobs: Stream::batches((1000..).map(|seed| Ok::<_, io::Error>(batch(seed)))),
        net: Stream::batches((0..).map(|seed| Ok::<_, io::Error>(batch(seed)))),
    }
}

pub(crate) fn knobs() -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(9);
    (0..KNOBS).map(|_| random.random_range(-0.8..0.8)).collect()
}

pub(crate) fn engine(config: &str, dropout: f64, at: &[f64]) -> Engine<Tuning> {
    let config = TuningConfig::from_json(config).unwrap();
    let problem = Tuning { knobs: Knobs::new(at), net: Net::new(dropout) };
    Engine::new(problem, data(), config).unwrap().seed(5)
}

/// The knobs after a run.
pub(crate) fn trained(mut engine: Engine<Tuning>, iterations: u64) -> Vec<f64> {
    engine.run(iterations).unwrap();
    engine.into_problem().knobs.values()
}

/// What one iteration does: the upper loss that it sees, and the hypergradient, which is the whole step of length 1.
pub(crate) fn iteration(config: &str, dropout: f64, at: &[f64]) -> (f64, Vec<f64>) {
    let loss = Rc::new(Cell::new(f64::NAN));
    let seen = Rc::clone(&loss);
    let engine = engine(config, dropout, at).observe(move |event| {
        if let Event::Step { name: "knobs", loss, .. } = event {
            seen.set(*loss);
        }
    });
    let after = trained(engine, 1);
    (loss.get(), at.iter().zip(after).map(|(before, after)| before - after).collect())
}

/// `‖found − expected‖ / ‖expected‖`
pub(crate) fn relative(found: &[f64], expected: &[f64]) -> f64 {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap: Vec<f64> = found.iter().zip(expected).map(|(x, y)| x - y).collect();
    assert_eq!(found.len(), expected.len());
    norm(&gap) / norm(expected)
}

/// Why an engine with this config is not made.
pub(crate) fn refused(config: &str) -> betty_runtime::EngineError {
    let config = TuningConfig::from_json(config).unwrap();
    let problem = Tuning { knobs: Knobs::new(&knobs()), net: Net::new(0.0) };
    Engine::new(problem, data(), config).err().unwrap()
}

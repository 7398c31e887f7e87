//! A small network whose optimizer takes its numbers from a level above, in every arrangement.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, Event, LevelModule, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const FEATURES: usize = 3;
const HIDDEN: usize = 2;
const BATCH: usize = 6;

#[derive(Module, Debug)]
pub(crate) struct Net {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
}

/// A number for each parameter tensor.
#[derive(Module, Debug)]
pub(crate) struct Each {
    first: Param<Tensor<1>>,
    second: Param<Tensor<1>>,
}

/// What numbers can be made of: one for all, one for each tensor in two ways, one for each entry.
#[derive(Module, Debug)]
pub(crate) struct Knobs {
    one: Param<Tensor<1>>,
    pub(crate) other: Param<Tensor<1>>,
    each: Each,
    vector: Param<Tensor<1>>,
    entries: Net,
}

type Samples = (Tensor<2>, Tensor<2>);

fn given<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Device::flex(), DType::F64))
}

fn tensor<const D: usize>(shape: [usize; D], random: &mut StdRng) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    given(&values, shape)
}

impl Net {
    pub(crate) fn new() -> Self {
        let mut random = StdRng::seed_from_u64(3);
        Net {
            first: Param::from_tensor(tensor([FEATURES, HIDDEN], &mut random)),
            second: Param::from_tensor(tensor([HIDDEN, 1], &mut random)),
        }
    }

    /// The sum of squares of all parameters.
    pub(crate) fn square(&self) -> Tensor<1> {
        self.first.val().powi_scalar(2).sum() + self.second.val().powi_scalar(2).sum()
    }

    fn error(&self, (x, y): Samples) -> Tensor<1> {
        (x.matmul(self.first.val()).tanh().matmul(self.second.val()) - y).powi_scalar(2).mean()
    }
}

impl Knobs {
    const LEN: usize = 6 + FEATURES * HIDDEN + HIDDEN;

    pub(crate) fn new(values: &[f64]) -> Self {
        let mut left = values;
        let mut next = |count: usize| {
            let (these, rest) = left.split_at(count);
            left = rest;
            these
        };
        let mut vector = |count| Param::from_tensor(given(next(count), [count]));
        let (one, other) = (vector(1), vector(1));
        let (each, vector) = (Each { first: vector(1), second: vector(1) }, vector(2));
        let mut matrix = |rows: usize, columns: usize| Param::from_tensor(given(next(rows * columns), [rows, columns]));
        let entries = Net { first: matrix(FEATURES, HIDDEN), second: matrix(HIDDEN, 1) };
        Knobs { one, other, each, vector, entries }
    }

    /// About −3 and 0.4 for the single ones, so that `exp` makes a rate of the one, and `sigmoid` a share of the other.
    pub(crate) fn first_values() -> Vec<f64> {
        let mut random = StdRng::seed_from_u64(9);
        let mut around = |center: f64| center + random.random_range(-0.3..0.3);
        let mut values = vec![around(-3.0), around(0.4)];
        values.extend((2..Self::LEN).map(|_| around(-2.0)));
        values
    }

    /// Where the knobs stand that a config takes numbers from.
    pub(crate) fn named_in(config: &str) -> Vec<usize> {
        let places = [("one", 0..1), ("other", 1..2), ("each", 2..4), ("vector", 4..6), ("entries", 6..Self::LEN)];
        let named = places.into_iter().filter(|(path, _)| config.contains(&format!("knobs.{path}")));
        named.flat_map(|(_, range)| range).collect()
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.leaves().iter().flat_map(|leaf| leaf.value.to_vec().unwrap()).collect()
    }
}

pub(crate) fn training(net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
}

pub(crate) fn held_out(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.one.val().powi_scalar(2).mul_scalar(1e-3)
}

multilevel! {
    pub(crate) struct Tuning;

    level knobs: Knobs { lower: [net], batch: Samples, loss: held_out, optimizer: sgd(lr = 1.0) }
    level net: Net {
        batch: Samples, loss: training, optimizer: sgd(lr = exp(knobs.one)), unroll: 6, hypergradient: unrolled,
    }
}

/// Batches that all differ, the same in every run.
pub(crate) fn data() -> TuningData {
    let batch = |seed: u64| {
        let mut random = StdRng::seed_from_u64(seed);
        (tensor([BATCH, FEATURES], &mut random), tensor([BATCH, 1], &mut random))
    };
    TuningData {
        knobs: Stream::constant(batch(1000)),
        net: Stream::batches((0..).map(move |seed| Ok::<_, io::Error>(batch(seed)))),
    }
}

pub(crate) fn engine(config: &str, at: &[f64]) -> Engine<Tuning> {
    let config = TuningConfig::from_json(config).unwrap();
    let problem = Tuning { knobs: Knobs::new(at), net: Net::new() };
    Engine::new(problem, data(), config).unwrap().verification(false)
}

/// What the last of some iterations does: the upper loss that it sees, and the hypergradient, which is its whole step.
pub(crate) fn iteration(config: &str, at: &[f64]) -> (f64, Vec<f64>) {
    let loss = Rc::new(RefCell::new(f64::NAN));
    let seen = Rc::clone(&loss);
    let mut engine = engine(config, at).observe(move |event| {
        if let Event::Step { name: "knobs", loss, .. } = event {
            *seen.borrow_mut() = *loss;
        }
    });
    engine.run(1).unwrap();
    let after = engine.into_problem().knobs.values();
    (*loss.borrow(), at.iter().zip(after).map(|(before, after)| before - after).collect())
}

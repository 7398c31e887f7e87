//! Random losses of a network and of weights above it: correct ones, and ones with a `detach` hidden somewhere.

use betty_runtime::{Batch, multilevel};
use burn::module::{Module, Param};
use burn::tensor::activation::{log_softmax, relu, sigmoid, softmax};
use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Width of every value.
const WIDTH: usize = 3;
/// How many kinds of operations there are.
const KINDS: usize = 22;

/// The network: two matrices and a bias.
#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) a: Param<Tensor<2>>,
    pub(crate) b: Param<Tensor<2>>,
    pub(crate) c: Param<Tensor<2>>,
}

/// What the level above learns: a factor for each column.
#[derive(Module, Debug)]
pub(crate) struct Factors {
    pub(crate) w: Param<Tensor<2>>,
}

/// One operation: its kind, which earlier values it is applied to, and whether a `detach` is hidden in its result.
pub(crate) type Step = (usize, usize, usize, bool);

#[derive(Batch, Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) x: Tensor<2>,
    /// What a converged network answers.
    pub(crate) target: Tensor<2>,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: usize,
}

fn centred(x: Tensor<2>, axis: usize) -> Tensor<2> {
    x.clone() - x.mean_dim(axis)
}

/// What a step makes of `x` and `y`; bounded, so that nothing grows without end.
fn step(kind: usize, net: &Net, factors: &Factors, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    let (a, b, c, w) = (net.a.val(), net.b.val(), net.c.val(), factors.w.val());
    match kind {
        0 => x.matmul(a),
        1 => x.matmul(c),
        2 => x + b,
        3 => x * w,
        4 => x * (w.exp() + 1.0),
        5 => x.clone() + x.matmul(a).matmul(c),
        6 => x.tanh(),
        7 => relu(x),
        8 => softmax(x, 1),
        9 => log_softmax(x, 1) * 0.3,
        10 => {
            let centred = centred(x, 1);
            centred.clone() / (centred.square().mean_dim(1) + 1e-5).sqrt()
        }
        11 => {
            let centred = centred(x, 0);
            centred.clone() / (centred.square().mean_dim(0) + 1e-3).sqrt()
        }
        12 => centred(x, 0),
        13 => sigmoid(x),
        14 => (x * y).tanh(),
        15 => x - y,
        16 => (x + y) * 0.5,
        17 => softmax(x.clone(), 1) * (log_softmax(x, 1) - log_softmax(y, 1)),
        18 => x.clone() / (x.square() + 1.0),
        19 => (x.tanh() * 0.5).exp(),
        20 => x.abs() * 0.7,
        _ => x.clone().sub(x.max_dim(1)),
    }
}

/// The last value of a program.
pub(crate) fn run(net: &Net, factors: &Factors, batch: &Drawn) -> Tensor<2> {
    let mut values =
        vec![batch.x.clone().matmul(net.a.val()) + net.b.val(), batch.x.clone().matmul(net.c.val()) * factors.w.val()];
    for &(kind, i, j, hidden) in &batch.steps {
        let (x, y) = (values[values.len() - 1 - i % values.len()].clone(), values[j % values.len()].clone());
        let next = step(kind % KINDS, net, factors, x, y);
        values.push(if hidden { next.detach() } else { next });
    }
    let [first, second] = [values[0].clone(), values[1].clone()];
    values[values.len() - 1].clone() + first.tanh() * 0.3 + second.tanh() * 0.3
}

/// The loss of the network.
pub(crate) fn low(net: &Net, factors: &Factors, batch: Drawn) -> Tensor<1> {
    let last = run(net, factors, &batch);
    match batch.end % 4 {
        0 => (last - batch.target).square().mean(),
        1 => {
            let (p, q) = (log_softmax(batch.target, 1), log_softmax(last, 1));
            (p.clone().exp() * (p - q)).sum_dim(1).mean()
        }
        2 => {
            let log = log_softmax(last, 1);
            (log.clone().exp() * log).sum_dim(1).mean()
        }
        _ => (last - batch.target).square().sum() * 0.5,
    }
}

fn top(factors: &Factors, net: &Net, batch: Drawn) -> Tensor<1> {
    batch.x.matmul(net.a.val()).square().mean() + factors.w.val().square().sum()
}

multilevel! {
    /// A random loss.
    pub(crate) struct Random;

    level factors: Factors { lower: [net], batch: Drawn, loss: top, optimizer: sgd(lr = 0.01) }
    level net: Net {
        upper: [factors], batch: Drawn, loss: low, optimizer: sgd(lr = 0.01), hypergradient: finite_difference(),
    }
}

/// How parameters begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Random,
    Zero,
    /// All entries equal.
    Symmetric,
    Tiny,
    /// Factors of a product, one of them zero.
    ZeroFirst,
    ZeroSecond,
    ZeroFactors,
}

/// The entries of every parameter.
pub(crate) type Parameters = [Vec<f64>; 4];

/// Modules with these parameters.
pub(crate) fn modules([a, b, c, w]: &Parameters, dtype: DType, device: &Device) -> (Factors, Net) {
    let parameter = |entries: &Vec<f64>| {
        let data = TensorData::new(entries.clone(), [entries.len() / WIDTH, WIDTH]).convert_dtype(dtype);
        Param::from_tensor(Tensor::from_data(data, (device, dtype)))
    };
    (Factors { w: parameter(w) }, Net { a: parameter(a), b: parameter(b), c: parameter(c) })
}

/// A program with its parameters and data, to be made in any float type.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) steps: Vec<Step>,
    pub(crate) end: usize,
    pub(crate) start: Start,
    /// Whether the targets are what the network answers.
    pub(crate) converged: bool,
    pub(crate) rows: usize,
    pub(crate) double: bool,
    pub(crate) seed: u64,
}

impl Case {
    pub(crate) fn without_detach(&self) -> Self {
        let mut case = self.clone();
        case.steps.iter_mut().for_each(|step| step.3 = false);
        case
    }

    pub(crate) fn dtype(&self) -> DType {
        if self.double { DType::F64 } else { DType::F32 }
    }

    /// All parameters (`a`, `b`, `c` and `w`), each moved by up to `displaced`.
    pub(crate) fn parameters(&self, displaced: f64) -> Parameters {
        let mut generator = StdRng::seed_from_u64(self.seed);
        let mut entries = |name: char, rows: usize| -> Vec<f64> {
            let zero = match self.start {
                Start::Zero => true,
                Start::ZeroFirst => name == 'a',
                Start::ZeroSecond => name == 'c',
                Start::ZeroFactors => name == 'w',
                _ => false,
            };
            let mut entry = || {
                let (entry, moved): (f64, f64) = (generator.random_range(-1.0..1.0), generator.random_range(-1.0..1.0));
                let entry = match self.start {
                    _ if zero => 0.0,
                    Start::Symmetric => 0.5,
                    Start::Tiny => 1e-6 * entry,
                    _ => entry,
                };
                entry + displaced * moved
            };
            (0..rows * WIDTH).map(|_| entry()).collect()
        };
        [entries('a', WIDTH), entries('b', 1), entries('c', WIDTH), entries('w', 1)]
    }

    pub(crate) fn batch(&self, dtype: DType, device: &Device) -> Drawn {
        let mut generator = StdRng::seed_from_u64(self.seed + 1);
        let mut tensor = || -> Tensor<2> {
            let entries: Vec<f64> = (0..self.rows * WIDTH).map(|_| generator.random_range(-1.0..1.0)).collect();
            let data = TensorData::new(entries, [self.rows, WIDTH]).convert_dtype(dtype);
            Tensor::from_data(data, (device, dtype))
        };
        let batch = Drawn { x: tensor(), target: tensor(), steps: self.steps.clone(), end: self.end };
        if !self.converged {
            return batch;
        }
        let (factors, net) = modules(&self.parameters(0.0), dtype, device);
        Drawn { target: run(&net, &factors, &batch), ..batch }
    }
}

/// Correct programs.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let start = prop::sample::select(vec![
        Start::Random,
        Start::Random,
        Start::Zero,
        Start::Symmetric,
        Start::Tiny,
        Start::ZeroFirst,
        Start::ZeroSecond,
        Start::ZeroFactors,
    ]);
    let steps = prop::collection::vec((0..KINDS, 0_usize..4, 0_usize..4, Just(false)), 1..12);
    let rows = prop_oneof![40 => 1_usize..9, 1 => 30_000_usize..60_000];
    (steps, 0_usize..4, start, any::<bool>(), rows, any::<bool>(), 0_u64..1 << 32).prop_map(
        |(steps, end, start, converged, rows, double, seed)| Case { steps, end, start, converged, rows, double, seed },
    )
}

/// Programs with one hidden `detach`.
pub(crate) fn with_detach() -> impl Strategy<Value = Case> {
    (cases(), any::<prop::sample::Index>()).prop_map(|(mut case, at)| {
        let at = at.index(case.steps.len());
        case.steps[at].3 = true;
        case.rows = case.rows.min(8);
        case
    })
}

//! A small network in double precision, the same batches whole and in shards, and runs of both.

use std::io;

use betty_runtime::distributed::Threads;
use betty_runtime::{Batch, Engine, EngineError, Multilevel, Stream};
use burn::module::{Module, Param};
use burn::tensor::activation::tanh;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Two layers.
#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) first: Param<Tensor<2>>,
    pub(crate) bias: Param<Tensor<1>>,
    pub(crate) second: Param<Tensor<2>>,
}

/// What levels above decide: the logarithm of a penalty, and a shift of the inputs.
#[derive(Module, Debug)]
pub(crate) struct Knobs {
    pub(crate) penalty: Param<Tensor<1>>,
    pub(crate) shift: Param<Tensor<1>>,
}

#[derive(Clone, Batch)]
pub(crate) struct Samples {
    pub(crate) x: Tensor<2>,
    pub(crate) y: Tensor<2>,
}

pub(crate) fn tensor<const D: usize>(shape: [usize; D], values: Vec<f64>) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

fn random<const D: usize>(shape: [usize; D], generator: &mut StdRng) -> Tensor<D> {
    tensor(shape, (0..shape.iter().product()).map(|_| generator.random_range(-1.0..1.0)).collect())
}

fn flat<const D: usize>(parameter: &Param<Tensor<D>>) -> Vec<f64> {
    parameter.val().into_data().try_to_vec().expect("numbers in double precision")
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let generator = &mut StdRng::seed_from_u64(seed);
        Net {
            first: Param::from_tensor(random([3, 4], generator)),
            bias: Param::from_tensor(random([4], generator)),
            second: Param::from_tensor(random([4, 2], generator)),
        }
    }

    pub(crate) fn outputs(&self, x: &Tensor<2>) -> Tensor<2> {
        let hidden = tanh(x.clone().matmul(self.first.val()) + self.bias.val().unsqueeze());
        hidden.matmul(self.second.val())
    }

    pub(crate) fn error(&self, batch: Samples) -> Tensor<1> {
        (self.outputs(&batch.x) - batch.y).powi_scalar(2).mean()
    }

    pub(crate) fn penalty(&self) -> Tensor<1> {
        let square = |x: Tensor<2>| x.powi_scalar(2).sum();
        square(self.first.val()) + square(self.second.val()) + self.bias.val().powi_scalar(2).sum()
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        [flat(&self.first), flat(&self.bias), flat(&self.second)].concat()
    }
}

impl Knobs {
    pub(crate) fn new(seed: u64) -> Self {
        let generator = &mut StdRng::seed_from_u64(seed);
        let penalty = random([1], generator) - 2.0;
        Knobs { penalty: Param::from_tensor(penalty), shift: Param::from_tensor(random([3], generator)) }
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        [flat(&self.penalty), flat(&self.shift)].concat()
    }
}

/// Who sees which rows of every batch: all of them, or those of one rank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) rank: Option<usize>,
    /// How many examples each rank has in a batch, batch after batch.
    pub(crate) sizes: &'static [&'static [usize]],
}

impl View {
    /// An endless stream of different batches.
    pub(crate) fn samples(self, seed: u64) -> Stream<Samples> {
        let batches = (0..).map(move |index: usize| {
            let sizes = self.sizes[index % self.sizes.len()];
            let generator = &mut StdRng::seed_from_u64(seed * 1000 + index as u64);
            let rows = sizes.iter().sum();
            let (x, y) = (random([rows, 3], generator), random([rows, 2], generator));
            let (start, end) = match self.rank {
                None => (0, rows),
                Some(rank) => (sizes[..rank].iter().sum(), sizes[..=rank].iter().sum()),
            };
            Ok::<_, io::Error>(Samples { x: x.narrow(0, start, end - start), y: y.narrow(0, start, end - start) })
        });
        Stream::batches(batches)
    }
}

/// What a run came to: all parameters, and losses.
pub(crate) type Outcome = Result<Vec<f64>, EngineError>;

/// Runs on one process on whole batches, and on every rank on its shards.
pub(crate) fn both<P: Multilevel>(
    sizes: &'static [&'static [usize]],
    prepare: impl Fn(View) -> Result<Engine<P>, EngineError> + Sync,
    run: impl Fn(&mut Engine<P>) -> Outcome + Sync,
) -> (Outcome, Vec<Outcome>) {
    let whole = prepare(View { rank: None, sizes }).and_then(|mut engine| run(&mut engine));
    let ranks = Threads::run(sizes[0].len(), |rank| {
        use betty_runtime::distributed::Collective;
        let view = View { rank: Some(rank.rank()), sizes };
        let mut engine = prepare(view)?.distributed(rank)?;
        run(&mut engine)
    });
    (whole, ranks)
}

/// Asserts that all ranks have the same bits, which are those of one process but for rounding.
#[track_caller]
pub(crate) fn assert_exact(whole: &[f64], ranks: &[Outcome], tolerance: f64, of: &str) {
    for (rank, found) in ranks.iter().enumerate() {
        let found = found.as_ref().unwrap_or_else(|error| panic!("{of}: rank {rank}: {error}"));
        let first = ranks[0].as_ref().expect("every rank came to something");
        assert!(found.iter().map(|x| x.to_bits()).eq(first.iter().map(|x| x.to_bits())), "{of}: rank {rank} differs");
        assert_eq!(found.len(), whole.len(), "{of}");
        let gap = found.iter().zip(whole).map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f64::max);
        assert!(gap <= tolerance && found.iter().all(|x| x.is_finite()), "{of}: {gap:e} from one process");
    }
}

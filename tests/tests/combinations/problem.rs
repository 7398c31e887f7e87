//! A small network in double precision, and random batches for it.

use std::io;

use betty_runtime::{Batch, Stream};
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

pub(crate) fn tensor<const D: usize>(shape: [usize; D], random: &mut StdRng) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

fn flat<const D: usize>(parameter: &Param<Tensor<D>>) -> Vec<f64> {
    parameter.val().into_data().try_to_vec().unwrap()
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let random = &mut StdRng::seed_from_u64(seed);
        Net {
            first: Param::from_tensor(tensor([3, 4], random)),
            bias: Param::from_tensor(tensor([4], random)),
            second: Param::from_tensor(tensor([4, 2], random)),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        tanh(x.matmul(self.first.val()) + self.bias.val().unsqueeze()).matmul(self.second.val())
    }

    pub(crate) fn error(&self, batch: Samples) -> Tensor<1> {
        (self.forward(batch.x) - batch.y).powi_scalar(2).mean()
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        [flat(&self.first), flat(&self.bias), flat(&self.second)].concat()
    }
}

impl Knobs {
    pub(crate) fn new(seed: u64) -> Self {
        let random = &mut StdRng::seed_from_u64(seed);
        Knobs { penalty: Param::from_tensor(tensor([1], random) - 2.0), shift: Param::from_tensor(tensor([3], random)) }
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        [flat(&self.penalty), flat(&self.shift)].concat()
    }
}

/// An endless stream of different batches, of as many rows as said.
pub(crate) fn samples(seed: u64, rows: impl Fn(usize) -> usize + 'static) -> Stream<Samples> {
    let mut random = StdRng::seed_from_u64(seed);
    let batches = (0..).map(move |index| {
        let rows = rows(index);
        Ok::<_, io::Error>(Samples { x: tensor([rows, 3], &mut random), y: tensor([rows, 2], &mut random) })
    });
    Stream::batches(batches)
}

#[track_caller]
pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, of: &str) {
    let gap = found.iter().zip(expected).map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, f64::max);
    let is_close = found.len() == expected.len() && gap <= tolerance && found.iter().all(|x| x.is_finite());
    assert!(is_close, "{of}: {found:?} is not {expected:?} ({gap:e})");
}

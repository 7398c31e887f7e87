//! Whole models from Burn's `nn`: gradients equal to Burn's, second derivatives by central differences in f64.

use betty_runtime::nn::BatchNorm;
use betty_tests::models::{Encoder, Group, Norm, Recurrent, ResNet};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::{float, random};
use crate::whole::{EXACT, Tolerances, cast, compare};

/// Gives a model's matrices and kernels values that depend on nothing else (Burn's generator is one for all tests),
/// scaled by what they sum over.
struct Draw(StdRng);

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let shape = tensor.dims();
            let count: usize = shape.iter().product();
            if D < 2 {
                // Scales and shifts of norms stay near their constants.
                let old: Vec<f64> = tensor.clone().into_data().iter::<f64>().collect();
                let base = if old.iter().all(|x| *x == old[0]) { old[0] } else { 0.0 };
                let values: Vec<f64> = random(count, &mut self.0).into_iter().map(|x| base + 0.1 * x).collect();
                return float(&values, &tensor.device(), DType::F64).reshape(shape);
            }
            let summed = if D == 2 { shape[0] } else { count / shape[0] };
            let scale = (6.0 / summed as f64).sqrt();
            let values: Vec<f64> = random(count, &mut self.0).into_iter().map(|x| x * scale).collect();
            float(&values, &tensor.device(), DType::F64).reshape(shape)
        })
    }
}

/// The model with such values, and its floats in a type.
pub(crate) fn drawn<M: Module>(module: M, dtype: DType) -> M {
    cast(module.map(&mut Draw(StdRng::seed_from_u64(3))), dtype)
}

fn inputs<const D: usize>(shape: [usize; D], dtype: DType) -> Tensor<D> {
    let values = random(shape.iter().product(), &mut StdRng::seed_from_u64(5));
    float(&values, &Device::flex(), dtype).reshape(shape)
}

fn integers<const D: usize>(below: i32, shape: [usize; D]) -> Tensor<D, Int> {
    let mut rng = StdRng::seed_from_u64(7);
    let values: Vec<i32> = (0..shape.iter().product()).map(|_| rng.random_range(0..below)).collect();
    Tensor::<1, Int>::from_ints(values.as_slice(), &Device::flex()).reshape(shape)
}

const SINGLE: Tolerances = Tolerances { recorded: Some(1e-5), eager: Some(1e-5), differences: None, ..EXACT };

fn residual<N: Norm>(name: &str) {
    for dtype in [DType::F64, DType::F32] {
        // Differences must not reach over the kinks of a hundred thousand rectifiers.
        let double = Tolerances { differences: Some(1e-5), step: 1e-8, ..EXACT };
        let tolerances = if dtype == DType::F64 { double } else { SINGLE };
        let net = drawn(ResNet::<N>::new(16, 10, &Device::flex()), dtype);
        let batch = (inputs([2, 3, 32, 32], dtype), integers(10, [2]));
        compare(name, &net, &batch, tolerances, |net, batch| net.loss(batch));
    }
}

#[test]
fn resnet_18_with_batch_norm() {
    residual::<BatchNorm>("ResNet-18, batch norm");
}

#[test]
fn resnet_18_with_group_norm() {
    residual::<Group>("ResNet-18, group norm");
}

#[test]
fn transformer_encoder_of_four_layers() {
    // Along thousands of parameters at once, the differences' own error asks for a shorter step.
    let double = Tolerances { step: 3e-5, ..EXACT };
    for (dtype, tolerances) in [(DType::F64, double), (DType::F32, SINGLE)] {
        let encoder = drawn(Encoder::new(4, 16, 11, 5, &Device::flex()), dtype);
        let batch = (integers(11, [3, 6]), integers(5, [3]));
        compare("transformer", &encoder, &batch, tolerances, |encoder, batch| encoder.loss(batch));
    }
}

#[test]
fn lstm_of_two_layers() {
    // Burn's LSTM makes buffers of the default type, so it runs in single precision only.
    let net = drawn(Recurrent::new(4, 8, 3, &Device::flex()), DType::F32);
    let batch = (inputs([3, 6, 4], DType::F32), integers(3, [3]));
    compare("lstm", &net, &batch, SINGLE, |net, batch| net.loss(batch));
    let widened = Tolerances { eager: Some(1e-5), widened: true, ..EXACT };
    compare("lstm, widened", &net, &batch, widened, |net, batch| net.loss(batch));
}

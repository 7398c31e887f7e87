//! Whole models: convolutions with batch norm and pools, a transformer encoder, an LSTM, in a run of a few steps.

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::{Engine, LevelModule, Stream, multilevel};
use betty_tests::devices::other;
use betty_tests::models::{Encoder, Recurrent, cross_entropy};
use burn::module::{Module, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::{apart, numbers, placed};

const CLASSES: usize = 3;
const COUNT: usize = 6;

type Labels = Tensor<1, Int>;
type Scale = Param<Tensor<1>>;
/// What is left of a run on a device: all tensors, and a hypergradient.
type Run = fn(&Device) -> (Vec<f64>, Vec<f64>);

#[derive(Module, Debug)]
struct Convolutional {
    first: Conv2d,
    norm: BatchNorm,
    pool: MaxPool2d,
    second: Conv2d,
    mean: AdaptiveAvgPool2d,
    head: Linear,
}

impl Convolutional {
    fn new(device: &Device) -> Self {
        let same = PaddingConfig2d::Explicit(1, 1, 1, 1);
        Convolutional {
            // Batch norm takes a bias away again: its gradient would be rounding alone, which Adam makes a step of.
            first: Conv2dConfig::new([3, 4], [3, 3]).with_padding(same.clone()).with_bias(false).init(device),
            norm: BatchNormConfig::new(4).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            second: Conv2dConfig::new([4, 6], [3, 3]).with_padding(same).with_stride([2, 2]).init(device),
            mean: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            head: LinearConfig::new(6, CLASSES).init(device),
        }
    }

    fn loss(&self, (images, labels): (Tensor<4>, Labels)) -> Tensor<1> {
        let pooled = self.pool.forward(gelu(self.norm.forward(self.first.forward(images))));
        let features = self.mean.forward(gelu(self.second.forward(pooled))).reshape([COUNT, 6]);
        cross_entropy(self.head.forward(features), labels)
    }
}

/// A program that finds by how much to multiply the loss of a model, and its run on a device.
macro_rules! whole {
    ($run:ident, $model:ty, $batch:ty, $new:expr, $data:expr) => {
        mod $run {
            use super::*;

            fn above(_scale: &Scale, model: &$model, batch: $batch) -> Tensor<1> {
                model.loss(batch)
            }

            fn below(model: &$model, scale: &Scale, batch: $batch) -> Tensor<1> {
                model.loss(batch) * scale.val().exp()
            }

            multilevel! {
                struct Scaled;
                level scale: Scale { lower: [model], batch: $batch, loss: above, optimizer: adam(lr = 0.1) }
                level model: $model {
                    upper: [scale], batch: $batch, loss: below, optimizer: adamw(lr = 0.01), unroll: 2,
                    hypergradient: cg(iterations = 3, damping = 10.0),
                }
            }

            /// All tensors of the model after two iterations, running statistics included, and the hypergradient there.
            pub(super) fn on(device: &Device) -> (Vec<f64>, Vec<f64>) {
                let new: fn(&Device) -> $model = $new;
                let data: fn(&Device, f64) -> $batch = $data;
                let here = Device::flex();
                let problem = Scaled {
                    scale: Param::from_tensor(Tensor::zeros([1], device)),
                    model: placed(new(&here), DType::F32).to_device(device),
                };
                let data = ScaledData {
                    scale: Stream::constant(data(device, 0.1)),
                    model: Stream::constant(data(device, 0.2)),
                };
                let mut engine = Engine::new(problem, data, ScaledConfig::default()).unwrap().seed(2);
                engine.run(2).unwrap();
                let gradient = engine.gradient("scale").unwrap().gradient.to_vec().unwrap();
                let leaves = engine.problem().model.leaves().into_iter();
                (leaves.flat_map(|leaf| leaf.value.to_vec().unwrap()).collect(), gradient)
            }
        }
    };
}

fn floats<const D: usize>(shape: [usize; D], phase: f64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), phase), shape), device)
}

/// Numbers below `limit`, in no order.
fn integers<const D: usize>(shape: [usize; D], limit: i64, device: &Device) -> Tensor<D, Int> {
    let numbers: Vec<i64> = (0..shape.iter().product::<usize>() as i64).map(|i| (i * 7919 + 3) % limit).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

whole!(convolutional, Convolutional, (Tensor<4>, Labels), Convolutional::new, |device, phase| {
    (floats([COUNT, 3, 8, 8], phase, device), integers([COUNT], CLASSES as i64, device))
});

whole!(encoder, Encoder, (Tensor<2, Int>, Labels), |device| Encoder::new(1, 8, 11, CLASSES, device), |device, _| {
    (integers([COUNT, 5], 11, device), integers([COUNT], CLASSES as i64, device))
});

whole!(recurrent, Recurrent, (Tensor<3>, Labels), |device| Recurrent::new(3, 4, CLASSES, device), |device, phase| {
    (floats([COUNT, 4, 3], phase, device), integers([COUNT], CLASSES as i64, device))
});

#[test]
fn whole_models_train_as_on_the_cpu() {
    let device = other();
    let runs: [(&str, Run); 3] =
        [("convolutions", convolutional::on), ("encoder", encoder::on), ("LSTM", recurrent::on)];
    for (name, on) in runs {
        let ((tensors, gradient), (of_cpu, gradient_of_cpu)) = (on(&device), on(&Device::flex()));
        let (tensors, gradient) = (apart(&tensors, &of_cpu), apart(&gradient, &gradient_of_cpu));
        println!("{name}: tensors {tensors:.1e}, hypergradient {gradient:.1e}");
        // Adam divides by gradients, and so enlarges the rounding of those near zero.
        assert!(tensors < 1e-3 && gradient < 1e-2, "{name}: {tensors:.1e} {gradient:.1e}");
    }
}

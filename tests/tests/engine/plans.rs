//! What whole models are planned to take, counted from shapes: more is a regression that no clock has to see.

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Variable};
use betty_runtime::Batch;
use betty_runtime::nn::BatchNorm;
use betty_runtime::trace::{AnyBatch, LevelModule, trace};
use betty_tests::models::{Encoder, Group, Recurrent, ResNet, cross_entropy};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

const MODEL: Variable = Variable::Level(0);

/// Kernels, passes over memory, operations, bytes moved and bytes held at once: of the gradient, and of a Hessian product from scratch
/// relative to it, without passes.
fn planned<M: Module + 'static, B: Batch>(
    module: &M,
    batch: B,
    loss: impl Fn(&M, B) -> Tensor<1>,
) -> ([f64; 5], [f64; 4]) {
    let device = Device::flex();
    let any = AnyBatch::new(batch);
    let recorded = trace("model", &any, |tracer| loss(&tracer.module(0, module), tracer.batch())).unwrap();
    let leaves = module.leaves();
    let trainable = |_: usize| (0..leaves.len()).filter(|&i| leaves[i].trainable).collect();
    let mut loss = Loss::new(recorded, trainable, &device);
    let gradient = loss.gradient(&[0]).unwrap();
    let (cost, peak) = (gradient.program().cost(), gradient.program().peak() as f64);
    let mut curvature = Curvature::new(Lagrangian::new(0, &loss, &[]).unwrap(), &device).unwrap();
    let (linear, most) = curvature.cost(&[MODEL], &[MODEL]).unwrap();
    let product = curvature.point_cost() + linear;
    let relative = [
        product.kernels / cost.kernels,
        product.operations / cost.operations,
        product.bytes / cost.bytes,
        most as f64 / peak,
    ];
    let passes = gradient.program().passes() as f64;
    ([cost.kernels, passes, cost.operations, cost.bytes, peak], relative)
}

/// The perceptron 784-256-10 of the benchmarks.
#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        let layer = |from, to| LinearConfig::new(from, to).init(device);
        Mlp { hidden: layer(784, 256), output: layer(256, 10) }
    }

    fn loss(&self, (images, labels): (Tensor<2>, Tensor<1, Int>)) -> Tensor<1> {
        cross_entropy(self.output.forward(relu(self.hidden.forward(images))), labels)
    }
}

fn integers<const D: usize>(below: i64, shape: [usize; D]) -> Tensor<D, Int> {
    let count: usize = shape.iter().product();
    let values: Vec<i64> = (0..count as i64).map(|i| i * 7 % below).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// The numbers of BENCHMARKS.md, rounded up in their last digit.
#[test]
fn whole_models_take_no_more_than_they_did() {
    let device = Device::flex();
    let images = (Tensor::<4>::ones([8, 3, 32, 32], &device), integers(10, [8]));
    let tokens = (integers(1000, [8, 32]), integers(10, [8]));
    let sequences = (Tensor::<3>::ones([32, 16, 32], &device), integers(10, [32]));
    let perceptron =
        planned(&Mlp::new(&device), (Tensor::<2>::ones([128, 784], &device), integers(10, [128])), Mlp::loss);
    let grouped = planned(&ResNet::<Group>::new(64, 10, &device), images.clone(), ResNet::loss);
    let resnet = planned(&ResNet::<BatchNorm>::new(64, 10, &device), images, ResNet::loss);
    let encoder = planned(&Encoder::new(4, 128, 1000, 10, &device), tokens, Encoder::loss);
    let recurrent = planned(&Recurrent::new(32, 128, 10, &device), sequences, Recurrent::loss);
    let mut more = Vec::new();
    for (name, (gradient, product), most, relative) in [
        ("perceptron", perceptron, [34.0, 33.0, 0.106e9, 7.64e6, 1.62e6], [1.06, 1.52, 1.00, 1.35]),
        ("ResNet-18, group norm", grouped, [644.0, 508.0, 26.75e9, 1.25e9, 160e6], [2.12, 2.67, 2.83, 2.54]),
        ("ResNet-18", resnet, [1004.0, 808.0, 26.77e9, 1.52e9, 160e6], [1.87, 2.67, 2.71, 2.79]),
        ("transformer", encoder, [603.0, 496.0, 1.28e9, 0.195e9, 17e6], [1.88, 2.66, 2.82, 3.24]),
        ("LSTM", recurrent, [2821.0, 2643.0, 0.65e9, 0.22e9, 10.2e6], [2.45, 2.57, 2.49, 2.44]),
    ] {
        let is_within = |found: &[f64], most: &[f64]| found.iter().zip(most).all(|(found, most)| found <= most);
        if !(is_within(&gradient, &most) && is_within(&product, &relative)) {
            more.push(format!("{name}: {gradient:?}, {product:?}"));
        }
    }
    assert!(more.is_empty(), "{}", more.join("\n"));
}

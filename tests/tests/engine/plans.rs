//! What whole models are planned to take, counted from shapes: more is a regression that no clock has to see.

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Variable};
use betty_runtime::Batch;
use betty_runtime::nn::BatchNorm;
use betty_runtime::trace::{AnyBatch, LevelModule, trace};
use betty_tests::models::{Encoder, Recurrent, ResNet};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

const MODEL: Variable = Variable::Level(0);

/// Operations, bytes moved and bytes held at once: of the gradient, and of a Hessian product from scratch relative to it.
fn planned<M: Module + 'static, B: Batch>(
    module: &M,
    batch: B,
    loss: impl Fn(&M, B) -> Tensor<1>,
) -> ([f64; 3], [f64; 3]) {
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
    let relative = [product.operations / cost.operations, product.bytes / cost.bytes, most as f64 / peak];
    ([cost.operations, cost.bytes, peak], relative)
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
    let resnet = planned(&ResNet::<BatchNorm>::new(64, 10, &device), images, ResNet::loss);
    let encoder = planned(&Encoder::new(4, 128, 1000, 10, &device), tokens, Encoder::loss);
    let recurrent = planned(&Recurrent::new(32, 128, 10, &device), sequences, Recurrent::loss);
    for (name, (gradient, product), most, relative) in [
        ("ResNet-18", resnet, [26.79e9, 1.61e9, 160e6], [2.67, 2.78, 2.76]),
        ("transformer", encoder, [1.28e9, 0.20e9, 17e6], [2.66, 2.86, 3.24]),
        ("LSTM", recurrent, [0.65e9, 0.23e9, 9e6], [2.58, 2.52, 2.44]),
    ] {
        let is_within = |found: [f64; 3], most: [f64; 3]| found.iter().zip(most).all(|(&found, most)| found <= most);
        assert!(is_within(gradient, most), "{name}: {gradient:?}");
        assert!(is_within(product, relative), "{name}: {product:?}");
    }
}

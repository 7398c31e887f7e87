//! Whole models: a gradient, a Hessian product from scratch, and one at a point where the loss has been looked at before.

use std::error::Error;

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Point, Variable};
use betty_runtime::Batch;
use betty_runtime::execute::{Value, Vector};
use betty_runtime::nn::BatchNorm;
use betty_runtime::trace::{AnyBatch, LevelModule, LossInput, trace};
use betty_tests::models::{Encoder, Group, Recurrent, ResNet};
use burn::module::Module;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};

use crate::report;

/// Times what is wanted of every model, under the names of `tools/compare/reference.py`.
pub(crate) fn time(wanted: &dyn Fn(&str) -> bool, device: &Device) -> Result<(), Box<dyn Error>> {
    let images = (random([8, 3, 32, 32]), integers(10, [8]));
    time_one("ResNet-18, batch norm", wanted, &ResNet::<BatchNorm>::new(64, 10, device), &images, ResNet::loss)?;
    time_one("ResNet-18, group norm", wanted, &ResNet::<Group>::new(64, 10, device), &images, ResNet::loss)?;
    let tokens = (integers(1000, [8, 32]), integers(10, [8]));
    time_one("transformer", wanted, &Encoder::new(4, 128, 1000, 10, device), &tokens, Encoder::loss)?;
    let sequences = (random([32, 16, 32]), integers(10, [32]));
    time_one("LSTM", wanted, &Recurrent::new(32, 128, 10, device), &sequences, Recurrent::loss)
}

fn time_one<M: Module + 'static, B: Batch>(
    model: &str,
    wanted: &dyn Fn(&str) -> bool,
    module: &M,
    batch: &B,
    loss: impl Fn(&M, B) -> Tensor<1>,
) -> Result<(), Box<dyn Error>> {
    let [gradient, product, linearized] =
        ["gradient", "product", "linearized"].map(|operation| format!("{model}: {operation}"));
    if ![&gradient, &product, &linearized].into_iter().any(|name| wanted(name)) {
        return Ok(());
    }
    let device = Device::flex();
    let any = AnyBatch::new(batch.clone());
    let recorded = trace(model, &any, |tracer| loss(&tracer.module(0, module), tracer.batch()))?;
    let leaves = module.leaves();
    let at: Vec<Value> = recorded
        .inputs
        .iter()
        .map(|(source, _)| match *source {
            LossInput::Leaf { index, .. } => leaves[index].value.clone(),
            LossInput::Constant { .. } => unreachable!("no module has plain tensors"),
            LossInput::Batch { index } => any.values()[index].clone(),
        })
        .collect();
    let trainable = |_: usize| (0..leaves.len()).filter(|&leaf| leaves[leaf].trainable).collect();
    let mut loss = Loss::new(recorded, trainable, &device);
    if wanted(&gradient) {
        let of = loss.gradient(&[0])?;
        report(&gradient, || of.run(at.iter().cloned(), 0).map(drop))?;
    }
    let tangent = Vector(leaves.iter().filter(|leaf| leaf.trainable).map(|leaf| leaf.value.clone()).collect());
    let level = Variable::Level(0);
    let moving = [(level, &tangent)];
    if wanted(&product) {
        let mut curvature = Curvature::new(Lagrangian::new(0, &loss, &[])?, &device)?;
        report(&product, || curvature.product(&mut Point::new(at.clone(), 0), &moving, &[level]).map(drop))?;
    }
    if wanted(&linearized) {
        let mut curvature = Curvature::new(Lagrangian::new(0, &loss, &[])?, &device)?;
        let mut point = Point::new(at.clone(), 0);
        report(&linearized, || curvature.product(&mut point, &moving, &[level]).map(drop))?;
    }
    Ok(())
}

fn integers<const D: usize>(below: i64, shape: [usize; D]) -> Tensor<D, Int> {
    let count: usize = shape.iter().product();
    let values: Vec<i64> = (0..count as i64).map(|number| number * 7 % below).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

//! Whole models: tracing, differentiating, gradients and Hessian products of ResNet-18, a transformer encoder and an LSTM.
//!
//! Read the results as ratios within one run: `cargo bench -p betty-tests --bench models`. Times of the whole process that the
//! processors counted (on Linux) are what other programs disturb least.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::time::{Duration, Instant};

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Point, Variable};
use betty_runtime::Batch;
use betty_runtime::execute::{Value, Vector};
use betty_runtime::nn::BatchNorm;
use betty_runtime::trace::{AnyBatch, BatchMapper, LevelModule, LossInput, Trace, trace};
use betty_tests::models::{Encoder, Group, Recurrent, ResNet};
use burn::module::Module;
use burn::tensor::{Bool, Device, Distribution, Int, Tensor, TensorData};
use criterion::{Criterion, criterion_group, criterion_main};

/// The system's allocator gives large tensors back at once and takes a page fault for every page at the next step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MODEL: Variable = Variable::Level(0);

/// Everything about one model.
fn model<M: Module + 'static, B: Batch>(
    c: &mut Criterion,
    name: &str,
    module: &M,
    batch: &B,
    loss: impl Fn(&M, B) -> Tensor<1>,
) {
    let device = Device::flex();
    let any = AnyBatch::new(batch.clone());
    let record = || -> Trace {
        trace(name, &any, |tracer| loss(&tracer.module(0, module), tracer.batch())).expect("the loss can be traced")
    };
    let leaves = module.leaves();
    let trainable = |_: usize| (0..leaves.len()).filter(|&i| leaves[i].trainable).collect();
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));

    group.bench_function("trace", |b| b.iter(record));
    let recorded = record();
    group.bench_function("differentiate and plan, gradient", |b| {
        b.iter(|| {
            let mut loss = Loss::new(recorded.clone(), trainable, &device);
            loss.gradient(&[0]).expect("a gradient").program().len()
        });
    });
    group.bench_function("differentiate and plan, Hessian product", |b| {
        b.iter(|| curvature(&Loss::new(recorded.clone(), trainable, &device), &device).lagrangian().own().len());
    });

    let taped = module.clone().train();
    let on_tape = batch.clone().map(&mut Taped);
    group.bench_function("gradient, burn autodiff", |b| b.iter(|| loss(&taped, on_tape.clone()).backward()));
    let at: Vec<Value> = recorded
        .inputs
        .iter()
        .map(|(source, _)| match *source {
            LossInput::Leaf { index, .. } => leaves[index].value.clone(),
            LossInput::Constant { .. } => unreachable!("no module has plain tensors"),
            LossInput::Batch { index } => any.values()[index].clone(),
        })
        .collect();
    let mut compiled = Loss::new(recorded, trainable, &device);
    compiled.gradient(&[0]).expect("a gradient");
    group.bench_function("gradient", |b| {
        b.iter(|| compiled.gradient(&[0]).expect("a gradient").run(at.iter().cloned(), 0).expect("a loss"));
    });
    let tangent = leaves.iter().filter(|leaf| leaf.trainable).map(|leaf| leaf.value.clone());
    let tangent = Vector(tangent.collect());
    let mut curvature = curvature(&compiled, &device);
    let moving = [(MODEL, &tangent)];
    group.bench_function("Hessian product, full", |b| {
        b.iter(|| curvature.product(&mut Point::new(at.clone(), 0), &moving, &[MODEL]).expect("a product"));
    });
    let mut point = Point::new(at.clone(), 0);
    group.bench_function("Hessian product, linearized", |b| {
        b.iter(|| curvature.product(&mut point, &moving, &[MODEL]).expect("a product"));
    });
    group.finish();
    if !is_compared(name) {
        return;
    }

    // Ratios of shortest times of turns taken one after the other, so that other load on the machine hits all alike.
    let mut shortest = [[f64::INFINITY; 4]; 2];
    for _ in 0..ROUNDS {
        let mut turn = |which: usize, work: &mut dyn FnMut()| {
            let (start, before) = (Instant::now(), processor_time());
            work();
            let times = [start.elapsed().as_secs_f64(), processor_time() - before];
            shortest.iter_mut().zip(times).for_each(|(shortest, time)| shortest[which] = shortest[which].min(time));
        };
        turn(0, &mut || {
            compiled.gradient(&[0]).expect("a gradient").run(at.iter().cloned(), 0).expect("a loss");
        });
        turn(1, &mut || {
            loss(&taped, on_tape.clone()).backward();
        });
        turn(2, &mut || {
            curvature.product(&mut Point::new(at.clone(), 0), &moving, &[MODEL]).expect("a product");
        });
        turn(3, &mut || {
            curvature.product(&mut point, &moving, &[MODEL]).expect("a product");
        });
    }
    for (clock, [gradient, burn, full, linearized]) in ["elapsed", "processor"].into_iter().zip(shortest) {
        println!(
            "{name}, {clock} time, shortest of {ROUNDS} turns: gradient {:.1} ms; relative to it: Burn's gradient {:.2}, \
             Hessian product {:.2}, linearized {:.2}",
            gradient * 1e3,
            burn / gradient,
            full / gradient,
            linearized / gradient,
        );
    }
    let gradient = compiled.gradient(&[0]).expect("a gradient");
    let (gradient, peak) = (gradient.program().cost(), gradient.program().peak());
    let (linear, most) = curvature.cost(&[MODEL], &[MODEL]).expect("a product");
    let full = curvature.point_cost() + linear;
    println!(
        "{name}, as planned: gradient {:.2} GFLOP, {:.2} GB moved, {} MB at once; relative to it: Hessian product {:.2}, {:.2}, \
         {:.2}",
        gradient.operations / 1e9,
        gradient.bytes / 1e9,
        peak / 1_000_000,
        full.operations / gradient.operations,
        full.bytes / gradient.bytes,
        most as f64 / peak as f64,
    );
}

/// Seconds that the processors have spent on all threads of this process; not a number where Linux does not count them.
fn processor_time() -> f64 {
    let time = |thread: std::io::Result<std::fs::DirEntry>| -> Option<f64> {
        let counts = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        counts.split_whitespace().next()?.parse().ok()
    };
    let threads = std::fs::read_dir("/proc/self/task").ok();
    threads.map_or(f64::NAN, |threads| threads.filter_map(time).sum::<f64>() / 1e9)
}

/// Whether the ratios of a model are asked for: not while one operation is profiled, and where there is a filter, by the part of
/// it that names a model.
fn is_compared(name: &str) -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let names_it = filter.is_none_or(|filter| filter.split('/').next().is_some_and(|model| name.contains(model)));
    names_it && !arguments.iter().any(|argument| argument == "--profile-time")
}

/// How many turns the ratios are taken from.
const ROUNDS: usize = 12;

/// Second derivatives of the loss, with a Hessian product compiled.
fn curvature(loss: &Loss, device: &Device) -> Curvature {
    let lagrangian = Lagrangian::new(0, loss, &[]).expect("a Lagrangian");
    let mut curvature = Curvature::new(lagrangian, device).expect("a second derivative");
    curvature.prepare(&[MODEL], &[MODEL]).expect("a product");
    curvature
}

/// Puts a batch on an autodiff device.
struct Taped;

impl BatchMapper for Taped {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        tensor.autodiff()
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor.autodiff()
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor.autodiff()
    }

    fn plain(&mut self, _hash: u64) {}
}

fn integers<const D: usize>(below: i64, shape: [usize; D]) -> Tensor<D, Int> {
    let count: usize = shape.iter().product();
    let values: Vec<i64> = (0..count as i64).map(|i| i * 7 % below).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn models(c: &mut Criterion) {
    let device = Device::flex();
    let images = (random([8, 3, 32, 32]), integers(10, [8]));
    model(c, "ResNet-18, batch norm, 8 images", &ResNet::<BatchNorm>::new(64, 10, &device), &images, ResNet::loss);
    model(c, "ResNet-18, group norm, 8 images", &ResNet::<Group>::new(64, 10, &device), &images, ResNet::loss);
    let tokens = (integers(1000, [8, 32]), integers(10, [8]));
    model(c, "transformer, 8 x 32 tokens", &Encoder::new(4, 128, 1000, 10, &device), &tokens, Encoder::loss);
    let sequences = (random([32, 16, 32]), integers(10, [32]));
    model(c, "LSTM, 32 x 16 steps", &Recurrent::new(32, 128, 10, &device), &sequences, Recurrent::loss);
}

criterion_group!(benches, models);
criterion_main!(benches);

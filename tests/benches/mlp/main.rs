//! The MLP 784-256-10 at batch 128 with a 1-100-1 weighting network: gradients, second-order products, hypergradient steps.
//!
//! Read the results as ratios within one run: `cargo bench --workspace --bench mlp`.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

mod problem;

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Point, Variable};
use betty_runtime::execute::{Value, Vector};
use betty_runtime::trace::{AnyBatch, LevelModule, Trace, trace};
use betty_runtime::{Engine, Stream};
use betty_tests::devices::chosen_or_cpu;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};

use self::problem::{Images, Reweighting, ReweightingConfig, ReweightingData, images, problem, weighted};

/// The system's allocator gives large tensors back at once and takes a page fault for every page at the next step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn record(problem: &Reweighting, batch: &AnyBatch) -> Trace {
    trace("model", batch, |tracer| {
        let model = tracer.module(1, &problem.model);
        let weights = tracer.module(0, &problem.weights);
        weighted(&model, &weights, tracer.batch())
    })
    .expect("the loss can be traced")
}

fn inputs(problem: &Reweighting, batch: &AnyBatch) -> Vec<Value> {
    let values = |module: &dyn LevelModule| module.leaves().into_iter().map(|leaf| leaf.value).collect::<Vec<_>>();
    [values(&problem.model), values(&problem.weights), batch.values().to_vec()].concat()
}

fn derivatives(c: &mut Criterion) {
    let device = chosen_or_cpu();
    let problem = problem(&device);
    let images = images(&device);
    let batch = AnyBatch::new(images.clone());
    let trainable = |level: usize| (0..leaves_of(&problem, level)).collect();
    let mut group = c.benchmark_group("derivatives");

    let on_tape = device.clone().autodiff();
    let (model, weights) = (problem.model.clone().train(), problem.weights.clone().train());
    let taped = Images { x: Tensor::from_inner(images.x.clone()), y: Tensor::from_data(images.y.to_data(), &on_tape) };
    group.bench_function("gradient, burn autodiff", |b| {
        b.iter(|| {
            let gradients = weighted(&model, &weights, taped.clone()).backward();
            model.first.weight.val().grad(&gradients)
        });
    });
    group.bench_function("trace", |b| b.iter(|| record(&problem, &batch)));
    let recorded = record(&problem, &batch);
    group.bench_function("differentiate and plan, first and second order", |b| {
        b.iter(|| {
            let mut loss = Loss::new(recorded.clone(), trainable, &device);
            curvature(&loss, &device);
            loss.gradient(&[1]).expect("a gradient").program().len()
        });
    });

    let mut loss = Loss::new(recorded, trainable, &device);
    let at = inputs(&problem, &batch);
    loss.gradient(&[1]).expect("a gradient");
    group.bench_function("gradient", |b| {
        b.iter(|| loss.gradient(&[1]).expect("a gradient").run(at.clone(), 0).expect("a loss"));
    });
    let tangent = Vector(LevelModule::leaves(&problem.model).into_iter().map(|leaf| leaf.value).collect());
    let mut curvature = curvature(&loss, &device);
    let moving = [(MODEL, &tangent)];
    group.bench_function("hessian product, full", |b| {
        b.iter(|| curvature.product(&mut Point::new(at.clone(), 0), &moving, &[MODEL]).expect("a product"));
    });
    let mut point = Point::new(at, 0);
    for (name, of) in [("hessian product, linearized", MODEL), ("mixed product, linearized", WEIGHTS)] {
        group.bench_function(name, |b| b.iter(|| curvature.product(&mut point, &moving, &[of]).expect("a product")));
    }
    group.finish();
}

const WEIGHTS: Variable = Variable::Level(0);
const MODEL: Variable = Variable::Level(1);

/// Second derivatives of the model's loss, with what a hypergradient asks of them compiled.
fn curvature(loss: &Loss, device: &Device) -> Curvature {
    let lagrangian = Lagrangian::new(1, loss, &[]).expect("a Lagrangian");
    let mut curvature = Curvature::new(lagrangian, device).expect("a second derivative");
    curvature.prepare(&[MODEL], &[MODEL]).expect("a product");
    curvature.prepare(&[MODEL], &[WEIGHTS]).expect("a product");
    curvature
}

/// How many tensors a level has.
fn leaves_of(problem: &Reweighting, level: usize) -> usize {
    if level == 1 { problem.model.leaves().len() } else { problem.weights.leaves().len() }
}

fn hypergradients(c: &mut Criterion) {
    let device = chosen_or_cpu();
    let mut group = c.benchmark_group("step");
    group.sample_size(20);
    let engine = |config| {
        let data =
            ReweightingData { weights: Stream::constant(images(&device)), model: Stream::constant(images(&device)) };
        Engine::new(problem(&device), data, config).expect("a valid program")
    };
    for (name, json) in [
        ("cg(5)", r#"{"method": "cg", "iterations": 5, "damping": 1.0, "tolerance": 0.0}"#),
        ("neumann(5)", r#"{"method": "neumann", "terms": 5, "step_size": 0.1}"#),
        ("penalty(5)", r#"{"method": "penalty", "steps": 5, "step_size": 0.1}"#),
        ("finite_difference", r#"{"method": "finite_difference"}"#),
        ("identity", r#"{"method": "identity"}"#),
    ] {
        let mut config = ReweightingConfig::default();
        config.model.hypergradient = Some(serde_json::from_str(json).expect("a valid method"));
        let mut engine = engine(config);
        engine.run(1).expect("a first step");
        group.bench_function(format!("hypergradient, {name}"), |b| {
            b.iter(|| engine.gradient("weights").expect("a hypergradient"));
        });
    }
    let mut config = ReweightingConfig::default();
    config.model.unroll = 100;
    config.model.hypergradient = Some(serde_json::from_str(r#"{"method": "identity"}"#).expect("a valid method"));
    let mut engine = engine(config);
    engine.run(1).expect("a first step");
    group.bench_function("100 lower steps and one identity step", |b| b.iter(|| engine.run(1).expect("a run")));
    group.finish();
}

criterion_group!(benches, derivatives, hypergradients);
criterion_main!(benches);

//! Our half of `tools/compare`: the operations of the MLP benchmark and of whole models, each timed for itself, in a form that a
//! script reads.
//!
//! Prints `name<TAB>milliseconds` for each, and the process's peak memory. Of all repetitions it is the time that a tenth
//! stays below: what the machine does when nothing disturbs it. An argument chooses one operation, so that its peak memory
//! is its own.
#![allow(missing_docs, reason = "a program, not a library")]

mod models;
#[path = "../mlp/problem.rs"]
mod problem;

use std::time::{Duration, Instant};

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Point, Variable};
use betty_runtime::execute::{Value, Vector};
use betty_runtime::trace::{AnyBatch, LevelModule, trace};
use betty_runtime::{Engine, Stream};
use betty_tests::devices::chosen_or_cpu;

use self::problem::{Reweighting, ReweightingConfig, ReweightingData, images, problem, weighted};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As long as each operation is repeated.
const TIME: Duration = Duration::from_millis(1500);

/// How often at least, and how many of the first repetitions do not count.
const LEAST: usize = 8;
const FIRST: usize = 2;

/// As `tools/compare/reference.py` names them. An untrained network's Hessian is indefinite, hence the damping, which costs
/// one vector update a product; Betty runs on without.
const METHODS: [(&str, &str); 3] = [
    ("step, cg(5)", r#"{"method": "cg", "iterations": 5, "damping": 1.0, "tolerance": 0.0}"#),
    ("step, neumann(5 products)", r#"{"method": "neumann", "terms": 6, "step_size": 0.1}"#),
    ("step, finite differences", r#"{"method": "finite_difference", "perturbation": 0.01}"#),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo passes `--bench`.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let device = chosen_or_cpu();
    if wanted("gradient") || wanted("hessian product") {
        let problem = problem(&device);
        let batch = AnyBatch::new(images(&device));
        let recorded = trace("model", &batch, |tracer| {
            let model = tracer.module(1, &problem.model);
            let weights = tracer.module(0, &problem.weights);
            weighted(&model, &weights, tracer.batch())
        })?;
        let values = |module: &dyn LevelModule| module.leaves().into_iter().map(|leaf| leaf.value).collect::<Vec<_>>();
        let (model, weights) = (values(&problem.model), values(&problem.weights));
        let at: Vec<Value> = [model.clone(), weights.clone(), batch.values().to_vec()].concat();
        let trainable = |level: usize| (0..if level == 1 { model.len() } else { weights.len() }).collect();
        let mut loss = Loss::new(recorded, trainable, &device);
        if wanted("gradient") {
            let gradient = loss.gradient(&[1])?;
            report("gradient", || gradient.run(at.clone(), 0).map(drop))?;
        }
        if wanted("hessian product") {
            let tangent = Vector(model.clone());
            let mut curvature = Curvature::new(Lagrangian::new(1, &loss, &[])?, &device)?;
            let moving = [(Variable::Level(1), &tangent)];
            report("hessian product", || {
                curvature.product(&mut Point::new(at.clone(), 0), &moving, &[Variable::Level(1)]).map(drop)
            })?;
        }
    }
    for (name, json) in METHODS.into_iter().filter(|(name, _)| wanted(name)) {
        let mut engine = engine(json)?;
        // The lower level's step makes the batch that the best response is differentiated on.
        engine.run(1)?;
        report(name, || engine.gradient("weights").map(drop))?;
    }
    models::time(&wanted, &device)?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("", str::trim);
    println!("peak memory\t{}", peak.trim_end_matches(" kB"));
    Ok(())
}

fn engine(method: &str) -> Result<Engine<Reweighting>, Box<dyn std::error::Error>> {
    let device = chosen_or_cpu();
    let mut config = ReweightingConfig::default();
    config.model.hypergradient = Some(serde_json::from_str(method)?);
    let data = ReweightingData { weights: Stream::constant(images(&device)), model: Stream::constant(images(&device)) };
    Ok(Engine::new(problem(&device), data, config)?)
}

/// Prints the time that a tenth of all repetitions of `run` stays below.
fn report<E: std::error::Error + 'static>(
    name: &str,
    mut run: impl FnMut() -> Result<(), E>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    let end = Instant::now() + TIME;
    while Instant::now() < end || times.len() < LEAST {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64());
    }
    // The first runs trace, plan, and fill the allocator.
    times.drain(..FIRST);
    times.sort_by(f64::total_cmp);
    println!("{name}\t{:.4}", 1e3 * times[times.len() / 10]);
    Ok(())
}

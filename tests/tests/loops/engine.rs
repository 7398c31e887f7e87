//! A loop that takes its own steps ends where the engine does, bit for bit.

use betty_runtime::{Engine, Hypergradient, ProgramConfig};
use burn::optim::GradientsParams;
use burn::tensor::Device;

use crate::problem::{
    CALLS, Cleaning, CleaningConfig, data, held_out, noisy, numbers, problem, sgd, streams, trained, weighted,
};

const STEPS: usize = 25;

/// Where the engine and a loop end, with the numbers of this config.
fn both(dropout: f64, json: &str, steps: usize) -> (Vec<u32>, Vec<u32>) {
    let config = || CleaningConfig::from_json(json).unwrap();
    let plain = Device::flex();
    let mut engine = Engine::new(problem(dropout, &plain), streams(&plain), config()).unwrap().seed(7);
    engine.run(steps as u64).unwrap();
    let device = plain.autodiff();
    let all = problem(dropout, &device);
    let hypergradient = Hypergradient::new(&all, config()).unwrap().seed(7);
    (numbers(engine.problem()), numbers(&trained(all, hypergradient, steps, &device)))
}

#[test]
fn a_loop_ends_where_the_engine_does_bit_for_bit() {
    for dropout in [0.0, 0.3] {
        let (engine, own) = both(dropout, "{}", STEPS);
        assert_ne!(own, numbers(&problem(dropout, &Device::flex())));
        assert!(engine == own, "dropout {dropout}");
    }
}

#[test]
fn every_method_that_needs_no_steps_is_the_engines() {
    for method in [
        r#"{ "method": "cg", "iterations": 3, "damping": 1.0, "warm_start": true }"#,
        r#"{ "method": "cg", "iterations": 3, "damping": 1.0 }"#,
        r#"{ "method": "minres", "iterations": 3, "damping": 1.0, "warm_start": true }"#,
        r#"{ "method": "gmres", "iterations": 3, "damping": 1.0 }"#,
        r#"{ "method": "neumann", "terms": 3, "step_size": 0.1, "warm_start": true }"#,
        r#"{ "method": "nystrom", "rank": 3, "damping": 1.0 }"#,
        r#"{ "method": "finite_difference" }"#,
        r#"{ "method": "penalty", "steps": 2, "step_size": 0.1 }"#,
        r#"{ "method": "identity", "scale": 0.5 }"#,
        r#"{ "method": "dense", "damping": 1.0 }"#,
    ] {
        let (engine, own) = both(0.3, &format!(r#"{{ "model": {{ "hypergradient": {method} }} }}"#), 4);
        assert!(engine == own, "{method}");
    }
}

#[test]
fn products_of_16_bits_are_the_engines() {
    let (engine, own) = both(0.3, r#"{ "model": { "precision": "bf16" }, "weights": { "precision": "f16" } }"#, 4);
    let (exact, _) = both(0.3, "{}", 4);
    assert!(engine == own);
    assert!(engine != exact);
}

#[test]
fn steps_along_burns_own_gradients_stay_beside_the_engine() {
    let plain = Device::flex();
    let mut engine = Engine::new(problem(0.0, &plain), streams(&plain), CleaningConfig::default()).unwrap();
    engine.run(STEPS as u64).unwrap();
    let device = plain.autodiff();
    let mut all = problem(0.0, &device);
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    let (mut lower, mut upper) = (sgd(0.9), sgd(0.5));
    for step in 0..STEPS {
        for inner in 0..3 {
            let loss = weighted(&all.model, &all.weights, noisy(3 * step + inner, &device));
            let gradients = GradientsParams::from_grads(loss.backward(), &all.model);
            all.model = lower.step(0.1, all.model, gradients);
        }
        let batches = data(held_out(step, &device), noisy(3 * step + 2, &device));
        let total = hypergradient.total("weights", &all, batches).unwrap();
        all.weights = upper.step(2.0, all.weights, total.gradient);
    }
    let (engine, own) = (numbers(engine.problem()), numbers(&all));
    let furthest = engine.iter().zip(&own).map(|(x, y)| (f32::from_bits(*x) - f32::from_bits(*y)).abs());
    let furthest = furthest.fold(0.0, f32::max);
    println!("{furthest:e}");
    // Parameters are of size 1; each of 75 steps rounds.
    assert!(furthest < 1e-5, "{furthest:e}");
}

#[test]
fn losses_are_recorded_once_for_each_kind_of_batch() {
    let device = Device::flex().autodiff();
    let all = problem(0.3, &device);
    let mut hypergradient = Hypergradient::new(&all, CleaningConfig::default()).unwrap();
    CALLS.set(0);
    all_calls(&mut hypergradient, all.clone(), &device);
    assert_eq!(CALLS.replace(0), 2);
    // Modules that were cloned, or changed by steps, ask for no other recording.
    all_calls(&mut hypergradient, all.clone(), &device);
    let moved = trained(all, hypergradient, 3, &device);
    assert_eq!(CALLS.replace(0), 0);
    drop(moved);
}

fn all_calls(hypergradient: &mut Hypergradient<Cleaning>, all: Cleaning, device: &Device) {
    let batches = || data(held_out(0, device), noisy(0, device));
    hypergradient.direct("model", &all, batches()).unwrap();
    hypergradient.direct("weights", &all, batches()).unwrap();
    hypergradient.total("weights", &all, batches()).unwrap();
}

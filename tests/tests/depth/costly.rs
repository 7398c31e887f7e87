//! Hypergradients that take a lot are told of before they are computed, with what would take less.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::execute::launched;
use betty_runtime::{Engine, Event, ProgramConfig};
use serde_json::json;

use crate::chains::{Five, FiveConfig, FiveData};
use crate::level::Vector;
use crate::unrolled::nothing;

/// A level, the kernels of its hypergradient, and those of the two cheaper ways.
type Told = (String, f64, Option<f64>, f64);

fn engine(config: FiveConfig) -> Engine<Five> {
    let data = FiveData { top: nothing(), a: nothing(), b: nothing(), c: nothing(), d: nothing() };
    let at = |k: usize| Vector::new(&[0.3 - 0.2 * k as f64, 0.1 + 0.3 * k as f64]);
    Engine::new(Five { top: at(0), a: at(1), b: at(2), c: at(3), d: at(4) }, data, config).unwrap()
}

fn told(config: FiveConfig, above: f64, iterations: u64) -> Vec<Told> {
    let told = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&told);
    let engine = engine(config).costly_above(above);
    let mut engine = engine.observe(move |event: &Event<'_>| {
        if let Event::Costly { name, kernels, joint, partial, .. } = *event {
            let warning = event.warning().unwrap();
            assert!(warning.advice.contains("`curvature: partial`"), "{warning:?}");
            assert_eq!(warning.advice.contains("`solve: joint`"), joint.is_some_and(|joint| joint < kernels));
            seen.borrow_mut().push((name.to_owned(), kernels, joint, partial));
        }
    });
    engine.run(iterations).unwrap();
    drop(engine);
    Rc::into_inner(told).unwrap().into_inner()
}

fn configured(json: &serde_json::Value) -> FiveConfig {
    let below = json!({ "hypergradient": json });
    FiveConfig::from_json(&json!({ "a": below, "b": below, "c": below, "d": below }).to_string()).unwrap()
}

#[test]
fn every_level_is_told_of_once() {
    let config = configured(&json!({ "iterations": 2, "tolerance": 0.0 }));
    let told = told(config.clone(), 1000.0, 3);
    let names: Vec<&str> = told.iter().map(|(name, ..)| name.as_str()).collect();
    // The deeper levels take less than that.
    assert_eq!(names, ["a", "top"]);
    let (_, kernels, joint, partial) = told[1].clone();
    // What was told is what `explain` says, but for what a point shares between the products that are known by then; what is
    // computed is at most that.
    let mut engine = engine(config);
    let explained = engine.explain().unwrap();
    let responses: f64 = explained.levels[0].responses.iter().map(|response| response.cost.kernels).sum();
    assert!((kernels / responses - 1.0).abs() < 0.02, "{kernels} and {responses}");
    engine.gradient("top").unwrap();
    let before = launched().kernels;
    engine.gradient("top").unwrap();
    let found = launched().kernels - before - explained.levels[0].step.kernels;
    assert!(found <= kernels && found > 0.4 * kernels, "{found} of {kernels}");
    assert!(partial < 0.1 * kernels && joint.is_some(), "{partial}, {joint:?} of {kernels}");
}

#[test]
fn ways_that_cannot_be_gone_are_not_named() {
    let told = told(configured(&json!({ "method": "finite_difference" })), 100.0, 1);
    assert!(!told.is_empty() && told.iter().all(|(_, _, joint, _)| joint.is_none()), "{told:?}");
}

#[test]
fn nothing_is_told_below_the_bound() {
    let config = || configured(&json!({ "iterations": 1 }));
    assert_eq!(told(config(), 1e5, 2), []);
    assert_eq!(told(config(), f64::INFINITY, 2), []);
    assert_ne!(told(config(), 1.0, 1), []);
}

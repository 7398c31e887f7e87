//! Losses that read the number of the step that they are computed for.
//!
//! The lower level follows `½x² − x·(a + wₜλ)` with a weight `wₜ` of step t, so that
//! `xₜ₊₁ = xₜ − α(xₜ − a − wₜλ)` and `dₜ₊₁ = dₜ − α(dₜ − wₜ)` for `d = dx/dλ`; the best response is `a + wλ`. The upper one follows
//! `vₙ·½(x − b)²` with a weight of its own step n, of all of the run.

use std::cell::Cell;
use std::rc::Rc;

use betty_runtime::{Engine, Event, ProgramConfig, Step, Stream, StreamPosition, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::Param;
use burn::tensor::Tensor;

const ALPHA: f64 = 0.3;
const BETA: f64 = 0.2;
const STEPS: usize = 4;
const A: f64 = 1.0;
const B: f64 = 0.4;
const LAMBDA: f64 = -0.8;
const X: f64 = 2.0;

type Scalar = Param<Tensor<1>>;
type Stepped = (Tensor<1>, Step);

fn weight(step: Tensor<1>) -> Tensor<1> {
    (step * 0.7 + 1.0).recip()
}

fn weight_of(step: usize) -> f64 {
    1.0 / (1.0 + 0.7 * step as f64)
}

fn driven(x: &Scalar, lambda: &Scalar, (a, step): Stepped) -> Tensor<1> {
    let x = x.val();
    let pull = a + weight(step.like(&x)) * lambda.val();
    x.clone() * x.clone() * 0.5 - x * pull
}

fn judged(_lambda: &Scalar, x: &Scalar, (b, step): Stepped) -> Tensor<1> {
    let gap = x.val() - b;
    weight(step.like(&gap)) * gap.clone() * gap * 0.5
}

multilevel! {
    struct Numbered;

    level lambda: Scalar { lower: [x], batch: Stepped, loss: judged, optimizer: sgd(lr = 0.2) }
    level x: Scalar { upper: [lambda], batch: Stepped, loss: driven, optimizer: sgd(lr = 0.3), unroll: 4, hypergradient: unrolled }
}

fn engine(json: &str) -> Engine<Numbered> {
    let problem = Numbered { lambda: parameter(&[LAMBDA]), x: parameter(&[X]) };
    let constant = |x: f64| Stream::constant(tensor(&[x])).stepped();
    let data = NumberedData { lambda: constant(B), x: constant(A) };
    Engine::new(problem, data, NumberedConfig::from_json(json).unwrap()).unwrap()
}

fn both(engine: &mut Engine<Numbered>) -> [f64; 2] {
    let Numbered { lambda, x } = engine.problem();
    [values(lambda)[0], values(x)[0]]
}

/// Where a loop by hand leads, which begins at `X` each time if it starts anew, and in which the steps or the best
/// response of the last one are differentiated.
fn by_hand(iterations: usize, anew: bool, implicit: bool) -> [f64; 2] {
    let [mut lambda, mut x] = [LAMBDA, X];
    for n in 0..iterations {
        let mut d = 0.0;
        if anew {
            x = X;
        }
        for t in 0..STEPS {
            x -= ALPHA * (x - A - weight_of(t) * lambda);
            d -= ALPHA * (d - weight_of(t));
        }
        if implicit {
            d = weight_of(STEPS - 1);
        }
        lambda -= BETA * weight_of(n) * (x - B) * d;
    }
    [lambda, x]
}

fn assert_close(found: [f64; 2], expected: [f64; 2]) {
    assert!(found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-13), "{found:?} is not {expected:?}");
}

#[test]
fn each_step_has_its_own_number_and_is_differentiated_with_it() {
    for method in [r#""unrolled""#, r#""unrolled", "memory": 2"#, r#""forward""#] {
        let retraced = Rc::new(Cell::new(0));
        let count = Rc::clone(&retraced);
        let mut engine = engine(&format!(r#"{{ "x": {{ "hypergradient": {{ "method": {method} }} }} }}"#));
        engine = engine.observe(move |event| {
            if let Event::Retraced { .. } = event {
                count.set(count.get() + 1);
            }
        });
        engine.run(5).unwrap();
        assert_close(both(&mut engine), by_hand(5, false, false));
        assert_eq!(retraced.get(), 0, "{method}");
    }
}

#[test]
fn batches_that_are_averaged_are_of_one_step() {
    let mut engine = engine(r#"{ "x": { "accumulate": 3 }, "lambda": { "accumulate": 2 } }"#);
    engine.run(4).unwrap();
    assert_close(both(&mut engine), by_hand(4, false, false));
}

#[test]
fn every_task_counts_anew_also_computed_together() {
    for vectorize in [false, true] {
        let json =
            format!(r#"{{ "lambda": {{ "tasks": 3, "vectorize": {vectorize} }}, "x": {{ "start": "initial" }} }}"#);
        let mut engine = engine(&json);
        engine.run(4).unwrap();
        // Tasks that are all the same are one.
        assert_close(both(&mut engine), by_hand(4, true, false));
    }
}

#[test]
fn a_level_that_looks_ahead_counts_the_steps_that_it_takes_again() {
    let mut engine = engine(r#"{ "x": { "start": "look_ahead" } }"#);
    engine.run(3).unwrap();
    let [mut lambda, mut x] = [LAMBDA, X];
    let ahead = |lambda: f64, x: f64| {
        (0..STEPS).fold((x, 0.0), |(x, d), t| {
            let w = weight_of(t);
            (x - ALPHA * (x - A - w * lambda), d - ALPHA * (d - w))
        })
    };
    for n in 0..3 {
        let (end, d) = ahead(lambda, x);
        lambda -= BETA * weight_of(n) * (end - B) * d;
        x = ahead(lambda, x).0;
    }
    assert_close(both(&mut engine), [lambda, x]);
}

#[test]
fn an_implicit_method_differentiates_the_last_step() {
    for batch in ["last", "fresh"] {
        let json = format!(r#"{{ "x": {{ "hypergradient": {{ "method": "dense", "batch": "{batch}" }} }} }}"#);
        let mut engine = engine(&json);
        engine.run(4).unwrap();
        assert_close(both(&mut engine), by_hand(4, false, true));
    }
}

#[test]
fn the_last_step_of_tasks_has_its_number_after_a_resume_too() {
    for vectorize in [false, true] {
        let tasks = format!(r#"{{ "tasks": 3, "vectorize": {vectorize} }}"#);
        let mut first = engine(&format!(r#"{{ "lambda": {tasks}, "x": {{ "start": "initial" }} }}"#));
        first.run(4).unwrap();
        // What is asked for the derivative of a best response takes the loss as it was at the last step.
        let mut second = engine(
            r#"{ "lambda": { "tasks": 3 }, "x": { "start": "initial", "hypergradient": { "method": "dense" } } }"#,
        );
        second.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
        let [_, x] = both(&mut second);
        let found = second.gradient("lambda").unwrap().gradient.to_vec().unwrap()[0];
        let expected = weight_of(4) * (x - B) * weight_of(STEPS - 1);
        assert!((found - expected).abs() < 1e-13, "{found} is not {expected}, vectorize {vectorize}");
    }
}

#[test]
fn a_resumed_run_goes_on_with_the_same_numbers() {
    for json in ["{}", r#"{ "x": { "hypergradient": { "method": "dense" } } }"#] {
        let (mut whole, mut first, mut resumed) = (engine(json), engine(json), engine(json));
        whole.run(5).unwrap();
        first.run(3).unwrap();
        resumed.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
        if json != "{}" {
            // A question goes by the last step, which was taken before the checkpoint.
            let gradient =
                |engine: &mut Engine<Numbered>| engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
            assert_eq!(gradient(&mut resumed), gradient(&mut first));
            let [lambda, x] = by_hand(3, false, true);
            let expected = weight_of(3) * (x - B) * weight_of(STEPS - 1);
            assert!((gradient(&mut first)[0] - expected).abs() < 1e-13, "at {lambda}");
        }
        resumed.run(2).unwrap();
        assert_eq!(both(&mut resumed), both(&mut whole));
    }
}

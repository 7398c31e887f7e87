//! Hypergradients of three levels against central differences of what was run: from the saved state after the last step of
//! a level to the loss that it sees next, with all steps that are taken between.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, Event, Multilevel, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close, vector};
use crate::unrolled::square;

pub(crate) type Batch = Tensor<1>;

/// A program at its first parameters, with its data.
pub(crate) type Program<P> = fn() -> (P, <P as Multilevel>::Data);

/// The parameters of a level of a program.
pub(crate) type Part<P> = fn(&mut P) -> &mut Vector;

fn engine<P: Multilevel>(program: Program<P>, json: &str) -> Engine<P> {
    let (problem, data) = program();
    Engine::new(problem, data, P::Config::from_json(json).unwrap()).unwrap().seed(7)
}

/// Compares the step of length 1 that level number `level` takes in the second iteration with differences of its loss.
#[track_caller]
pub(crate) fn check<P: Multilevel>(program: Program<P>, json: &str, level: usize, part: Part<P>) {
    compare(program, (json, json), level, part);
}

/// The same with the losses of a run whose config leads to the same parameters in less time.
#[track_caller]
pub(crate) fn compare<P: Multilevel>(program: Program<P>, (json, cheaper): (&str, &str), level: usize, part: Part<P>) {
    let mut whole = engine(program, cheaper);
    whole.run(1).unwrap();
    let saved = whole.checkpoint().unwrap();
    let mut at = Vec::new();
    whole.edit(|problem| at = part(problem).x.val().into_data().try_to_vec().unwrap()).unwrap();
    let mut whole = engine(program, json);
    whole.resume(&saved, StreamPosition::Start).unwrap();
    whole.run(1).unwrap();
    let after: Vec<f64> = part(&mut whole.into_problem()).x.val().into_data().try_to_vec().unwrap();
    let found: Vec<f64> = at.iter().zip(after).map(|(before, after)| before - after).collect();
    let loss = |k: usize, by: f64| {
        let mut moved = at.clone();
        moved[k] += by;
        let seen = Rc::new(Cell::new(f64::NAN));
        let log = Rc::clone(&seen);
        let mut engine = engine(program, cheaper).observe(move |event| match event {
            Event::Step { level: of, loss, .. } if *of == level => log.set(*loss),
            _ => {}
        });
        engine.resume(&saved, StreamPosition::Start).unwrap();
        engine.edit(|problem| *part(problem) = Vector::new(&moved)).unwrap();
        engine.run(1).unwrap();
        seen.get()
    };
    let slope =
        |k: usize, h: f64| (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
    let expected: Vec<f64> = (0..at.len()).map(|k| slope(k, 1e-3)).collect();
    println!("{} {json}", P::SCHEDULE.name);
    assert_close(&found, &expected, 1e-8);
}

/// Batches that all differ, the same in every run.
pub(crate) fn stream(seed: f64) -> Stream<Batch> {
    stream_from(seed, 0)
}

/// The same without so many at the beginning.
fn stream_from(seed: f64, first: i32) -> Stream<Batch> {
    let batch = move |index: i32| {
        let of = |k: f64| (seed + 0.7 * f64::from(index) + k).sin();
        Ok::<_, io::Error>(vector(&[of(0.0), of(1.3), of(2.9)]))
    };
    Stream::batches((first..).map(batch))
}

pub(crate) fn top() -> Vector {
    Vector::new(&[0.4, -0.7, 0.2])
}

pub(crate) fn mid() -> Vector {
    Vector::new(&[0.3, 0.1, -0.5])
}

pub(crate) fn low() -> Vector {
    Vector::new(&[0.5, -0.2, 0.1])
}

/// A valley around `target` that is no parabola.
pub(crate) fn valley(x: Tensor<1>, target: Tensor<1>) -> Tensor<1> {
    let gap = x.clone() - target;
    square(gap.clone()).mul_scalar(0.5) + square(gap.clone() * gap).mul_scalar(0.1) + x.cos().sum().mul_scalar(0.1)
}

pub(crate) fn follow(low: &Vector, mid: &Vector, batch: Batch) -> Tensor<1> {
    valley(low.x.val(), mid.x.val().sin() + batch.mul_scalar(0.3))
}

pub(crate) fn follow_both(low: &Vector, mid: &Vector, top: &Vector, batch: Batch) -> Tensor<1> {
    valley(low.x.val(), mid.x.val().sin() * top.x.val().exp() + batch.mul_scalar(0.3))
}

pub(crate) fn follow_top(low: &Vector, top: &Vector, batch: Batch) -> Tensor<1> {
    valley(low.x.val(), top.x.val().sin() + batch.mul_scalar(0.3))
}

fn between(mid: &Vector, top: &Vector, low: &Vector, batch: Batch) -> Tensor<1> {
    let (mid, top, low) = (mid.x.val(), top.x.val(), low.x.val());
    valley(mid.clone(), top.clone())
        + (low.clone() * top.exp() * batch).sum().mul_scalar(0.3)
        + square(low * mid).mul_scalar(0.2)
}

fn between_alone(mid: &Vector, low: &Vector, batch: Batch) -> Tensor<1> {
    let (mid, low) = (mid.x.val(), low.x.val());
    valley(mid.clone(), batch) + square(low * mid.cos()).mul_scalar(0.4)
}

fn above(top: &Vector, mid: &Vector, batch: Batch) -> Tensor<1> {
    mid.x.val().exp().sum().mul_scalar(0.3) + square(top.x.val() - batch).mul_scalar(0.02)
}

pub(crate) fn above_both(top: &Vector, mid: &Vector, low: &Vector, batch: Batch) -> Tensor<1> {
    let (mid, low) = (mid.x.val(), low.x.val());
    (mid.clone().exp() * low.clone()).sum().mul_scalar(0.3)
        + square(low - mid).mul_scalar(0.2)
        + square(top.x.val() - batch).mul_scalar(0.02)
}

pub(crate) fn above_swapped(top: &Vector, low: &Vector, mid: &Vector, batch: Batch) -> Tensor<1> {
    above_both(top, mid, low, batch)
}

/// Three levels of one vector each, all of the middle and the lowest unrolled unless a config says otherwise.
macro_rules! program {
    ($name:ident, $data:ident, top: $top:tt $above:ident, mid: $mid:tt $between:ident, low: $low:tt $follow:ident) => {
        pub(crate) mod $name {
            use super::*;
            multilevel! {
                pub(crate) struct Run;
                level top: Vector { lower: $top, batch: Batch, loss: $above, optimizer: sgd(lr = 1.0) }
                level mid: Vector {
                    upper: $mid, lower: [low], batch: Batch, loss: $between, optimizer: sgd(lr = 0.3), unroll: 3,
                    hypergradient: unrolled,
                }
                level low: Vector {
                    upper: $low, batch: Batch, loss: $follow, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
                }
            }
            pub(crate) fn program() -> (Run, RunData) {
                let data = RunData { top: stream(0.1), mid: stream(0.5), low: stream(0.9) };
                (Run { top: top(), mid: mid(), low: low() }, data)
            }
        }
    };
}

program!(chain, ChainData, top: [mid] above, mid: [top] between, low: [mid] follow);
program!(triangle, TriangleData, top: [mid, low] above_both, mid: [top] between, low: [mid] follow);
program!(swapped, SwappedData, top: [low, mid] above_swapped, mid: [top] between, low: [mid] follow);
program!(chain_of_two_uppers, A, top: [mid] above, mid: [top] between, low: [mid, top] follow_both);
program!(two_uppers, B, top: [mid, low] above_both, mid: [top] between, low: [mid, top] follow_both);
program!(through_the_lowest, C, top: [mid, low] above_both, mid: [] between_alone, low: [mid, top] follow_both);
program!(only_through_the_lowest, D, top: [mid] above, mid: [] between_alone, low: [mid, top] follow_both);
program!(pipeline, E, top: [mid, low] above_both, mid: [] between_alone, low: [top] follow_top);
program!(pipeline_of_two_uppers, F, top: [mid, low] above_both, mid: [top] between, low: [top] follow_top);

fn follow_exactly(low: &Vector, mid: &Vector, batch: Batch) -> Tensor<1> {
    square(low.x.val() - mid.x.val().sin() - batch.mul_scalar(0.3)).mul_scalar(0.5)
}

fn follow_both_exactly(low: &Vector, mid: &Vector, top: &Vector, batch: Batch) -> Tensor<1> {
    square(low.x.val() - mid.x.val().sin() * top.x.val().exp() - batch.mul_scalar(0.3)).mul_scalar(0.5)
}

// One step of length 1 solves the lowest level.
program!(above_solved, G, top: [mid, low] above_both, mid: [top] between, low: [mid] follow_exactly);
program!(above_solved_of_two_uppers, H, top: [mid, low] above_both, mid: [top] between, low: [mid, top] follow_both_exactly);

/// Where the steps of both levels below begin, and what else they do.
pub(crate) const SETTINGS: [&str; 10] = [
    "{}",
    r#"{ "low": { "start": "initial" } }"#,
    r#"{ "mid": { "start": "initial" } }"#,
    r#"{ "mid": { "start": "initial" }, "low": { "start": "initial", "unroll": 3 } }"#,
    r#"{ "mid": { "optimizer": { "momentum": 0.5 } }, "low": { "optimizer": { "momentum": 0.6 } } }"#,
    r#"{ "low": { "optimizer": { "name": "adam", "lr": 0.1 }, "clip": { "norm": 0.3 }, "accumulate": 2 },
         "mid": { "accumulate": 2 } }"#,
    r#"{ "mid": { "optimizer": { "name": "adam", "lr": 0.1 }, "tasks": 2 }, "low": { "optimizer": { "momentum": 0.6 } } }"#,
    r#"{ "mid": { "unroll": 1 }, "low": { "unroll": 1 } }"#,
    r#"{ "mid": { "start": "look_ahead" }, "low": { "start": "look_ahead", "optimizer": { "momentum": 0.6 } } }"#,
    r#"{ "top": { "rounds": 2 }, "mid": { "rounds": 2, "unroll": 2 }, "low": { "optimizer": { "momentum": 0.6 } } }"#,
];

macro_rules! checked {
    ($($test:ident: $name:ident,)*) => {
        $(#[test]
        fn $test() {
            SETTINGS.iter().for_each(|json| check($name::program, json, 0, |problem| &mut problem.top));
        })*
    };
}

checked! {
    of_a_chain: chain,
    of_a_level_that_reads_both_below: triangle,
    of_a_level_that_reads_both_below_the_lowest_first: swapped,
    of_a_chain_whose_lowest_level_reads_both_above: chain_of_two_uppers,
    of_levels_that_all_read_each_other: two_uppers,
    of_a_path_through_the_lowest_level_only: through_the_lowest,
    of_a_path_through_the_lowest_level_only_that_is_not_read: only_through_the_lowest,
    of_steps_that_begin_where_others_lead: pipeline,
    of_steps_that_begin_where_others_lead_and_answer_too: pipeline_of_two_uppers,
}

/// Where the lowest level is solved for each step of the middle one.
const SOLVED: [&str; 3] = [
    r#"{ "low": { "optimizer": { "lr": 1.0 }, "unroll": 1, "hypergradient": { "method": "dense" } } }"#,
    r#"{ "low": { "optimizer": { "lr": 1.0 }, "unroll": 1, "hypergradient": { "method": "cg" } },
         "mid": { "optimizer": { "name": "adam", "lr": 0.1 }, "unroll": 4, "hypergradient": { "memory": 4 } } }"#,
    r#"{ "low": { "optimizer": { "lr": 1.0 }, "unroll": 1, "hypergradient": { "method": "dense" } },
         "mid": { "hypergradient": { "method": "forward" } } }"#,
];

#[test]
fn of_steps_above_a_level_that_is_solved() {
    SOLVED.iter().for_each(|json| check(above_solved::program, json, 0, |problem| &mut problem.top));
    SOLVED.iter().for_each(|json| check(above_solved_of_two_uppers::program, json, 0, |problem| &mut problem.top));
}

/// With the middle level's tangents going along with its steps.
pub(crate) fn forward(json: &str) -> String {
    let mut config: serde_json::Value = serde_json::from_str(json).unwrap();
    config["mid"]["hypergradient"]["method"] = "forward".into();
    config.to_string()
}

macro_rules! checked_forward {
    ($($test:ident: $name:ident,)*) => {
        $(#[test]
        fn $test() {
            for json in SETTINGS {
                compare($name::program, (&forward(json), json), 0, |problem| &mut problem.top);
            }
        })*
    };
}

checked_forward! {
    forward_of_a_chain: chain,
    forward_of_a_level_that_reads_both_below: triangle,
    forward_of_a_level_that_reads_both_below_the_lowest_first: swapped,
    forward_of_a_chain_whose_lowest_level_reads_both_above: chain_of_two_uppers,
    forward_of_levels_that_all_read_each_other: two_uppers,
    forward_of_a_path_through_the_lowest_level_only: through_the_lowest,
    forward_of_steps_that_begin_where_others_lead: pipeline,
    forward_of_steps_that_begin_where_others_lead_and_answer_too: pipeline_of_two_uppers,
}

fn adapt(low: &Vector, batch: Batch) -> Tensor<1> {
    valley(low.x.val(), batch)
}

mod started {
    use super::*;
    multilevel! {
        pub(super) struct Run;
        level top: Vector { lower: [mid, low], batch: Batch, loss: above_both, optimizer: sgd(lr = 1.0) }
        level mid: Vector {
            upper: [top], lower: [low], batch: Batch, loss: between, optimizer: sgd(lr = 0.3), unroll: 3,
            hypergradient: unrolled,
        }
        level low: Vector {
            start: from(mid), batch: Batch, loss: adapt, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 2,
            hypergradient: unrolled,
        }
    }
    pub(super) fn program() -> (Run, RunData) {
        let data = RunData { top: stream(0.1), mid: stream(0.5), low: stream(0.9) };
        (Run { top: top(), mid: mid(), low: low() }, data)
    }
}

mod started_at_the_top {
    use super::*;
    multilevel! {
        pub(super) struct Run;
        level top: Vector { lower: [mid, low], batch: Batch, loss: above_both, optimizer: sgd(lr = 1.0) }
        level mid: Vector {
            start: from(top), lower: [low], batch: Batch, loss: between_alone, optimizer: sgd(lr = 0.3), unroll: 3,
            hypergradient: unrolled,
        }
        level low: Vector {
            upper: [mid], batch: Batch, loss: follow, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 2,
            hypergradient: unrolled,
        }
    }
    pub(super) fn program() -> (Run, RunData) {
        let data = RunData { top: stream(0.1), mid: stream(0.5), low: stream(0.9) };
        (Run { top: top(), mid: mid(), low: low() }, data)
    }
}

#[test]
fn of_steps_that_start_at_another_level() {
    for json in [SETTINGS[0], &forward(SETTINGS[0])] {
        check(started::program, json, 0, |problem| &mut problem.top);
        check(started_at_the_top::program, json, 0, |problem| &mut problem.top);
    }
}

mod learned {
    use super::*;
    multilevel! {
        pub(super) struct Run;
        level top: Vector { lower: [mid, low], batch: Batch, loss: above_both, optimizer: sgd(lr = 1.0) }
        level mid: Vector {
            lower: [low], batch: Batch, loss: between_alone, optimizer: sgd(lr = sigmoid(top.x), momentum = 0.4), unroll: 3,
            hypergradient: unrolled,
        }
        level low: Vector {
            batch: Batch, loss: adapt, optimizer: sgd(lr = sigmoid(mid.x), momentum = 0.5), unroll: 2, hypergradient: unrolled,
        }
    }
    pub(super) fn program() -> (Run, RunData) {
        let data = RunData { top: stream(0.1), mid: stream(0.5), low: stream(0.9) };
        (Run { top: top(), mid: mid(), low: low() }, data)
    }
}

#[test]
fn of_steps_whose_numbers_are_learned() {
    for json in ["{}", r#"{ "low": { "start": "initial" } }"#, r#"{ "mid": { "start": "initial", "tasks": 2 } }"#] {
        check(learned::program, json, 0, |problem| &mut problem.top);
        check(learned::program, &forward(json), 0, |problem| &mut problem.top);
    }
}

fn judge(own: &Vector, mid: &Vector, batch: Batch) -> Tensor<1> {
    mid.x.val().exp().sum().mul_scalar(0.3) + square(own.x.val() - batch).mul_scalar(0.05)
}

mod two_roots {
    use super::*;
    multilevel! {
        pub(super) struct Run;
        level first: Vector { lower: [low], batch: Batch, loss: judge, optimizer: sgd(lr = 1.0) }
        level second: Vector { lower: [low], batch: Batch, loss: judge, optimizer: sgd(lr = 1.0) }
        level low: Vector {
            upper: [first, second], batch: Batch, loss: follow_both, optimizer: sgd(lr = 0.3, momentum = 0.5), unroll: 3,
            hypergradient: unrolled,
        }
    }
    pub(super) fn program() -> (Run, RunData) {
        let data = RunData { first: stream(0.1), second: stream(0.5), low: stream(0.9) };
        (Run { first: top(), second: mid(), low: low() }, data)
    }
}

#[test]
fn of_both_of_two_levels_above_one() {
    for json in [
        "{}",
        r#"{ "low": { "start": "initial" } }"#,
        r#"{ "low": { "hypergradient": { "method": "forward" } } }"#,
        r#"{ "low": { "hypergradient": { "method": "forward" }, "start": "initial" } }"#,
        r#"{ "low": { "start": "look_ahead" } }"#,
        r#"{ "low": { "hypergradient": { "method": "forward" }, "start": "look_ahead" } }"#,
    ] {
        check(two_roots::program, json, 0, |problem| &mut problem.first);
        check(two_roots::program, json, 1, |problem| &mut problem.second);
    }
}

/// Where the level below looks ahead, it does so once for both: both step at what it found under the parameters that both had, and its own
/// steps are taken again, on the next batches, under the new ones of both.
#[test]
fn of_two_levels_above_one_that_looks_ahead_both_see_where_it_looked() {
    let ahead = r#"{ "low": { "start": "look_ahead" } }"#;
    let told = |json: &str| {
        let steps = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&steps);
        let mut engine = engine(two_roots::program, json).observe(move |event| {
            if let Event::Step { level, loss, looks_ahead, .. } = event {
                log.borrow_mut().push((*level, *looks_ahead, *loss));
            }
        });
        engine.run(1).unwrap();
        let low: Vec<f64> = engine.into_problem().low.x.val().into_data().try_to_vec().unwrap();
        (steps.take(), low)
    };
    let (steps, low) = told(ahead);
    let levels: Vec<(usize, bool)> = steps.iter().map(|&(level, ahead, _)| (level, ahead)).collect();
    let (looked, real) = ((2, true), (2, false));
    assert_eq!(levels, [looked, looked, looked, (0, false), (1, false), real, real, real]);
    // Without looking ahead both see the same answer.
    let (kept, _) = told("{}");
    let losses = |steps: &[(usize, bool, f64)]| -> Vec<f64> { steps[..5].iter().map(|&(.., loss)| loss).collect() };
    assert_eq!(losses(&steps), losses(&kept));
    // The steps that count: by hand, from the first parameters, under what both have become, on the batches after those.
    let mut both = engine(two_roots::program, ahead);
    both.run(1).unwrap();
    let two_roots::Run { first, second, .. } = both.into_problem();
    let still = r#"{ "first": { "warmup": 9 }, "second": { "warmup": 9 } }"#;
    let (problem, mut data) = two_roots::program();
    data.low = stream_from(0.9, 3);
    let config = two_roots::RunConfig::from_json(still).unwrap();
    let problem = two_roots::Run { first, second, ..problem };
    let mut alone = Engine::new(problem, data, config).unwrap();
    alone.run(1).unwrap();
    let expected: Vec<f64> = alone.into_problem().low.x.val().into_data().try_to_vec().unwrap();
    assert_eq!(low, expected);
}

/// A level that only warms up lets the steps count that are taken for the other.
#[test]
fn of_two_levels_above_one_that_looks_ahead_one_may_still_warm_up() {
    for (cold, warm) in [("first", 1), ("second", 0)] {
        let json = format!(r#"{{ "low": {{ "start": "look_ahead" }}, "{cold}": {{ "warmup": 9 }} }}"#);
        let steps = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&steps);
        let mut engine = engine(two_roots::program, &json).observe(move |event| {
            if let Event::Step { level, looks_ahead, .. } = event {
                log.borrow_mut().push((*level, *looks_ahead));
            }
        });
        engine.run(2).unwrap();
        let (looked, real) = ((2, true), (2, false));
        assert_eq!(steps.take(), [looked, looked, looked, (warm, false), real, real, real].repeat(2), "{cold}");
    }
}

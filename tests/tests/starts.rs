//! Where a level's steps begin: kept, initial, looking ahead, or at another level's parameters (meta-learning).
//!
//! The lower level moves from θ towards `a + λ` by gradient descent on `½‖θ − a − λ‖²`, so that T steps of length α end at
//! `a + λ + (1 − α)ᵀ(θ₀ − a − λ)` and everything has a closed form.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use betty_runtime::error::rules::Violation;
use betty_runtime::{ConflictError, StartError};
use betty_tests::vectors::tensor;
use std::io;

use betty_runtime::{ConfigError, Engine, EngineError, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

const ALPHA: f64 = 0.3;
const STEPS: i32 = 4;

#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
}

impl Point {
    fn new(values: &[f64]) -> Self {
        Point { x: Param::from_tensor(tensor(values)) }
    }

    fn values(&self) -> Vec<f64> {
        self.x.val().into_data().try_to_vec().unwrap()
    }
}

type Target = Tensor<1>;

fn half_square(x: Tensor<1>) -> Tensor<1> {
    (x.clone() * x).sum().mul_scalar(0.5)
}

fn adapt(point: &Point, a: Target) -> Tensor<1> {
    half_square(point.x.val() - a)
}

fn adapted(_meta: &Point, point: &Point, b: Target) -> Tensor<1> {
    half_square(point.x.val() - b)
}

fn driven(point: &Point, shift: &Point, a: Target) -> Tensor<1> {
    half_square(point.x.val() - a - shift.x.val())
}

multilevel! {
    /// Meta-learning: the tasks' points start from the meta-point.
    struct Meta;

    level meta: Point { lower: [point], batch: Target, loss: adapted, optimizer: sgd(lr = 1.0), tasks: 3 }
    level point: Point {
        start: from(meta), batch: Target, loss: adapt, optimizer: sgd(lr = 0.3), unroll: 4, hypergradient: unrolled,
    }
}

multilevel! {
    struct Shifted;

    level shift: Point { lower: [point], batch: Target, loss: adapted, optimizer: sgd(lr = 0.5) }
    level point: Point {
        upper: [shift], batch: Target, loss: driven, optimizer: sgd(lr = 0.3), unroll: 4, hypergradient: unrolled,
    }
}

/// `kept` of the distance to `target` is left after all steps.
fn ended(target: &[f64], start: &[f64]) -> Vec<f64> {
    let kept = (1.0 - ALPHA).powi(STEPS);
    target.iter().zip(start).map(|(target, start)| target + kept * (start - target)).collect()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert!(found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-13), "{found:?} is not {expected:?}");
}

const META: [f64; 2] = [0.4, -1.1];
const SUPPORT: [[f64; 2]; 3] = [[1.0, 2.0], [-0.5, 0.25], [3.0, -1.0]];
const QUERY: [[f64; 2]; 3] = [[1.5, 2.5], [0.5, 0.0], [2.0, -3.0]];

#[test]
fn a_meta_step_averages_over_tasks_that_start_from_the_meta_point() {
    // Each task has one target for all its steps, and one query.
    let support = SUPPORT.iter().flat_map(|a| std::iter::repeat_n(a, STEPS as usize));
    let support: Vec<_> = support.map(|a| Ok::<_, io::Error>(tensor(a))).collect();
    let query: Vec<_> = QUERY.iter().map(|b| Ok::<_, io::Error>(tensor(b))).collect();
    let data = MetaData { meta: Stream::batches(query), point: Stream::batches(support) };
    let problem = Meta { meta: Point::new(&META), point: Point::new(&[9.0, 9.0]) };
    let mut engine = Engine::new(problem, data, MetaConfig::default()).unwrap();
    engine.run(1).unwrap();
    // dC/dφ = (1 − α)ᵀ(θ_T − b), averaged.
    let kept = (1.0 - ALPHA).powi(STEPS);
    let mut expected = META.to_vec();
    for (a, b) in SUPPORT.iter().zip(&QUERY) {
        let theta = ended(a, &META);
        (0..2).for_each(|i| expected[i] -= kept * (theta[i] - b[i]) / 3.0);
    }
    let trained = engine.into_problem();
    assert_close(&trained.meta.values(), &expected);
    assert_close(&trained.point.values(), &ended(&SUPPORT[2], &META));
}

#[test]
fn truncated_steps_that_do_not_reach_back_to_the_start_are_refused() {
    let data = MetaData { meta: Stream::constant(tensor(&QUERY[0])), point: Stream::constant(tensor(&SUPPORT[0])) };
    let problem = Meta { meta: Point::new(&META), point: Point::new(&META) };
    let config = MetaConfig::from_json(r#"{ "point": { "hypergradient": { "truncate": 3 } } }"#).unwrap();
    let error = Engine::new(problem, data, config).err().unwrap();
    assert!(
        matches!(
            error,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                rule: Violation::StartCut { truncate: 3, .. },
                ..
            }))
        ),
        "{error}"
    );
}

const SHIFT: [f64; 2] = [0.2, -0.3];
const A: [f64; 2] = [1.0, -2.0];
const B: [f64; 2] = [0.3, 0.8];
const THETA: [f64; 2] = [-0.6, 0.9];

fn plus(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x + y).collect()
}

/// The shift after a step: dθ_T/dλ = 1 − (1 − α)ᵀ.
fn shifted(shift: &[f64], start: &[f64]) -> Vec<f64> {
    let moved = 1.0 - (1.0 - ALPHA).powi(STEPS);
    let theta = ended(&plus(&A, shift), start);
    (0..2).map(|i| shift[i] - 0.5 * moved * (theta[i] - B[i])).collect()
}

fn run(start: &str, iterations: u64) -> Shifted {
    let problem = Shifted { shift: Point::new(&SHIFT), point: Point::new(&THETA) };
    let data = ShiftedData { shift: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
    let config = format!(r#"{{ "point": {{ "start": "{start}" }} }}"#);
    let mut engine = Engine::new(problem, data, ShiftedConfig::from_json(&config).unwrap()).unwrap();
    engine.run(iterations).unwrap();
    engine.into_problem()
}

#[test]
fn a_level_starts_where_it_ended_unless_told_otherwise() {
    let trained = run("kept", 2);
    let first = shifted(&SHIFT, &THETA);
    let middle = ended(&plus(&A, &SHIFT), &THETA);
    assert_close(&trained.shift.values(), &shifted(&first, &middle));
    assert_close(&trained.point.values(), &ended(&plus(&A, &first), &middle));
}

#[test]
fn a_level_starts_anew() {
    let trained = run("initial", 2);
    let first = shifted(&SHIFT, &THETA);
    assert_close(&trained.shift.values(), &shifted(&first, &THETA));
    assert_close(&trained.point.values(), &ended(&plus(&A, &first), &THETA));
}

#[test]
fn a_level_looks_ahead_and_takes_its_steps_again() {
    let trained = run("look_ahead", 2);
    let first = shifted(&SHIFT, &THETA);
    // The steps that count are taken under the new shift.
    let middle = ended(&plus(&A, &first), &THETA);
    let second = shifted(&first, &middle);
    assert_close(&trained.shift.values(), &second);
    assert_close(&trained.point.values(), &ended(&plus(&A, &second), &middle));
}

#[test]
fn a_level_that_looked_ahead_stands_where_it_was_after_an_error() {
    // The level above has data for its first step only.
    let once = vec![Ok::<_, io::Error>(tensor(&B))];
    let problem = Shifted { shift: Point::new(&SHIFT), point: Point::new(&THETA) };
    let data = ShiftedData { shift: Stream::batches(once), point: Stream::constant(tensor(&A)) };
    let config = ShiftedConfig::from_json(r#"{ "point": { "start": "look_ahead" } }"#).unwrap();
    let mut engine = Engine::new(problem, data, config).unwrap();
    engine.run(1).unwrap();
    let before = engine.problem().point.values();
    assert!(matches!(engine.run(1), Err(EngineError::OutOfData { .. })));
    assert_eq!(engine.problem().point.values(), before);
}

#[test]
fn every_task_looks_ahead_from_the_same_place() {
    let problem = Shifted { shift: Point::new(&SHIFT), point: Point::new(&THETA) };
    let data = ShiftedData { shift: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
    let config = r#"{ "shift": { "tasks": 3 }, "point": { "start": "look_ahead" } }"#;
    let mut engine = Engine::new(problem, data, ShiftedConfig::from_json(config).unwrap()).unwrap();
    engine.run(1).unwrap();
    // Three equal tasks are one, and the steps that count begin at the first place.
    let first = shifted(&SHIFT, &THETA);
    let trained = engine.into_problem();
    assert_close(&trained.shift.values(), &first);
    assert_close(&trained.point.values(), &ended(&plus(&A, &first), &THETA));
}

#[derive(Module, Debug)]
struct BodyAndHead {
    body: Param<Tensor<1>>,
    head: Param<Tensor<1>>,
}

fn output(change: &Point, meta: &BodyAndHead) -> Tensor<1> {
    meta.body.val() + meta.head.val() + change.x.val()
}

fn adapt_head(change: &Point, meta: &BodyAndHead, a: Target) -> Tensor<1> {
    half_square(output(change, meta) - a)
}

fn head_adapted(meta: &BodyAndHead, change: &Point, b: Target) -> Tensor<1> {
    half_square(output(change, meta) - b)
}

multilevel! {
    /// Meta-learning in which only the head is adapted: the lower level holds what is added to it.
    struct HeadOnly;

    level meta: BodyAndHead { lower: [change], batch: Target, loss: head_adapted, optimizer: sgd(lr = 1.0) }
    level change: Point {
        upper: [meta], start: initial, batch: Target, loss: adapt_head, optimizer: sgd(lr = 0.3), unroll: 4,
        hypergradient: unrolled,
    }
}

#[test]
fn a_part_is_adapted_by_what_is_added_to_it() {
    let parameter = |values: &[f64]| Param::from_tensor(tensor(values));
    let meta = BodyAndHead { body: parameter(&SHIFT), head: parameter(&META) };
    let data = HeadOnlyData { meta: Stream::constant(tensor(&B)), change: Stream::constant(tensor(&A)) };
    let problem = HeadOnly { meta, change: Point::new(&[0.0, 0.0]) };
    let mut engine = Engine::new(problem, data, HeadOnlyConfig::default()).unwrap();
    engine.run(2).unwrap();
    let trained = engine.into_problem().meta;
    // The output ends at a + k·(body + head − a), with k = (1 − α)ᵀ: both get k times the residual.
    let kept = (1.0 - ALPHA).powi(STEPS);
    let (mut body, mut head) = (SHIFT, META);
    for _ in 0..2 {
        let ended = ended(&A, &plus(&body, &head));
        (0..2).for_each(|i| body[i] -= kept * (ended[i] - B[i]));
        (0..2).for_each(|i| head[i] -= kept * (ended[i] - B[i]));
    }
    let values = |parameter: &Param<Tensor<1>>| parameter.val().into_data().try_to_vec::<f64>().unwrap();
    assert_close(&values(&trained.body), &body);
    assert_close(&values(&trained.head), &head);
}

#[test]
fn modules_that_differ() {
    let problem = Meta { meta: Point::new(&META), point: Point::new(&[0.0, 0.0, 0.0]) };
    let data = MetaData { meta: Stream::constant(tensor(&A)), point: Stream::constant(tensor(&A)) };
    let error = Engine::new(problem, data, MetaConfig::default()).err().unwrap();
    assert!(matches!(&error, EngineError::Start(StartError::Mismatch { level, .. }) if level == "point"), "{error}");
    assert!(error.to_string().contains("[3]") && error.to_string().contains("[2]"), "{error}");
}

#[test]
fn a_start_that_the_program_does_not_name() {
    let problem = Shifted { shift: Point::new(&SHIFT), point: Point::new(&THETA) };
    let data = ShiftedData { shift: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
    let config = ShiftedConfig::from_json(r#"{ "point": { "start": "from" } }"#).unwrap();
    let error = Engine::new(problem, data, config).err().unwrap();
    assert!(matches!(error, EngineError::Config(ConfigError::Conflict(ConflictError::StartUnknown { .. }))), "{error}");
}

#[test]
fn a_method_that_does_not_see_the_start() {
    let problem = Meta { meta: Point::new(&META), point: Point::new(&META) };
    let data = MetaData { meta: Stream::constant(tensor(&A)), point: Stream::constant(tensor(&A)) };
    let config = MetaConfig::from_json(r#"{ "point": { "hypergradient": { "method": "cg" } } }"#).unwrap();
    let error = Engine::new(problem, data, config).err().unwrap();
    assert!(
        matches!(
            error,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                rule: Violation::StartUnseen { .. },
                ..
            }))
        ),
        "{error}"
    );
}

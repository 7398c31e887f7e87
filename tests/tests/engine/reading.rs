//! What is read from the device: as many numbers as `explain` says, whatever a level's parameters are divided into.
//!
//! Tensors of 16 bits are no host memory to betty, so every transfer of theirs is one that any other device would wait for.

use betty_runtime::execute::reads;
use betty_runtime::{Engine, Event, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use super::finite::{Point, point, tensor};

/// How many tensors the lower level has.
const TENSORS: usize = 12;

#[derive(Module, Debug)]
struct Parts {
    parts: Vec<Param<Tensor<1>>>,
}

/// A quadratic with a spread of eigenvalues, so that no solver is done early.
fn below(low: &Parts, high: &Point, _batch: ()) -> Tensor<1> {
    let terms = low.parts.iter().enumerate().map(|(k, x)| {
        let x = x.val();
        (x.clone() * high.x.val()).sum() + x.square().sum() * (0.25 + 0.125 * k as f64)
    });
    terms.reduce(|sum, term| sum + term).expect("there are parts")
}

fn above(high: &Point, low: &Parts, _batch: ()) -> Tensor<1> {
    let terms = low.parts.iter().enumerate().map(|(k, x)| x.val().sum() * (1.0 + k as f64));
    terms.reduce(|sum, term| sum + term).expect("there are parts") + high.x.val().square().sum() * 0.5
}

multilevel! {
    struct Divided;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    level low: Parts { upper: [high], batch: (), loss: below, optimizer: sgd(lr = 0.1), hypergradient: cg(iterations = 3) }
}

fn prepared(low: &Point, high: &Point, _batch: ()) -> Tensor<1> {
    (low.x.val() - high.x.val()).square().sum() * 0.5
}

fn adapted(tuned: &Point, low: &Point, _batch: ()) -> Tensor<1> {
    (tuned.x.val() - low.x.val().exp()).square().sum() * 0.5
}

fn judged(high: &Point, tuned: &Point, low: &Point, _batch: ()) -> Tensor<1> {
    tuned.x.val().square().sum() + low.x.val().sum() + high.x.val().square().sum() * 0.5
}

multilevel! {
    /// Tangents of one level go along with the steps of another, and the uppermost level reads both.
    struct Led;

    level high: Point { lower: [tuned, low], batch: (), loss: judged, optimizer: sgd(lr = 0.1) }
    level tuned: Point {
        lower: [low], batch: (), loss: adapted, optimizer: sgd(lr = 0.2), unroll: 3, hypergradient: forward,
    }
    level low: Point {
        upper: [high], batch: (), loss: prepared, optimizer: sgd(lr = 0.3), unroll: 2, hypergradient: unrolled,
    }
}

fn alone(low: &Point, _rate: &Point, _batch: ()) -> Tensor<1> {
    (low.x.val() - 1.0).square().sum() * 0.5
}

fn reached(rate: &Point, low: &Point, _batch: ()) -> Tensor<1> {
    (low.x.val() - 0.25).square().sum() + rate.x.val().square().sum() * 1e-3
}

multilevel! {
    struct Rated;

    level rate: Point { lower: [low], batch: (), loss: reached, optimizer: sgd(lr = 0.01) }
    level low: Point {
        upper: [rate], batch: (), loss: alone, optimizer: sgd(lr = exp(rate.x)), unroll: 2, start: initial,
        hypergradient: unrolled,
    }
}

fn divided(config: &str) -> Engine<Divided> {
    let part = || Param::from_tensor(tensor(&[0.5, -0.25], DType::F16));
    let problem =
        Divided { high: point(&[1.0, 0.5], DType::F16), low: Parts { parts: (0..TENSORS).map(|_| part()).collect() } };
    let data = DividedData { high: Stream::constant(()), low: Stream::constant(()) };
    Engine::new(problem, data, DividedConfig::from_json(config).unwrap()).unwrap()
}

/// What `explain` says, and what was counted, with this method.
fn said_and_counted(method: &str) -> (u64, u64) {
    let mut engine = divided(&format!(r#"{{"low": {{"hypergradient": {method}}}}}"#));
    engine.run(1).unwrap();
    let said = engine.explain().unwrap().levels[0].reads;
    let before = reads();
    engine.gradient("high").unwrap();
    (said, reads() - before)
}

/// Methods, and how many reads a hypergradient takes with them.
const METHODS: [(&str, u64); 18] = [
    // A loss, a norm, and everything of eight iterations at once.
    (r#"{"method": "cg", "iterations": 3, "tolerance": 0.0}"#, 3),
    (r#"{"method": "minres", "iterations": 3, "tolerance": 0.0}"#, 3),
    (r#"{"method": "neumann", "terms": 4, "step_size": 0.1}"#, 3),
    (r#"{"method": "neumann", "terms": 20, "step_size": 0.1}"#, 5),
    (r#"{"method": "finite_difference", "perturbation": 0.1}"#, 3),
    (r#"{"method": "identity", "scale": 1.0}"#, 2),
    // What is pulled back through the step, and the length of the difference.
    (r#"{"method": "sama", "perturbation": 0.1}"#, 4),
    (r#"{"method": "nystrom", "rank": 2, "damping": 1.0}"#, 9),
    (r#"{"method": "nystrom", "rank": 6, "damping": 1.0}"#, 9),
    // A length for each of ten steps and of both differences above, and what ten terms leave, in two transfers.
    (r#"{"method": "penalty"}"#, 16),
    // The columns of 24 numbers, eight in one transfer.
    (r#"{"method": "dense"}"#, 8),
    (r#"{"method": "unrolled"}"#, 2),
    // What every direction came to, in one transfer.
    (r#"{"method": "forward"}"#, 3),
    (r#"{"method": "forward_gradient", "directions": 1}"#, 3),
    (r#"{"method": "forward_gradient", "directions": 20}"#, 3),
    (r#"{"method": "evolution", "pairs": 1, "sigma": 0.1}"#, 3),
    (r#"{"method": "evolution", "pairs": 5, "sigma": 0.1}"#, 3),
    // A vector is held against the others once or twice.
    (r#"{"method": "gmres", "iterations": 3, "tolerance": 0.0}"#, 0),
];

#[test]
fn a_question_reads_what_explain_says() {
    let is_among = |name: &str| METHODS.iter().any(|(method, _)| method.contains(&format!(r#""method": "{name}""#)));
    // A method of one's own reads what it likes.
    let rows = betty_schema::METHODS.rows.iter().filter(|row| row.name != "custom");
    let missing: Vec<&str> = rows.map(|row| row.name).filter(|name| !is_among(name)).collect();
    assert!(missing.is_empty(), "nobody has counted what these read: {missing:?}");
    for (method, expected) in METHODS.into_iter().filter(|(_, expected)| *expected > 0) {
        assert_eq!(said_and_counted(method), (expected, expected), "{method}");
    }
}

#[test]
fn what_explain_says_is_a_bound_where_the_numbers_decide() {
    // A vector is held against the others once or twice.
    let (said, counted) = said_and_counted(r#"{"method": "gmres", "iterations": 3, "tolerance": 0.0}"#);
    assert!(counted <= said && said <= 2 * counted, "{said} {counted}");
}

#[test]
fn steps_read_what_explain_says() {
    for (config, expected) in [
        (r#"{"low": {"unroll": 2}}"#, 2 + 3),
        (r#"{"low": {"accumulate": 3}}"#, 4 + 3),
        (r#"{"high": {"accumulate": 2}}"#, 1 + 2 * 3 + 1),
        (r#"{"high": {"tasks": 2}, "low": {"start": "initial"}}"#, 2 + 2 * 3 + 1),
        (
            r#"{"high": {"tasks": 2, "vectorize": true}, "low": {"start": "initial", "hypergradient": {"method": "unrolled"}}}"#,
            2,
        ),
    ] {
        let mut engine = divided(config);
        engine.run(1).unwrap();
        let levels = engine.explain().unwrap().levels;
        let said: u64 =
            levels.iter().filter(|level| level.within.is_none()).map(|level| level.steps * level.reads).sum();
        let before = reads();
        engine.run(1).unwrap();
        assert_eq!((said, reads() - before), (expected, expected), "{config}");
    }
}

#[test]
fn tangents_that_follow_other_steps_are_read_once() {
    let at = |values: &[f64]| point(values, DType::F16);
    let problem = Led { high: at(&[1.0, 0.5]), tuned: at(&[0.25, -0.5]), low: at(&[0.5, -0.25]) };
    let data = LedData { high: Stream::constant(()), tuned: Stream::constant(()), low: Stream::constant(()) };
    let mut engine = Engine::new(problem, data, LedConfig::default()).unwrap();
    engine.run(1).unwrap();
    let said = engine.explain().unwrap().levels[0].reads;
    let before = reads();
    engine.gradient("high").unwrap();
    assert_eq!((said, reads() - before), (3, 3));
}

/// Whoever is told a rate that is learned does not wait for it.
#[test]
fn observers_add_no_reads() {
    let counted = |json: &str, every: u64, is_observed: bool| {
        let problem = Rated { rate: point(&[-2.0], DType::F16), low: point(&[0.5, -0.25], DType::F16) };
        let data = RatedData { rate: Stream::constant(()), low: Stream::constant(()) };
        let engine = Engine::new(problem, data, RatedConfig::from_json(json).unwrap()).unwrap();
        let mut engine = engine.unread("low", "rate").unwrap().read_every(every);
        if is_observed {
            engine = engine.observe(|event| {
                if let Event::Step { name: "low", learning_rate, .. } = event {
                    assert!((learning_rate.ln() + 2.0).abs() < 0.5, "{learning_rate}");
                }
            });
        }
        engine.run(1).unwrap();
        let before = reads();
        engine.run(8).unwrap();
        reads() - before
    };
    for json in ["{}", r#"{"rate": {"tasks": 2}}"#, r#"{"rate": {"tasks": 2, "vectorize": true}}"#] {
        for every in [1, 8] {
            assert_eq!(counted(json, every, true), counted(json, every, false), "{json} every {every}");
        }
    }
}

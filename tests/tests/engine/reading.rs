//! What is read from the device: as many numbers as `explain` says, whatever a level's parameters are divided into.
//!
//! Tensors of 16 bits are no host memory to betty, so every transfer of theirs is one that any other device would wait for.

use betty_runtime::execute::reads;
use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
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

#[test]
fn a_question_reads_what_explain_says() {
    for (method, expected) in [
        // A loss, a norm, and everything of eight iterations at once.
        (r#"{"method": "cg", "iterations": 3, "tolerance": 0.0}"#, 3),
        (r#"{"method": "minres", "iterations": 3, "tolerance": 0.0}"#, 3),
        (r#"{"method": "neumann", "terms": 4, "step_size": 0.1}"#, 3),
        (r#"{"method": "neumann", "terms": 20, "step_size": 0.1}"#, 5),
        (r#"{"method": "finite_difference", "perturbation": 0.1}"#, 3),
        (r#"{"method": "identity", "scale": 1.0}"#, 2),
        (r#"{"method": "nystrom", "rank": 2, "damping": 1.0}"#, 9),
        (r#"{"method": "nystrom", "rank": 6, "damping": 1.0}"#, 9),
        // A length for each of ten steps and of both differences above, and what ten terms leave, in two transfers.
        (r#"{"method": "penalty"}"#, 16),
        // The columns of 24 numbers, eight in one transfer.
        (r#"{"method": "dense"}"#, 8),
    ] {
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

//! Learned decay of parameters that the loss of their level reads through the levels below only, or on some of its batches only: a
//! step decays them like all others.

use std::convert::Infallible;

use betty_runtime::{Batch, Engine, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

const B: f64 = 1.4;
const C: f64 = 0.3;
const LOG_DECAY: [f64; 3] = [-0.6, 0.3, 0.2];

/// What the level below reads, what the level's own loss reads, and what nothing reads.
#[derive(Module, Debug)]
struct Parts {
    through: Param<Tensor<1>>,
    own: Param<Tensor<1>>,
    idle: Param<Tensor<1>>,
}

impl Parts {
    fn new([through, own, idle]: [f64; 3]) -> Self {
        Parts { through: parameter(&[through]), own: parameter(&[own]), idle: parameter(&[idle]) }
    }

    fn values(&self) -> [f64; 3] {
        [&self.through, &self.own, &self.idle].map(|part| values(part)[0])
    }
}

type Point = Param<Tensor<1>>;

fn judge(_decay: &Parts, parts: &Parts, _: ()) -> Tensor<1> {
    let [through, own, idle] = [&parts.through, &parts.own, &parts.idle].map(|part| (part.val() - C).square() * 0.5);
    through + own + idle
}

fn tune(parts: &Parts, point: &Point, _: ()) -> Tensor<1> {
    ((point.val() - B).square() + (parts.own.val() - B).square()) * 0.5
}

fn follow(point: &Point, parts: &Parts, _: ()) -> Tensor<1> {
    (point.val() - parts.through.val()).square() * 0.5
}

multilevel! {
    struct Chain;

    level decay: Parts { lower: [parts], batch: (), loss: judge, optimizer: sgd(lr = 1e-300) }
    level parts: Parts {
        lower: [point], batch: (), loss: tune, unroll: 120, hypergradient: cg(iterations = 6),
        optimizer: sgd(lr = 0.4, weight_decay = exp(decay)),
    }
    level point: Point {
        upper: [parts], batch: (), loss: follow, unroll: 1, hypergradient: cg(iterations = 2), optimizer: sgd(lr = 1.0),
    }
}

fn chain(json: &str) -> Engine<Chain> {
    let problem = Chain { decay: Parts::new(LOG_DECAY), parts: Parts::new([0.2, 0.9, 0.7]), point: parameter(&[0.0]) };
    let stream = || Stream::constant(());
    let data = ChainData { decay: stream(), parts: stream(), point: stream() };
    Engine::new(problem, data, ChainConfig::from_json(json).unwrap()).unwrap()
}

#[track_caller]
fn assert_close<const N: usize>(found: &[f64], expected: [f64; N], what: &str) {
    assert!((0..N).all(|i| (found[i] - expected[i]).abs() < 1e-8), "{what}: {found:?} is not {expected:?}");
}

/// `x* = m`, so `m* = b/(1 + δ)` and `dm*/d(log δ) = −δb/(1 + δ)²`, for what is read through `x` as for what is read directly.
#[test]
fn a_decay_is_learned_through_the_levels_below() {
    let decay = LOG_DECAY.map(f64::exp);
    let rest = [0, 1].map(|i| B / (1.0 + decay[i]));
    let slope = |i: usize| -(rest[i] - C) * decay[i] * B / (1.0 + decay[i]).powi(2);
    for json in [
        "{}",
        r#"{ "parts": { "hypergradient": { "method": "dense" } } }"#,
        r#"{ "parts": { "hypergradient": { "method": "minres" } } }"#,
        r#"{ "parts": { "hypergradient": { "method": "gmres" } } }"#,
        r#"{ "parts": { "hypergradient": { "method": "neumann", "terms": 300, "step_size": 0.3 } } }"#,
        r#"{ "point": { "hypergradient": { "method": "unrolled" } } }"#,
        r#"{ "decay": { "solve": { "name": "joint", "tolerance": 1e-14 } } }"#,
        r#"{ "decay": { "solve": { "name": "inexact", "tolerance": 1e-13 } } }"#,
        // Independent of all that: through the steps.
        r#"{ "parts": { "hypergradient": { "method": "unrolled" } } }"#,
    ] {
        let mut engine = chain(json);
        engine.run(1).unwrap();
        assert_close(&engine.problem().parts.values(), [rest[0], rest[1], 0.7], json);
        let found = engine.gradient("decay").unwrap().gradient.to_vec().unwrap();
        assert_close(&found, [slope(0), slope(1), 0.0], json);
    }
}

/// The level is told to stand where its decaying steps come to rest.
#[test]
fn what_is_read_through_levels_below_decays_where_the_level_is_judged() {
    let mut engine = chain("{}");
    engine.run(1).unwrap();
    let check = engine.verify_hypergradient("decay").unwrap();
    assert!(check.relative_error < 1e-9, "{check}");
    for response in &check.responses {
        assert!(response.gradient_norm < 1e-9 && response.distance < 1e-9, "{check}");
    }
}

/// While `x` stands still, nothing but the decay bends the level along `m`: `dm*/d(log δ) = −m`.
#[test]
fn a_level_whose_levels_below_stand_still_keeps_its_decay() {
    let rest = B / (1.0 + LOG_DECAY[0].exp());
    let mut engine = chain(r#"{ "parts": { "curvature": "partial" } }"#);
    engine.run(1).unwrap();
    let found = engine.gradient("decay").unwrap().gradient.to_vec().unwrap();
    assert!((found[0] + (rest - C) * rest).abs() < 1e-8, "{found:?}");
}

/// A batch for one head or for the other.
#[derive(Batch, Clone)]
struct Sample {
    first: Option<Tensor<1>>,
    second: Option<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Heads {
    first: Point,
    second: Point,
}

fn fit(heads: &Heads, sample: Sample) -> Tensor<1> {
    match (sample.first, sample.second) {
        (Some(of), _) => (heads.first.val() - of).square() * 0.5,
        (_, Some(of)) => (heads.second.val() - of).square() * 0.5,
        (None, None) => unreachable!("a sample has one of both"),
    }
}

fn judge_heads(_decay: &Point, heads: &Heads, _: ()) -> Tensor<1> {
    ((heads.first.val() - C).square() + (heads.second.val() - C).square()) * 0.5
}

multilevel! {
    struct Tasks;

    level decay: Point { lower: [heads], batch: (), loss: judge_heads, optimizer: sgd(lr = 1e-300) }
    level heads: Heads {
        batch: Sample, loss: fit, accumulate: 2, unroll: 150, hypergradient: cg(iterations = 4),
        optimizer: sgd(lr = 0.4, weight_decay = exp(decay)),
    }
}

/// A step averages a batch of each kind, so a head sees half of its own loss and all of its decay: `h* = a/(1 + 2δ)`.
#[test]
fn a_step_decays_what_only_some_of_its_batches_read() {
    let (delta, targets) = (LOG_DECAY[0].exp(), [1.5, -0.7]);
    let rest = targets.map(|a| a / (1.0 + 2.0 * delta));
    let exact: f64 = (0..2).map(|i| -(rest[i] - C) * targets[i] * 2.0 * delta / (1.0 + 2.0 * delta).powi(2)).sum();
    let batches = move || {
        let of = |i: usize| Some(tensor(&[targets[i]]));
        [Sample { first: of(0), second: None }, Sample { first: None, second: of(1) }]
    };
    for method in [r#"{ "method": "cg" }"#, r#"{ "method": "dense" }"#, r#"{ "method": "unrolled" }"#] {
        let json = format!(r#"{{ "heads": {{ "hypergradient": {method} }} }}"#);
        let heads = Heads { first: parameter(&[0.1]), second: parameter(&[0.4]) };
        let problem = Tasks { decay: parameter(&LOG_DECAY[..1]), heads };
        let heads = Stream::epochs(move |_| batches().into_iter().map(Ok::<_, Infallible>));
        let data = TasksData { decay: Stream::constant(()), heads };
        let mut engine = Engine::new(problem, data, TasksConfig::from_json(&json).unwrap()).unwrap();
        engine.run(1).unwrap();
        let Heads { first, second } = &engine.problem().heads;
        assert_close(&[values(first)[0], values(second)[0]], rest, method);
        let found = engine.gradient("decay").unwrap().gradient.to_vec().unwrap();
        assert_close(&found, [exact], method);
        if !method.contains("unrolled") {
            let check = engine.verify_hypergradient("decay").unwrap();
            assert!(check.responses[0].gradient_norm < 1e-9, "{check}");
        }
    }
}

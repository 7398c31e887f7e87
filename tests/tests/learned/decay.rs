//! A learned weight decay changes best responses, so every method sees it: `θ + δθ = a` where `c = ½‖θ − a‖²`.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
}

const A: [f64; 2] = [1.0, -2.0];
const B: [f64; 2] = [0.3, 0.8];
const LOG_DECAY: [f64; 2] = [-0.5, 0.4];

fn to_a(point: &Point, a: Tensor<1>) -> Tensor<1> {
    (point.x.val() - a).square().sum() * 0.5
}

/// Its centre is learned as well: `½‖θ − a·d‖²`.
fn to_centre(point: &Point, decay: &Point, a: Tensor<1>) -> Tensor<1> {
    (point.x.val() - a * decay.x.val()).square().sum() * 0.5
}

fn judged(_decay: &Point, point: &Point, b: Tensor<1>) -> Tensor<1> {
    (point.x.val() - b).square().sum() * 0.5
}

multilevel! {
    /// Learns how much each entry decays, and nothing else.
    struct Decayed;

    level decay: Point { lower: [point], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 1e-300) }
    level point: Point {
        batch: Tensor<1>, loss: to_a, optimizer: sgd(lr = 0.3, momentum = 0.4, weight_decay = exp(decay.x)),
        unroll: 300, hypergradient: cg(iterations = 3),
    }
}

multilevel! {
    /// The loss reads what the decay is made of.
    struct Both;

    level decay: Point { lower: [point], batch: Tensor<1>, loss: judged, optimizer: sgd(lr = 1e-300) }
    level point: Point {
        upper: [decay], batch: Tensor<1>, loss: to_centre, optimizer: sgd(lr = 0.3, weight_decay = exp(decay.x)),
        unroll: 300, hypergradient: cg(iterations = 3),
    }
}

const METHODS: [&str; 7] = [
    r#"{ "method": "cg" }"#,
    r#"{ "method": "minres" }"#,
    r#"{ "method": "gmres" }"#,
    r#"{ "method": "dense" }"#,
    r#"{ "method": "neumann", "terms": 300, "step_size": 0.3 }"#,
    r#"{ "method": "penalty", "steps": 300, "step_size": 0.3, "multiplier": 1e4 }"#,
    // Independent of all that: through the steps.
    r#"{ "method": "unrolled" }"#,
];

fn config<C: ProgramConfig>(method: &str) -> C {
    C::from_json(&format!(r#"{{ "point": {{ "hypergradient": {method} }} }}"#)).unwrap()
}

fn points() -> (Point, Point) {
    (Point { x: parameter(&LOG_DECAY) }, Point { x: parameter(&[0.2, 0.1]) })
}

#[track_caller]
fn assert_close(found: &[f64], expected: [f64; 2], method: &str) {
    // A penalised copy is exact up to its multiplier's inverse.
    let tolerance = if method.contains("penalty") { 1e-3 } else { 1e-8 };
    assert!((0..2).all(|i| (found[i] - expected[i]).abs() < tolerance), "{method}: {found:?} is not {expected:?}");
}

#[test]
fn a_decay_is_learned_by_every_method() {
    let decay = LOG_DECAY.map(f64::exp);
    let rest = [0, 1].map(|i| A[i] / (1.0 + decay[i]));
    // dθ*/d(log δ) = −δa/(1 + δ)²
    let exact = [0, 1].map(|i| -(rest[i] - B[i]) * decay[i] * A[i] / (1.0 + decay[i]).powi(2));
    for method in METHODS {
        let (decay, point) = points();
        let data = DecayedData { decay: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
        let mut engine = Engine::new(Decayed { decay, point }, data, config(method)).unwrap();
        engine.run(1).unwrap();
        assert_close(&values(&engine.problem().point.x), rest, method);
        let found = engine.gradient("decay").unwrap().gradient.to_vec().unwrap();
        assert_close(&found, exact, method);
        // There is a reference for a number that the best response depends on.
        let check = engine.verify_hypergradient("decay").unwrap();
        assert!(check.relative_error < 1e-3 && check.responses[0].distance < 1e-7, "{check}");
    }
}

#[test]
fn a_decay_and_what_the_loss_reads_add_up() {
    let decay = LOG_DECAY.map(f64::exp);
    let rest = [0, 1].map(|i| A[i] * LOG_DECAY[i] / (1.0 + decay[i]));
    let slope = [0, 1].map(|i| A[i] / (1.0 + decay[i]) - A[i] * LOG_DECAY[i] * decay[i] / (1.0 + decay[i]).powi(2));
    let exact = [0, 1].map(|i| (rest[i] - B[i]) * slope[i]);
    for method in METHODS {
        let (decay, point) = points();
        let data = BothData { decay: Stream::constant(tensor(&B)), point: Stream::constant(tensor(&A)) };
        let mut engine = Engine::new(Both { decay, point }, data, config(method)).unwrap();
        engine.run(1).unwrap();
        assert_close(&values(&engine.problem().point.x), rest, method);
        let found = engine.gradient("decay").unwrap().gradient.to_vec().unwrap();
        assert_close(&found, exact, method);
    }
}

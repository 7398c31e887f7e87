//! Weight decay is a part of the condition that a best response is differentiated by: `∇c + δθ = 0`, with the Hessian `A + δI`.

use super::*;

/// A program with this optimizer below, and a rate above that moves nothing.
fn decaying(optimizer: &str, method: &str) -> QuadraticConfig {
    let json = format!(
        r#"{{
            "outer": {{ "optimizer": {{ "lr": 1e-300 }} }},
            "inner": {{ "optimizer": {optimizer}, "hypergradient": {method}, "unroll": 400 }}
        }}"#
    );
    betty_runtime::ProgramConfig::from_json(&json).unwrap()
}

fn with(config: QuadraticConfig) -> Engine<Quadratic> {
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = QuadraticData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    Engine::new(problem, data, config).unwrap()
}

/// Each with its damping.
const METHODS: [(&str, f64); 8] = [
    (r#"{ "method": "dense" }"#, 0.0),
    (r#"{ "method": "cg", "iterations": 4 }"#, 0.0),
    (r#"{ "method": "minres", "iterations": 4 }"#, 0.0),
    (r#"{ "method": "gmres", "iterations": 4 }"#, 0.0),
    (r#"{ "method": "neumann", "terms": 300, "step_size": 0.4 }"#, 0.0),
    (r#"{ "method": "penalty", "steps": 300, "step_size": 0.4, "multiplier": 100.0 }"#, 0.0),
    (r#"{ "method": "nystrom", "rank": 4, "damping": 0.7 }"#, 0.7),
    // Independent of all that: through the steps.
    (r#"{ "method": "unrolled" }"#, 0.0),
];

/// What the run itself would answer: the closed form, where the steps have come to rest.
#[test]
fn every_method_differentiates_where_decaying_steps_come_to_rest() {
    let decay = 0.3;
    for optimizer in [
        r#"{ "name": "sgd", "lr": 0.3, "weight_decay": 0.3 }"#,
        r#"{ "name": "sgd", "lr": 0.1, "momentum": 0.5, "weight_decay": 0.3 }"#,
    ] {
        for (method, damping) in METHODS {
            let mut engine = with(decaying(optimizer, method));
            engine.run(1).unwrap();
            let found = engine.gradient("outer").unwrap().gradient.to_vec().unwrap();
            let right: Vec<f64> = (0..N).map(|i| B0[i] + (0..M).map(|j| B[i][j] * LAMBDA[j]).sum::<f64>()).collect();
            let rest = solve(decay, &right);
            assert_close(&engine.problem().inner.values(), &rest, 1e-12);
            let gap: Vec<f64> = rest.iter().zip(T).map(|(theta, t)| theta - t).collect();
            assert_close(&found, &expected(&solve(decay + damping, &gap)), 1e-9);
        }
    }
}

#[test]
fn the_level_is_at_its_best_response_where_decaying_steps_come_to_rest() {
    let optimizer = r#"{ "name": "adagrad", "lr": 0.5, "weight_decay": 0.3 }"#;
    let mut engine = with(decaying(optimizer, METHODS[1].0));
    engine.run(5).unwrap();
    let check = engine.verify_hypergradient("outer").unwrap();
    let response = &check.responses[0];
    assert!(response.distance < 1e-9 && response.gradient_norm < 1e-9, "{check}");
    assert!(check.relative_error < 1e-9, "{check}");
    // The whole of it: nothing of the spectrum lies below the decay.
    assert!(response.spectrum.smallest.value > 0.3, "{check}");
}

#[test]
fn decay_that_is_decoupled_from_the_gradient_is_no_penalty() {
    let optimizer = r#"{ "name": "adamw", "lr": 1e-300, "weight_decay": 0.3 }"#;
    let found = with(decaying(optimizer, METHODS[0].0)).gradient("outer").unwrap();
    assert_close(&found.gradient.to_vec().unwrap(), &expected(&solve(0.0, &cotangent())), 1e-10);
}

fn top(_lambda: &Vector, y: &Vector, _x: &Vector, (_, _, _, t): Matrices) -> Tensor<1> {
    (y.x.val() - t).square().sum() * 0.5
}

fn middle(y: &Vector, lambda: &Vector, x: &Vector, _: Matrices) -> Tensor<1> {
    ((y.x.val() - lambda.x.val()).square().sum() + (x.x.val() - 1.0).square().sum()) * 0.5
}

fn bottom(x: &Vector, y: &Vector, _: Matrices) -> Tensor<1> {
    (x.x.val() - y.x.val()).square().sum() * 0.5
}

multilevel! {
    struct Chain;

    level lambda: Vector { lower: [y, x], batch: Matrices, loss: top, optimizer: sgd(lr = 1e-300) }
    level y: Vector {
        upper: [lambda], lower: [x], batch: Matrices, loss: middle, unroll: 80, hypergradient: cg(iterations = 4),
        optimizer: sgd(lr = 0.4, weight_decay = 0.2),
    }
    level x: Vector {
        upper: [y], batch: Matrices, loss: bottom, unroll: 60, hypergradient: cg(iterations = 4),
        optimizer: sgd(lr = 0.6, weight_decay = 0.3),
    }
}

/// `x* = y/(1 + d)` and `y*·(1 + 1/(1 + d)² + e) = λ + 1/(1 + d)` for the decays `d` of `x` and `e` of `y`.
#[test]
fn decays_of_levels_in_the_middle_are_conditions_of_theirs() {
    let (d, e) = (0.3_f64, 0.2);
    let curvature = 1.0 + (1.0 + d).powi(-2) + e;
    let lambda = [0.4, -0.7, 1.1, 0.2];
    let rest = lambda.map(|lambda| (lambda + 1.0 / (1.0 + d)) / curvature);
    let exact: Vec<f64> = (0..N).map(|i| (rest[i] - T[i]) / curvature).collect();
    for json in [
        "{}",
        r#"{ "lambda": { "solve": { "name": "joint", "tolerance": 1e-14 } } }"#,
        r#"{ "lambda": { "solve": { "name": "joint", "tolerance": 1e-14, "prepare": false } } }"#,
        r#"{ "lambda": { "solve": { "name": "inexact", "tolerance": 1e-13 } } }"#,
        r#"{ "y": { "hypergradient": { "method": "dense" } }, "x": { "hypergradient": { "method": "dense" } } }"#,
        r#"{ "x": { "hypergradient": { "method": "unrolled" } } }"#,
    ] {
        let problem = Chain { lambda: Vector::new(lambda), y: Vector::new(THETA), x: Vector::new(T) };
        let stream = || Stream::constant(matrices());
        let data = ChainData { lambda: stream(), y: stream(), x: stream() };
        let mut engine = Engine::new(problem, data, betty_runtime::ProgramConfig::from_json(json).unwrap()).unwrap();
        engine.run(1).unwrap();
        assert_close(&engine.problem().y.values(), &rest, 1e-12);
        let found = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
        assert_close(&found, &exact, 1e-10);
    }
}

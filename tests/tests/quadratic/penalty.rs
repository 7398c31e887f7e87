//! The penalty method: exact steps on quadratics, an error of first order in `1/multiplier` elsewhere.

use betty_runtime::EngineError;
use betty_runtime::hypergradient::HypergradientError;
use betty_runtime::linalg::{Quantity, SolveError};

use super::*;

#[test]
fn steps_on_a_quadratic_are_those_of_the_series() {
    for steps in [1, 2, 5, 17] {
        // x ← x + s(v − Ax) from 0, whatever the multiplier.
        let mut x = vec![0.0; N];
        for _ in 0..steps {
            let product = times(&A, &x);
            x.iter_mut().zip(cotangent()).zip(product).for_each(|((x, v), p)| *x += 0.4 * (v - p));
        }
        for multiplier in [0.5, 100.0] {
            let json =
                format!(r#"{{"method": "penalty", "steps": {steps}, "step_size": 0.4, "multiplier": {multiplier}}}"#);
            assert_close(&hypergradient(method(&json)), &expected(&x), 1e-11);
        }
    }
}

#[test]
fn enough_steps_are_exact_on_a_quadratic() {
    let json = r#"{"method": "penalty", "steps": 200, "step_size": 0.4}"#;
    assert_close(&hypergradient(method(json)), &expected(&solve(0.0, &cotangent())), 1e-11);
    let damped = r#"{"method": "penalty", "steps": 200, "step_size": 0.4, "damping": 0.7}"#;
    assert_close(&hypergradient(method(damped)), &expected(&solve(0.7, &cotangent())), 1e-11);

    let check = engine(method(json)).verify_hypergradient("outer").unwrap();
    assert!(check.relative_error < 1e-11 && check.responses[0].residual.unwrap() < 1e-11, "{check}");
}

#[test]
fn a_copy_that_is_kept_takes_one_step_at_a_time() {
    let exact = expected(&solve(0.0, &cotangent()));
    let last = |json: &str, calls: usize| last_of(method(json), calls);
    let kept = r#"{"method": "penalty", "steps": 1, "step_size": 0.4}"#;
    assert_close(&last(kept, 120), &exact, 1e-10);
    let fresh = r#"{"method": "penalty", "steps": 1, "step_size": 0.4, "warm_start": false}"#;
    assert_eq!(last(fresh, 120), last(fresh, 1));

    // The same while all levels move, to the optimum of the whole program.
    let mut moving = engine(method(kept));
    moving.run(400).unwrap();
    let found = moving.gradient("outer").unwrap().gradient.to_vec().unwrap();
    assert!(found.iter().all(|g| g.abs() < 1e-8), "{found:?}");
    let mut reference = engine(method(r#"{"method": "dense"}"#));
    reference.run(400).unwrap();
    assert_close(&moving.problem().outer.values(), &reference.problem().outer.values(), 1e-8);
}

/// `Σ exp(λᵢθᵢ) + θᵢ²`, whose Hessian in `θ` is the diagonal of `λᵢ² exp(λᵢθᵢ) + 2`.
fn convex(theta: &Vector, lambda: &Vector, _: Matrices) -> Tensor<1> {
    let theta = theta.x.val();
    ((lambda.x.val() * theta.clone()).exp() + theta.clone() * theta).sum()
}

multilevel! {
    struct Convex;

    level outer: Vector { lower: [inner], batch: Matrices, loss: gap, optimizer: sgd(lr = 0.1) }
    level inner: Vector {
        upper: [outer],
        batch: Matrices,
        loss: convex,
        optimizer: sgd(lr = 0.1),
        hypergradient: penalty(steps = 60, step_size = 0.25),
    }
}

const UPPER: [f64; N] = [0.8, -0.5, 1.1, 0.6];

fn at_multiplier(multiplier: f64) -> Vec<f64> {
    let problem = Convex { outer: Vector::new(UPPER), inner: Vector::new(THETA) };
    let data = ConvexData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    let mut config = ConvexConfig::default();
    if let Some(HypergradientConfig::Penalty(penalty)) = &mut config.inner.hypergradient {
        penalty.multiplier = multiplier;
    }
    Engine::new(problem, data, config).unwrap().gradient("outer").unwrap().gradient.to_vec().unwrap()
}

#[test]
fn the_hypergradient_is_the_difference_that_the_penalty_makes() {
    for multiplier in [3.0, 50.0] {
        // In each coordinate: y solves c′(y) = c′(z) − v/m, by Newton's method, and the answer is m(∂c/∂λ(y) − ∂c/∂λ(z)).
        let expected: Vec<f64> = (0..N)
            .map(|i| {
                let (lambda, z, v) = (UPPER[i], THETA[i], THETA[i] - T[i]);
                let slope = |y: f64| lambda * (lambda * y).exp() + 2.0 * y;
                let curvature = |y: f64| lambda * lambda * (lambda * y).exp() + 2.0;
                let target = slope(z) - v / multiplier;
                let y = (0..30).fold(z, |y, _| y - (slope(y) - target) / curvature(y));
                multiplier * (y * (lambda * y).exp() - z * (lambda * z).exp())
            })
            .collect();
        assert_close(&at_multiplier(multiplier), &expected, 1e-11);
    }
}

#[test]
fn the_error_is_of_first_order_in_the_penalty() {
    // −(∂²c/∂λ∂θ)·v/H, coordinate by coordinate.
    let exact: Vec<f64> = (0..N)
        .map(|i| {
            let (lambda, theta) = (UPPER[i], THETA[i]);
            let power = (lambda * theta).exp();
            -power * (1.0 + lambda * theta) * (theta - T[i]) / (lambda * lambda * power + 2.0)
        })
        .collect();
    let error =
        |multiplier: f64| exact.iter().zip(at_multiplier(multiplier)).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
    for multiplier in [100.0, 1e3, 1e4] {
        let ratio = error(multiplier) / error(2.0 * multiplier);
        // The next order of the error is smaller by another factor of the multiplier.
        assert!((ratio - 2.0).abs() < 3.0 / multiplier, "{multiplier}: {ratio}");
    }
    assert!(error(1e7) < 1e-6, "{:e}", error(1e7));
}

#[test]
fn nothing_from_above_needs_nothing_below() {
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(T) };
    let data = QuadraticData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    let mut config = QuadraticConfig::default();
    config.inner.hypergradient = Some(method(r#"{"method": "penalty"}"#));
    let found = Engine::new(problem, data, config).unwrap().gradient("outer").unwrap().gradient.to_vec().unwrap();
    assert_eq!(found, LAMBDA.map(|lambda| RHO * lambda));
}

#[test]
fn failures_say_what_failed() {
    let failure = |json: &str| match engine(method(json)).gradient("outer").unwrap_err() {
        EngineError::Hypergradient { through, source, .. } => (through, *source),
        other => panic!("{other}"),
    };
    let (through, error) = failure(r#"{"method": "penalty", "steps": 50, "step_size": 2.0}"#);
    assert_eq!(through, "inner");
    // The largest eigenvalue is 2.2 or so, and the estimate comes from below.
    let HypergradientError::Solve(SolveError::Diverged { largest, .. }) = error else { panic!("{error}") };
    assert!((1.5..2.3).contains(&largest), "{largest}");

    // So far from θ that gradients overflow.
    let json = r#"{"method": "penalty", "steps": 50, "step_size": 1e200, "multiplier": 1e-200}"#;
    let (_, error) = failure(json);
    let HypergradientError::Solve(SolveError::NotFinite { quantity, iteration }) = error else { panic!("{error}") };
    assert_eq!((quantity, iteration), (Quantity::Term, 1));
}

//! Unrolled levels below levels that are differentiated themselves, against central differences of the whole run.
//!
//! Middle levels are unrolled too, or take so many steps of a contraction that they are solved to rounding errors, so that
//! the uppermost loss is a function of the uppermost parameters that can be differentiated by differences.

use betty_runtime::error::rules::Violation;
use betty_runtime::{ConfigError, ConflictError, Engine, EngineError, ProgramConfig, multilevel};
use burn::nn::DropoutConfig;
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close};
use crate::unrolled::{LAMBDA, Nothing, check, check_over, check_to, iteration, nothing, outer, square};

/// Follows `sin x`, steeper far from it, where a mask lets it, another one at every step.
fn follow(y: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    let target = DropoutConfig::new(0.4).init().forward(x.x.val().sin());
    let gap = y.x.val() - target;
    square(gap.clone()).mul_scalar(0.5) + square(gap.clone() * gap).mul_scalar(0.1)
}

/// Ties `x` to `λ`, and asks of the level below what it answers.
fn middle(x: &Vector, lambda: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    let (x, lambda, y) = (x.x.val(), lambda.x.val(), y.x.val());
    square(x.clone() - lambda.clone()).mul_scalar(0.5)
        + (y.clone() * lambda.exp()).sum().mul_scalar(0.3)
        + square(y * x).mul_scalar(0.1)
}

multilevel! {
    struct Steps;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.2, momentum = 0.5),
        unroll: 4, hypergradient: unrolled, accumulate: 2,
    }
    level y: Vector {
        upper: [x], batch: Nothing, loss: follow, optimizer: adam(lr = 0.1, beta_2 = 0.9), start: initial,
        unroll: 3, accumulate: 2, clip: norm(0.4), hypergradient: unrolled,
    }
}

multilevel! {
    struct Kept;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.2),
        unroll: 2, hypergradient: unrolled(truncate = 1),
    }
    level y: Vector {
        upper: [x], batch: Nothing, loss: follow_all, optimizer: sgd(lr = 0.2), unroll: 5,
        hypergradient: unrolled(truncate = 2),
    }
}

/// Asks of the level below to be good somewhere else than where it begins.
fn adapted(x: &Vector, lambda: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    square(y.x.val() - lambda.x.val().cos()) + square(x.x.val()).mul_scalar(0.05)
}

fn adapt(y: &Vector, _: Nothing) -> Tensor<1> {
    (y.x.val().sin() + square(y.x.val()).mul_scalar(0.3)).sum()
}

multilevel! {
    struct Started;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: adapted, optimizer: sgd(lr = 0.3), unroll: 3,
        hypergradient: unrolled,
    }
    level y: Vector {
        start: from(x), batch: Nothing, loss: adapt, optimizer: rmsprop(lr = 0.05), unroll: 3, hypergradient: unrolled,
    }
}

/// As `follow`, without masks, so that every step leads the same way.
fn follow_all(y: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    let gap = y.x.val() - x.x.val().sin();
    square(gap.clone()).mul_scalar(0.5) + square(gap.clone() * gap).mul_scalar(0.1)
}

multilevel! {
    pub(crate) struct Solved;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.8), unroll: 60,
        hypergradient: dense,
    }
    level y: Vector {
        upper: [x], batch: Nothing, loss: follow_all, optimizer: sgd(lr = 0.3, momentum = 0.5), start: initial, unroll: 3,
        hypergradient: unrolled,
    }
}

/// Ties `λ` to `ν` and to what the level below makes of it.
fn upper(lambda: &Vector, nu: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    let (lambda, nu, x) = (lambda.x.val(), nu.x.val(), x.x.val());
    square(lambda.clone() - nu).mul_scalar(0.5)
        + (x.clone() * lambda).sum().mul_scalar(0.1)
        + x.exp().sum().mul_scalar(0.1)
}

multilevel! {
    pub(crate) struct Deep;
    level nu: Vector { lower: [lambda], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level lambda: Vector {
        upper: [nu], lower: [x], batch: Nothing, loss: upper, optimizer: sgd(lr = 0.8), unroll: 24, hypergradient: dense,
    }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.8), unroll: 30,
        hypergradient: dense,
    }
    level y: Vector {
        upper: [x], batch: Nothing, loss: follow_all, optimizer: sgd(lr = 0.3), start: initial, unroll: 2,
        hypergradient: unrolled,
    }
}

pub(crate) fn start_x() -> Vector {
    Vector::new(&[0.3, 0.1, -0.5])
}

pub(crate) fn start_y() -> Vector {
    Vector::new(&[0.5, -0.2, 0.1])
}

#[test]
fn steps_that_rest_on_steps() {
    // Adam's steps bend where a mask leaves little of a gradient: over 3e-4 the differences are 3e-9 off.
    check_over(1e-4, 1e-9, |lambda| {
        let problem = Steps { lambda: Vector::new(lambda), x: start_x(), y: start_y() };
        iteration(problem, StepsData { lambda: nothing(), x: nothing(), y: nothing() }, |problem| problem.lambda)
    });
}

#[test]
fn steps_that_rest_on_where_steps_began() {
    check(|lambda| {
        let problem = Started { lambda: Vector::new(lambda), x: start_x(), y: start_y() };
        iteration(problem, StartedData { lambda: nothing(), x: nothing(), y: nothing() }, |problem| problem.lambda)
    });
}

#[test]
fn a_solved_level_above_steps() {
    check(|lambda| {
        let problem = Solved { lambda: Vector::new(lambda), x: start_x(), y: start_y() };
        iteration(problem, SolvedData { lambda: nothing(), x: nothing(), y: nothing() }, |problem| problem.lambda)
    });
}

/// The derivative of the conditions takes third derivatives of where the steps lead.
#[test]
fn two_solved_levels_above_steps() {
    // λ contracts by about 0.3 a step, so 24 steps leave 1e-12 of the way, and a difference quotient divides by 1e-3.
    check_to(1e-8, |nu| {
        let problem = Deep { nu: Vector::new(nu), lambda: Vector::new(&LAMBDA), x: start_x(), y: start_y() };
        let data = DeepData { nu: nothing(), lambda: nothing(), x: nothing(), y: nothing() };
        iteration(problem, data, |problem| problem.nu)
    });
}

/// A run that was cut off has the derivative of a run that starts where it was cut.
#[test]
fn steps_that_were_cut_off_stand_still() {
    let run = |x: Vector, y: Vector, json: &str| {
        let problem = Kept { lambda: Vector::new(&LAMBDA), x, y };
        let data = KeptData { lambda: nothing(), x: nothing(), y: nothing() };
        let mut engine = Engine::new(problem, data, KeptConfig::from_json(json).unwrap()).unwrap();
        engine.run(1).unwrap();
        engine.into_problem()
    };
    let values = |of: &Vector| -> Vec<f64> { of.x.val().into_data().try_to_vec().unwrap() };
    let cut = values(&run(start_x(), start_y(), "{}").lambda);

    let first = run(start_x(), start_y(), r#"{ "x": { "unroll": 1 } }"#);
    let y = run(first.x.clone(), first.y, r#"{ "x": { "unroll": 1 }, "y": { "unroll": 3 } }"#).y;
    let rest = r#"{ "x": { "unroll": 1 }, "y": { "unroll": 2, "hypergradient": { "truncate": "all" } } }"#;
    assert_close(&cut, &values(&run(first.x, y, rest).lambda), 1e-13);

    let whole =
        r#"{ "x": { "hypergradient": { "truncate": "all" } }, "y": { "hypergradient": { "truncate": "all" } } }"#;
    let whole = values(&run(start_x(), start_y(), whole).lambda);
    assert!(cut.iter().zip(&whole).any(|(cut, whole)| (cut - whole).abs() > 1e-3), "{cut:?} {whole:?}");
}

#[test]
fn what_cannot_be_differentiated_twice_is_refused() {
    let refused = |json: &str| {
        let problem = Deep { nu: Vector::new(&LAMBDA), lambda: Vector::new(&LAMBDA), x: start_x(), y: start_y() };
        let data = DeepData { nu: nothing(), lambda: nothing(), x: nothing(), y: nothing() };
        Engine::new(problem, data, DeepConfig::from_json(json).unwrap()).err().unwrap()
    };
    let between = refused(r#"{ "x": { "hypergradient": { "method": "unrolled" } } }"#);
    assert!(
        matches!(
            between,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                rule: Violation::StepsBetween { .. },
                ..
            }))
        ),
        "{between}"
    );
    assert!(between.to_string().contains("waits for `y`"), "{between}");
    let memory = refused(r#"{ "y": { "hypergradient": { "method": "unrolled", "memory": 4 } } }"#);
    assert!(
        matches!(
            memory,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                rule: Violation::MemoryUnused { .. },
                ..
            }))
        ),
        "{memory}"
    );
}

#[test]
fn costs_and_references_are_there_for_steps_below() {
    let problem = Solved { lambda: Vector::new(&LAMBDA), x: start_x(), y: start_y() };
    let data = SolvedData { lambda: nothing(), x: nothing(), y: nothing() };
    let mut engine = Engine::new(problem, data, SolvedConfig::default()).unwrap();
    let text = engine.explain().unwrap().to_string();
    assert!(text.contains("through y by unrolled (at most 3 products)"), "{text}");
    engine.run(1).unwrap();
    // Three steps lead only part of the way, so the derivative of the solved response is another one.
    let check = engine.verify_hypergradient("lambda").unwrap();
    assert!(check.relative_error > 1e-3 && check.relative_error.is_finite(), "{check}");
}

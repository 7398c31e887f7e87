//! Unrolled levels among implicit ones, against central differences of the whole run.
//!
//! The implicit levels have the identity for Hessian, so one step of length 1 solves them exactly, and the run is a function
//! of the uppermost parameters that can be differentiated by differences.

use std::cell::Cell;
use std::rc::Rc;

use betty_runtime::{Engine, Event, Multilevel, Stream, multilevel};
use burn::nn::DropoutConfig;
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close, vector};

pub(crate) type Nothing = Tensor<1>;

pub(crate) fn square(x: Tensor<1>) -> Tensor<1> {
    (x.clone() * x).sum()
}

/// Follows `sin x`.
fn follow(y: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    square(y.x.val() - x.x.val().sin()).mul_scalar(0.5)
}

fn middle(x: &Vector, lambda: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    let (x, lambda, y) = (x.x.val(), lambda.x.val(), y.x.val());
    square(x.clone() - lambda.clone()).mul_scalar(0.5)
        + (y.clone() * lambda.exp()).sum()
        + square(y * x).mul_scalar(0.3)
}

pub(crate) fn outer(lambda: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    (x.x.val().exp()).sum() + square(lambda.x.val()).mul_scalar(0.2)
}

multilevel! {
    struct AboveImplicit;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.1, momentum = 0.5),
        unroll: 6, hypergradient: unrolled,
    }
    level y: Vector { upper: [x], batch: Nothing, loss: follow, optimizer: sgd(lr = 1.0), hypergradient: dense }
}

/// Follows `sin x` where a mask lets it, another one at every step.
fn follow_some(y: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    let target = DropoutConfig::new(0.4).init().forward(x.x.val().sin());
    square(y.x.val() - target).mul_scalar(0.5)
}

fn middle_of_some(x: &Vector, lambda: &Vector, y: &Vector, batch: Nothing) -> Tensor<1> {
    let seen = DropoutConfig::new(0.3).init().forward(x.x.val() * lambda.x.val());
    middle(x, lambda, y, batch) + (seen.clone() * y.x.val()).sum() + square(seen).mul_scalar(0.2)
}

multilevel! {
    struct WithMasks;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle_of_some, optimizer: sgd(lr = 0.1),
        unroll: 5, hypergradient: unrolled, accumulate: 2,
    }
    level y: Vector { upper: [x], batch: Nothing, loss: follow_some, optimizer: sgd(lr = 1.0), hypergradient: dense }
}

/// Fine-tuning that starts anywhere and is pulled towards what was pretrained.
fn finetune(x: &Vector, pretrained: &Vector, _: Nothing) -> Tensor<1> {
    let (x, pretrained) = (x.x.val(), pretrained.x.val());
    square(x.clone() - pretrained.clone()) + (x * pretrained).cos().sum()
}

multilevel! {
    pub(crate) struct BelowPipeline;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 1.0) }
    level x: Vector {
        lower: [y], batch: Nothing, loss: finetune, optimizer: sgd(lr = 0.1), unroll: 4, hypergradient: unrolled,
    }
    level y: Vector { upper: [lambda], batch: Nothing, loss: follow, optimizer: sgd(lr = 1.0), hypergradient: dense }
}

pub(crate) const LAMBDA: [f64; 3] = [0.4, -0.7, 0.2];

pub(crate) fn nothing() -> Stream<Nothing> {
    Stream::constant(vector(&[0.0]))
}

/// The upper loss that one iteration sees, and the hypergradient, which is the whole step of length 1.
pub(crate) fn iteration<P: Multilevel>(problem: P, data: P::Data, lambda: impl Fn(P) -> Vector) -> (f64, Vec<f64>) {
    let loss = Rc::new(Cell::new(f64::NAN));
    let seen = Rc::clone(&loss);
    let mut engine = Engine::new(problem, data, P::Config::default()).unwrap().observe(move |event| {
        if let Event::Step { level: 0, loss, .. } = event {
            seen.set(*loss);
        }
    });
    engine.run(1).unwrap();
    (loss.get(), lambda(engine.into_problem()).x.val().into_data().try_to_vec().unwrap())
}

pub(crate) fn check(run: impl Fn(&[f64]) -> (f64, Vec<f64>)) {
    check_to(1e-9, run);
}

/// Compares the hypergradient of a run with differences of its upper loss.
pub(crate) fn check_to(tolerance: f64, run: impl Fn(&[f64]) -> (f64, Vec<f64>)) {
    check_over(3e-4, tolerance, run);
}

/// As [`check_to`], over differences of this length.
pub(crate) fn check_over(length: f64, tolerance: f64, run: impl Fn(&[f64]) -> (f64, Vec<f64>)) {
    let after = run(&LAMBDA).1;
    let found: Vec<f64> = LAMBDA.iter().zip(after).map(|(before, after)| before - after).collect();
    let loss = |k: usize, by: f64| {
        let mut moved = LAMBDA;
        moved[k] += by;
        run(&moved).0
    };
    let slope =
        |k: usize, h: f64| (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
    let expected: Vec<f64> = (0..LAMBDA.len()).map(|k| slope(k, length)).collect();
    assert_close(&found, &expected, tolerance);
}

#[test]
fn steps_that_rest_on_best_responses_below() {
    check(|lambda| {
        let problem = AboveImplicit {
            lambda: Vector::new(lambda),
            x: Vector::new(&[0.3, 0.1, -0.5]),
            y: Vector::new(&[0.0, 0.0, 0.0]),
        };
        let data = AboveImplicitData { lambda: nothing(), x: nothing(), y: nothing() };
        iteration(problem, data, |problem| problem.lambda)
    });
}

#[test]
fn every_level_keeps_the_masks_of_its_own_steps() {
    check(|lambda| {
        let problem = WithMasks {
            lambda: Vector::new(lambda),
            x: Vector::new(&[0.3, 0.1, -0.5]),
            y: Vector::new(&[0.0, 0.0, 0.0]),
        };
        let data = WithMasksData { lambda: nothing(), x: nothing(), y: nothing() };
        iteration(problem, data, |problem| problem.lambda)
    });
}

#[test]
fn steps_that_send_to_a_best_response_beside_them() {
    check(|lambda| {
        let problem = BelowPipeline {
            lambda: Vector::new(lambda),
            x: Vector::new(&[0.3, 0.1, -0.5]),
            y: Vector::new(&[0.0, 0.0, 0.0]),
        };
        let data = BelowPipelineData { lambda: nothing(), x: nothing(), y: nothing() };
        iteration(problem, data, |problem| problem.lambda)
    });
}

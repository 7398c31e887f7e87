//! A level that learns numbers of the steps below, and is differentiated itself.
//!
//! Its total gradient goes through those steps, so that the level above needs their second derivatives.

use betty_tests::vectors::parameter;
use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, Event, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
}

/// Numbers of the steps below, and one that only the loss reads.
#[derive(Module, Debug)]
struct Numbers {
    log_lr: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
    momentum: Param<Tensor<1>>,
}

type Nothing = Vec<Tensor<1>>;

fn square(x: Tensor<1>) -> Tensor<1> {
    x.powi_scalar(2).sum()
}

/// A valley that is no parabola.
fn descend(point: &Point, _: Nothing) -> Tensor<1> {
    let x = point.x.val();
    square(x.clone() - 1.0).mul_scalar(0.5) + square(x.clone() * x).mul_scalar(0.1)
}

/// Where the steps shall end, and what the numbers shall be, depends on the goal.
fn tune(numbers: &Numbers, goal: &Point, point: &Point, _: Nothing) -> Tensor<1> {
    square(point.x.val() - goal.x.val().cos())
        + square(numbers.shift.val() - goal.x.val().sin()).mul_scalar(0.5)
        + (numbers.shift.val() * point.x.val()).sum().mul_scalar(0.3)
        + square(numbers.log_lr.val() + 1.5).mul_scalar(0.05)
}

fn judge(_goal: &Point, numbers: &Numbers, _: Nothing) -> Tensor<1> {
    square(numbers.log_lr.val() + 0.7) + square(numbers.shift.val()) + numbers.momentum.val().exp().sum()
}

multilevel! {
    struct Tuned;

    level goal: Point { lower: [numbers], batch: Nothing, loss: judge, optimizer: sgd(lr = 1.0) }
    level numbers: Numbers {
        upper: [goal], lower: [point], batch: Nothing, loss: tune, optimizer: sgd(lr = 0.2, momentum = 0.4), unroll: 3,
        hypergradient: unrolled,
    }
    level point: Point {
        batch: Nothing, loss: descend, start: initial, unroll: 4, hypergradient: unrolled,
        optimizer: sgd(lr = exp(numbers.log_lr), momentum = sigmoid(numbers.momentum), weight_decay = 0.1),
    }
}

fn nothing() -> Stream<Nothing> {
    Stream::constant(Vec::new())
}

/// The uppermost loss, and its hypergradient, which is the whole step of length 1.
fn iteration(config: &str, log_lr: &[f64], goal: &[f64]) -> (f64, Vec<f64>) {
    let problem = Tuned {
        goal: Point { x: parameter(goal) },
        numbers: Numbers { log_lr: parameter(log_lr), shift: parameter(&[0.3, -0.2]), momentum: parameter(&[-0.5]) },
        point: Point { x: parameter(&[-0.4, 2.0]) },
    };
    let data = TunedData { goal: nothing(), numbers: nothing(), point: nothing() };
    let loss = Rc::new(RefCell::new(f64::NAN));
    let seen = Rc::clone(&loss);
    let mut engine =
        Engine::new(problem, data, TunedConfig::from_json(config).unwrap()).unwrap().observe(move |event| {
            if let Event::Step { name: "goal", loss, .. } = event {
                *seen.borrow_mut() = *loss;
            }
        });
    engine.run(1).unwrap();
    let after: Vec<f64> = engine.into_problem().goal.x.val().into_data().try_to_vec().unwrap();
    (*loss.borrow(), goal.iter().zip(after).map(|(before, after)| before - after).collect())
}

#[test]
fn steps_with_learned_numbers_are_differentiated_twice() {
    check("{}", &[-1.6, -1.2]);
    // A rate for each of the four steps.
    check(r#"{ "point": { "optimizer": { "lr": "exp(numbers.log_lr[step])" } } }"#, &[-1.6, -1.2, -2.1, -1.4]);
}

#[track_caller]
fn check(config: &str, log_lr: &[f64]) {
    let goal = [0.4, 1.1];
    let (_, found) = iteration(config, log_lr, &goal);
    let loss = |index: usize, by: f64| {
        let mut moved = goal;
        moved[index] += by;
        iteration(config, log_lr, &moved).0
    };
    let h = 1e-3;
    for (k, found) in found.into_iter().enumerate() {
        let slope = (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
        assert!((found - slope).abs() < 1e-9 * slope.abs(), "{k}: {found} is not {slope}");
    }
}

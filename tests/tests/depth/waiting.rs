//! Several levels that wait for one whose steps are differentiated, some of them for more steps than others.
//!
//! Whoever waits for fewer finds what was done for the rest: its loss stands at the end of all steps since its own last one, all of
//! which read it.

use betty_runtime::{Engine, ProgramConfig, multilevel};
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close};
use crate::unrolled::{Nothing, nothing, square};

const ALPHA: f64 = 0.2;
const MOMENTUM: f64 = 0.5;
const START: [f64; 2] = [0.9, 0.2];
const FIRST: [f64; 2] = [0.4, -0.7];
const SECOND: [f64; 2] = [-0.3, 0.6];

fn driven(net: &Vector, first: &Vector, second: &Vector, _: Nothing) -> Tensor<1> {
    let (x, second) = (net.x.val(), second.x.val());
    square(x.clone() - first.x.val().sin()).mul_scalar(0.5) + square(square_of(x - second)).mul_scalar(0.125)
}

fn square_of(x: Tensor<1>) -> Tensor<1> {
    x.clone() * x
}

fn of_first(_first: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    net.x.val().exp().sum()
}

fn of_second(second: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(net.x.val().add_scalar(1.0)).mul_scalar(0.5) + square(second.x.val()).mul_scalar(0.1)
}

multilevel! {
    struct Rounds;
    level first: Vector { lower: [net], batch: Nothing, loss: of_first, optimizer: sgd(lr = 0.1), rounds: 3 }
    level second: Vector { lower: [net], batch: Nothing, loss: of_second, optimizer: sgd(lr = 0.3) }
    level net: Vector {
        upper: [first, second], batch: Nothing, loss: driven, optimizer: sgd(lr = 0.2, momentum = 0.5), unroll: 5,
        hypergradient: unrolled,
    }
}

/// Where 15 steps lead from a position and a velocity, entry by entry.
fn run_net(mut at: (f64, f64), first: f64, second: f64) -> (f64, f64) {
    for _ in 0..15 {
        let gradient = (at.0 - first.sin()) + 0.5 * (at.0 - second).powi(3);
        at.1 = MOMENTUM * at.1 + gradient;
        at.0 -= ALPHA * at.1;
    }
    at
}

/// A derivative of the fourth order.
fn slope(of: impl Fn(f64) -> f64, x: f64) -> f64 {
    let h = 1e-3;
    (8.0 * (of(x + h) - of(x - h)) - (of(x + 2.0 * h) - of(x - 2.0 * h))) / (12.0 * h)
}

fn rounds_by_hand(entry: usize, anew: bool) -> (f64, f64) {
    let (mut first, mut second, mut at) = (FIRST[entry], SECOND[entry], (START[entry], 0.0));
    for _ in 0..3 {
        if anew {
            at = (START[entry], 0.0);
        }
        let by_first = slope(|first| run_net(at, first, second).0.exp(), first);
        let loss = |second: f64| 0.5 * (run_net(at, first, second).0 + 1.0).powi(2) + 0.1 * second * second;
        let by_second = slope(loss, second);
        at = run_net(at, first, second);
        (first, second) = (first - 0.1 * by_first, second - 0.3 * by_second);
    }
    (first, second)
}

#[test]
fn rounds_of_another_level_are_steps_for_all() {
    for start in ["kept", "initial"] {
        let by_hand = [0, 1].map(|entry| rounds_by_hand(entry, start == "initial"));
        for method in [r#""unrolled""#, r#""unrolled", "memory": 4"#, r#""forward""#] {
            let json = format!(r#"{{ "net": {{ "start": "{start}", "hypergradient": {{ "method": {method} }} }} }}"#);
            let problem = Rounds { first: Vector::new(&FIRST), second: Vector::new(&SECOND), net: Vector::new(&START) };
            let data = RoundsData { first: nothing(), second: nothing(), net: nothing() };
            let mut engine = Engine::new(problem, data, RoundsConfig::from_json(&json).unwrap()).unwrap();
            engine.run(3).unwrap();
            let Rounds { first, second, .. } = engine.into_problem();
            assert_close(&first.values(), &by_hand.map(|(first, _)| first), 1e-9);
            assert_close(&second.values(), &by_hand.map(|(_, second)| second), 1e-9);
        }
    }
}

fn pulled(net: &Vector, middle: &Vector, second: &Vector, _: Nothing) -> Tensor<1> {
    square(net.x.val() - middle.x.val() - square_of(second.x.val())).mul_scalar(0.5)
}

/// Linear in what it reads below, so that its own derivative does not depend on the other level above.
fn between(middle: &Vector, top: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(middle.x.val() - top.x.val().sin()).mul_scalar(0.5) + net.x.val().sum().mul_scalar(0.3)
}

fn of_top(_top: &Vector, middle: &Vector, _: Nothing) -> Tensor<1> {
    square(middle.x.val().add_scalar(-1.0)).mul_scalar(0.5)
}

multilevel! {
    struct Often;
    level top: Vector { lower: [middle], batch: Nothing, loss: of_top, optimizer: sgd(lr = 1e-40) }
    level second: Vector { lower: [net], batch: Nothing, loss: of_second, optimizer: sgd(lr = 0.3) }
    level middle: Vector {
        upper: [top], lower: [net], batch: Nothing, loss: between, optimizer: sgd(lr = 0.2), unroll: 2, hypergradient: unrolled,
    }
    level net: Vector {
        upper: [middle, second], batch: Nothing, loss: pulled, optimizer: sgd(lr = 0.2), unroll: 3, hypergradient: unrolled,
    }
}

/// Where the levels below lead, entry by entry: twice three steps of the lowest one and a step of the middle one.
fn run_often((mut x, mut middle): (f64, f64), top: f64, second: f64) -> (f64, f64) {
    for _ in 0..2 {
        for _ in 0..3 {
            x -= ALPHA * (x - middle - second * second);
        }
        let moved = 1.0 - (1.0 - ALPHA).powi(3);
        middle -= ALPHA * ((middle - top.sin()) + 0.3 * moved);
    }
    (x, middle)
}

#[test]
fn a_level_that_steps_more_often_has_all_see_its_steps_below() {
    let by_hand = |entry: usize| {
        let (mut second, mut at) = (SECOND[entry], (START[entry], FIRST[entry]));
        for _ in 0..3 {
            let loss = |second: f64| 0.5 * (run_often(at, 0.5, second).0 + 1.0).powi(2) + 0.1 * second * second;
            let by_second = slope(loss, second);
            at = run_often(at, 0.5, second);
            second -= 0.3 * by_second;
        }
        second
    };
    let problem = Often {
        top: Vector::new(&[0.5, 0.5]),
        second: Vector::new(&SECOND),
        middle: Vector::new(&FIRST),
        net: Vector::new(&START),
    };
    let data = OftenData { top: nothing(), second: nothing(), middle: nothing(), net: nothing() };
    let mut engine = Engine::new(problem, data, OftenConfig::default()).unwrap();
    engine.run(3).unwrap();
    assert_close(&engine.into_problem().second.values(), &[0, 1].map(by_hand), 1e-9);
}

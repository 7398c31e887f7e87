//! Levels that wait for one level each in its own way: with several rounds or tasks, in an order of their own.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, Event, ProgramConfig, Stream, multilevel};
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close, vector};
use crate::unrolled::{Nothing, nothing, square};

const ALPHA: f64 = 0.1;

/// What so many steps of length `ALPHA` leave of the distance to the target.
fn left_after(steps: i32) -> f64 {
    (1.0 - ALPHA).powi(steps)
}

fn supported(net: &Vector, a: &Vector, b: &Vector, batch: Tensor<1>) -> Tensor<1> {
    square(net.x.val() - a.x.val() - b.x.val() - batch).mul_scalar(0.5)
}

fn apart(a: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    (a.x.val() * a.x.val() + net.x.val()).sum()
}

fn read(_b: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    net.x.val().sum()
}

multilevel! {
    struct TasksFirst;
    level a: Vector { lower: [net], batch: Nothing, loss: apart, optimizer: sgd(lr = 1e-40), tasks: 2 }
    level b: Vector { lower: [net], batch: Nothing, loss: read, optimizer: sgd(lr = 1.0), rounds: 2 }
    level net: Vector {
        upper: [a, b], start: initial, batch: Tensor<1>, loss: supported, optimizer: sgd(lr = 0.1), unroll: 5,
        hypergradient: unrolled,
    }
}

multilevel! {
    struct TasksLast;
    level b: Vector { lower: [net], batch: Nothing, loss: read, optimizer: sgd(lr = 1.0), rounds: 2 }
    level a: Vector { lower: [net], batch: Nothing, loss: apart, optimizer: sgd(lr = 1e-40), tasks: 2 }
    level net: Vector {
        upper: [a, b], start: initial, batch: Tensor<1>, loss: supported, optimizer: sgd(lr = 0.1), unroll: 5,
        hypergradient: unrolled,
    }
}

/// Batch number `i` is `i`.
fn numbers() -> Stream<Tensor<1>> {
    Stream::batches((0..).map(|i| Ok::<_, io::Error>(vector(&[f64::from(i)]))))
}

/// What level `b` reads at its steps, and where it ends, with so many steps of its own from each of these batches on.
fn own_steps(from: &[i32], steps: i32) -> (Vec<f64>, f64) {
    let mut b = 0.0;
    let losses = from.iter().map(|&from| {
        let net = (from..from + steps).fold(0.0, |net, batch| net - ALPHA * (net - b - f64::from(batch)));
        b -= 1.0 - left_after(steps);
        net
    });
    (losses.collect(), b)
}

macro_rules! run_of_both {
    ($program:ident, $data:ident, $config:ident, $json:expr) => {{
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let zero = || Vector::new(&[0.0]);
        let problem = $program { a: zero(), b: zero(), net: zero() };
        let data = $data { a: nothing(), b: nothing(), net: numbers() };
        let engine = Engine::new(problem, data, $config::from_json($json).unwrap()).unwrap();
        let mut engine = engine.observe(move |event| {
            if let Event::Step { name: "b", loss, .. } = event {
                log.borrow_mut().push(*loss);
            }
        });
        engine.run(2).unwrap();
        let counted: Vec<u64> = engine.explain().unwrap().levels.iter().map(|level| level.steps).collect();
        let steps: Vec<u64> = engine.run(1).unwrap().levels.iter().map(|level| level.steps).collect();
        let ended = engine.into_problem().b.values()[0];
        (seen.take(), ended, counted[2], steps[2])
    }};
}

#[test]
fn tasks_of_one_root_are_not_rounds_of_another() {
    // The level with tasks, which hardly moves, takes five steps for each; the other ten of its own, however many tasks those were.
    for (tasks, rounds) in [(2, 2), (2, 1), (3, 2), (2, 4)] {
        let json = format!(r#"{{ "a": {{ "tasks": {tasks} }}, "b": {{ "rounds": {rounds} }} }}"#);
        let (of_tasks, own) = (tasks * 5, rounds * 5);
        let all = of_tasks + own;
        let expected = |first: i32| own_steps(&[first, first + all, first + 2 * all], own);
        let check = |(seen, ended, counted, steps): (Vec<f64>, f64, u64, u64), (losses, b): (Vec<f64>, f64)| {
            assert_close(&seen, &losses, 1e-12);
            assert_close(&[ended], &[b], 1e-12);
            assert_eq!((counted, steps), (all as u64, 3 * all as u64), "{json}");
        };
        check(run_of_both!(TasksFirst, TasksFirstData, TasksFirstConfig, &json), expected(of_tasks));
        check(run_of_both!(TasksLast, TasksLastData, TasksLastConfig, &json), expected(0));
    }
}

/// Between two steps of `b` lie those of both tasks of `a`, all of which read it.
#[test]
fn tasks_of_one_root_are_steps_that_another_is_differentiated_through() {
    let problem = || TasksFirst { a: Vector::new(&[0.0]), b: Vector::new(&[0.3]), net: Vector::new(&[0.2]) };
    for (method, memory) in [("unrolled", ""), ("unrolled", r#", "memory": 4"#)] {
        let json = format!(
            r#"{{ "b": {{ "rounds": 1 }}, "net": {{ "start": "kept", "hypergradient": {{ "method": "{method}"{memory} }} }} }}"#
        );
        let data = TasksFirstData { a: nothing(), b: nothing(), net: numbers() };
        let mut engine = Engine::new(problem(), data, TasksFirstConfig::from_json(&json).unwrap()).unwrap();
        engine.run(3).unwrap();
        let found = engine.into_problem().b.values();
        assert_close(&found, &[0.3 - 3.0 * (1.0 - left_after(10))], 1e-12);
    }
}

const C: f64 = 0.7;

fn top(_top: &Vector, left: &Vector, right: &Vector, _: Nothing) -> Tensor<1> {
    (left.x.val().mul_scalar(2.0) + right.x.val().mul_scalar(3.0)).sum()
}

fn pulled(side: &Vector, top: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(side.x.val() - top.x.val()).mul_scalar(0.5) + square(net.x.val()).mul_scalar(0.5 * C)
}

fn sum(net: &Vector, left: &Vector, right: &Vector, _: Nothing) -> Tensor<1> {
    square(net.x.val() - left.x.val() - right.x.val()).mul_scalar(0.5)
}

multilevel! {
    struct LeftOften;
    level top: Vector { lower: [left, right], batch: Nothing, loss: top, optimizer: sgd(lr = 1.0) }
    level left: Vector {
        upper: [top], lower: [net], batch: Nothing, loss: pulled, optimizer: sgd(lr = 0.1), rounds: 3, hypergradient: dense,
    }
    level right: Vector {
        upper: [top], lower: [net], batch: Nothing, loss: pulled, optimizer: sgd(lr = 0.1), hypergradient: dense,
    }
    level net: Vector {
        upper: [left, right], start: initial, batch: Nothing, loss: sum, optimizer: sgd(lr = 0.1), unroll: 5,
        hypergradient: unrolled,
    }
}

/// Both sides read the level below after all steps that were taken for either.
#[test]
fn implicit_levels_share_the_steps_of_the_one_that_waits_longest() {
    for (left, right) in [(3, 1), (1, 3), (3, 3)] {
        let problem = LeftOften {
            top: Vector::new(&[0.4]),
            left: Vector::new(&[0.1]),
            right: Vector::new(&[-0.2]),
            net: Vector::new(&[0.5]),
        };
        let data = LeftOftenData { top: nothing(), left: nothing(), right: nothing(), net: nothing() };
        let json = format!(r#"{{ "left": {{ "rounds": {left} }}, "right": {{ "rounds": {right} }} }}"#);
        let mut engine = Engine::new(problem, data, LeftOftenConfig::from_json(&json).unwrap()).unwrap();
        engine.run(1).unwrap();
        // (1 + C·s²)·l + C·s²·r = t + …, and the same with l and r exchanged: both move alike.
        let s = 1.0 - left_after(15);
        let moved = 5.0 / (1.0 + 2.0 * C * s * s);
        assert_close(&engine.into_problem().top.values(), &[0.4 - moved], 1e-12);
    }
}

fn towards(side: &Vector, top: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(side.x.val() - top.x.val()).mul_scalar(0.5) + square(net.x.val() - side.x.val()).mul_scalar(0.5 * C)
}

// Whom the upper level waits for first is declared first in one program, and last in the other.
multilevel! {
    struct InOrder;
    level top: Vector { lower: [right, left], batch: Nothing, loss: mixed, optimizer: sgd(lr = 0.1) }
    level right: Vector {
        upper: [top], lower: [net], start: look_ahead, batch: Nothing, loss: towards, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: dense,
    }
    level left: Vector {
        upper: [top], lower: [net], start: look_ahead, batch: Nothing, loss: towards, optimizer: sgd(lr = 0.3), unroll: 2,
        hypergradient: dense,
    }
    level net: Vector { upper: [left, right], batch: Nothing, loss: sum, optimizer: sgd(lr = 0.5), hypergradient: dense }
}

multilevel! {
    struct OutOfOrder;
    level top: Vector { lower: [right, left], batch: Nothing, loss: mixed, optimizer: sgd(lr = 0.1) }
    level left: Vector {
        upper: [top], lower: [net], start: look_ahead, batch: Nothing, loss: towards, optimizer: sgd(lr = 0.3), unroll: 2,
        hypergradient: dense,
    }
    level right: Vector {
        upper: [top], lower: [net], start: look_ahead, batch: Nothing, loss: towards, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: dense,
    }
    level net: Vector { upper: [left, right], batch: Nothing, loss: sum, optimizer: sgd(lr = 0.5), hypergradient: dense }
}

fn mixed(_top: &Vector, right: &Vector, left: &Vector, _: Nothing) -> Tensor<1> {
    (left.x.val().mul_scalar(2.0) + right.x.val().mul_scalar(3.0)).sum()
}

macro_rules! looked_ahead {
    ($program:ident, $data:ident, $config:ident) => {{
        let at = |x: f64| Vector::new(&[x]);
        let problem = $program { top: at(0.4), left: at(0.1), right: at(-0.2), net: at(0.5) };
        let data = $data { top: nothing(), left: nothing(), right: nothing(), net: nothing() };
        let mut engine = Engine::new(problem, data, $config::default()).unwrap();
        engine.run(3).unwrap();
        let $program { top, left, right, net } = engine.into_problem();
        [top, left, right, net].map(|level| level.values()[0])
    }};
}

#[test]
fn steps_ahead_are_taken_again_in_the_order_in_which_they_were_taken() {
    let expected = looked_ahead!(InOrder, InOrderData, InOrderConfig);
    assert_close(&looked_ahead!(OutOfOrder, OutOfOrderData, OutOfOrderConfig), &expected, 1e-12);
}

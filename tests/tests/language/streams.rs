//! Levels that read several batches of one stream at each step.

use std::io;

use betty_runtime::{Engine, Stream, StreamPosition, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::Param;
use burn::tensor::Tensor;

type Vector = Param<Tensor<1>>;

fn square(x: Tensor<1>) -> Tensor<1> {
    x.powi_scalar(2).sum().mul_scalar(0.5)
}

/// Pulled by the first batch, and pushed by half as much by the second.
fn pulled(point: &Vector, _goal: &Vector, batches: Vec<Tensor<1>>) -> Tensor<1> {
    let [first, second] = <[Tensor<1>; 2]>::try_from(batches).unwrap();
    square(point.val() - first) - square(point.val() - second).mul_scalar(0.5)
}

/// The same on one batch, the difference of both: their gradients are the same.
fn pulled_by_one(point: &Vector, _goal: &Vector, batch: Tensor<1>) -> Tensor<1> {
    square(point.val()).mul_scalar(0.5) - (point.val() * batch).sum()
}

fn judge(goal: &Vector, point: &Vector, _: ()) -> Tensor<1> {
    square(point.val() - goal.val())
}

multilevel! {
    struct Several;

    level goal: Vector { lower: [point], batch: (), loss: judge, optimizer: sgd(lr = 0.1) }
    level point: Vector {
        upper: [goal], batch: Vec<Tensor<1>>, loss: pulled, optimizer: sgd(lr = 0.2), unroll: 3, hypergradient: identity,
    }
}

multilevel! {
    struct One;

    level goal: Vector { lower: [point], batch: (), loss: judge, optimizer: sgd(lr = 0.1) }
    level point: Vector {
        upper: [goal], batch: Tensor<1>, loss: pulled_by_one, optimizer: sgd(lr = 0.2), unroll: 3, hypergradient: identity,
    }
}

/// Batches that all differ.
fn at(number: u64) -> f64 {
    (number as f64 * 1.3).sin()
}

fn several() -> Engine<Several> {
    let batches = Stream::batches((0..).map(|number| Ok::<_, io::Error>(tensor(&[at(number)]))));
    let data = SeveralData { goal: ().into(), point: batches.several(2) };
    let problem = Several { goal: parameter(&[0.4]), point: parameter(&[-0.7]) };
    Engine::new(problem, data, SeveralConfig::default()).unwrap().unread("point", "goal").unwrap()
}

#[test]
fn a_step_takes_so_many_batches_in_order() {
    let pairs = (0..).map(|pair: u64| at(2 * pair) - 0.5 * at(2 * pair + 1));
    let data =
        OneData { goal: ().into(), point: Stream::batches(pairs.map(|both| Ok::<_, io::Error>(tensor(&[both])))) };
    let problem = One { goal: parameter(&[0.4]), point: parameter(&[-0.7]) };
    let mut one = Engine::new(problem, data, OneConfig::default()).unwrap().unread("point", "goal").unwrap();
    let mut several = several();
    several.run(4).unwrap();
    one.run(4).unwrap();
    let (found, expected) = (values(&several.problem().point)[0], values(&one.problem().point)[0]);
    assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
    let (found, expected) = (values(&several.problem().goal)[0], values(&one.problem().goal)[0]);
    assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
}

#[test]
fn a_resumed_run_takes_the_batches_that_come_next() {
    let (mut whole, mut first, mut resumed) = (several(), several(), several());
    whole.run(4).unwrap();
    first.run(3).unwrap();
    resumed.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    resumed.run(1).unwrap();
    assert_eq!(values(&resumed.problem().point), values(&whole.problem().point));
}

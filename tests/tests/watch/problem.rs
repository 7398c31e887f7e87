//! Two levels of a few numbers, with data that change from step to step.

use std::path::Path;

use betty_runtime::{Batch, Engine, Event, Goal, Measured, ProgramConfig, Score, Stream, Validation, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

#[derive(Module, Debug)]
pub(crate) struct Point {
    pub(crate) at: Param<Tensor<1>>,
}

impl Point {
    pub(crate) fn new(at: &[f32]) -> Self {
        Point { at: Param::from_tensor(Tensor::from_floats(at, &Device::flex())) }
    }
}

#[derive(Batch, Clone, Debug)]
pub(crate) struct Target {
    at: Tensor<1>,
}

fn below(x: &Point, y: &Point, batch: Target) -> Measured {
    let far = (x.at.val() - batch.at).square();
    let bound = (y.at.val() * x.at.val().square()).sum() * 0.5;
    Measured::new(far.clone().sum() + bound).with("worst, by far", far.max())
}

fn above(y: &Point, x: &Point, batch: Target) -> Tensor<1> {
    (x.at.val() - batch.at).square().sum() + (y.at.val() - 1.0).square().sum()
}

multilevel! {
    pub(crate) struct Pair;

    level y: Point {
        lower: [x],
        batch: Target,
        loss: above,
        optimizer: adam(lr = 0.05),
    }
    level x: Point {
        upper: [y],
        batch: Target,
        loss: below,
        optimizer: sgd(lr = 0.1, momentum = 0.5),
        unroll: 2,
        hypergradient: cg(iterations = 3, damping = 1e-3),
    }
}

fn targets(shift: f32) -> impl Iterator<Item = Result<Target, std::io::Error>> {
    (0..).map(move |number| {
        let at = (number as f32 * 0.7 + shift).sin();
        Ok(Target { at: Tensor::from_floats([at, 0.5 - at, shift], &Device::flex()) })
    })
}

pub(crate) fn engine() -> Engine<Pair> {
    unvalidated().validate(validation())
}

pub(crate) fn unvalidated() -> Engine<Pair> {
    with_config("{}")
}

/// Without validation, with these numbers.
pub(crate) fn with_config(json: &str) -> Engine<Pair> {
    let problem = Pair { y: Point::new(&[0.3, 0.5, 0.9]), x: Point::new(&[0.0, 1.0, -1.0]) };
    let data = PairData { y: Stream::batches(targets(0.2)), x: Stream::batches(targets(0.4)) };
    Engine::new(problem, data, PairConfig::from_json(json).unwrap()).unwrap().seed(11)
}

pub(crate) fn validation() -> Validation<Pair> {
    let distance = |problem: &Pair| {
        let at: Vec<f32> = problem.x.at.val().into_data().try_to_vec()?;
        Ok(Score::new(f64::from(at[0].abs())).with("last", f64::from(at[2])))
    };
    Validation::every::<Score>(3, Goal::Min, distance)
}

/// What an event is called, and what tells it from others of its kind.
pub(crate) fn told(event: &Event<'_>) -> String {
    format!("{event:?}")
}

pub(crate) fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

//! Levels that let their first turns pass.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, Event, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::problem::{CleaningConfig, data, logits, problem};

#[test]
fn a_level_that_warms_up_lets_its_turns_pass() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let mut config = CleaningConfig::default();
    config.weights.warmup = 2;
    let mut engine = Engine::new(problem(0.0), data(), config).unwrap().observe(move |event| match event {
        Event::Step { name, step, .. } => log.borrow_mut().push(format!("{name} {step}")),
        Event::Hypergradient { .. } => log.borrow_mut().push("hypergradient".into()),
        _ => {}
    });
    let untouched = logits(engine.problem());
    let report = engine.run(1).unwrap();
    assert_eq!((report.levels[0].steps, report.levels[0].loss), (0, None));
    // The count goes on over runs.
    engine.run(1).unwrap();
    assert_eq!(*seen.borrow(), ["model 1", "model 2", "model 3", "model 4", "model 5", "model 6"]);
    assert_eq!(logits(engine.problem()), untouched);
    engine.run(1).unwrap();
    assert_eq!(seen.borrow()[6..], ["model 7", "model 8", "model 9", "hypergradient", "weights 1"]);
}

/// A chain in which the level in the middle warms up: its lower level steps as if it did not.
#[test]
fn a_middle_level_that_warms_up_keeps_the_rhythm() {
    let seen = Rc::new(RefCell::new(String::new()));
    let log = Rc::clone(&seen);
    let problem = Chain { top: Scalar::new(), middle: Scalar::new(), bottom: Scalar::new() };
    let data = ChainData { top: Stream::constant(()), middle: Stream::constant(()), bottom: Stream::constant(()) };
    let mut engine = Engine::new(problem, data, ChainConfig::default()).unwrap().observe(move |event| {
        if let Event::Step { name, .. } = event {
            log.borrow_mut().push_str(&name[..1]);
        }
    });
    engine.run(2).unwrap();
    assert_eq!(*seen.borrow(), "bbbbtbbmbbmt");
}

#[derive(Module, Debug)]
pub(crate) struct Scalar {
    x: Param<Tensor<1>>,
}

impl Scalar {
    fn new() -> Self {
        Scalar { x: Param::from_tensor(Tensor::ones([1], &Device::flex())) }
    }

    fn square(&self) -> Tensor<1> {
        self.x.val() * self.x.val()
    }
}

multilevel! {
    pub(crate) struct Chain;

    level top: Scalar { lower: [middle], batch: (), loss: top_loss, optimizer: sgd(lr = 0.1) }
    level middle: Scalar {
        upper: [top], lower: [bottom], batch: (), loss: middle_loss, optimizer: sgd(lr = 0.1),
        unroll: 2, warmup: 1, hypergradient: identity,
    }
    level bottom: Scalar {
        upper: [middle], batch: (), loss: bottom_loss, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: identity,
    }
}

fn top_loss(_: &Scalar, middle: &Scalar, (): ()) -> Tensor<1> {
    middle.square()
}

fn middle_loss(middle: &Scalar, top: &Scalar, bottom: &Scalar, (): ()) -> Tensor<1> {
    middle.square() * top.square() + bottom.square()
}

fn bottom_loss(bottom: &Scalar, middle: &Scalar, (): ()) -> Tensor<1> {
    bottom.square() * middle.square()
}

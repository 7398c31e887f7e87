//! An observer of one's own, with a state, which reads the program and ends the run.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use betty_runtime::error::DataError;
use betty_runtime::{Current, Engine, EngineError, Event, Multilevel, Observer, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

use super::optimizer::{Point, distance};

multilevel! {
    struct Halving;

    level x: Point { batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 0.25) }
}

/// Keeps what the losses were, and ends a run when one is small enough.
struct Until<S> {
    loss: f64,
    seen: Rc<RefCell<Vec<S>>>,
    of: fn(f64) -> S,
}

impl<P: Multilevel, S: 'static> Observer<P> for Until<S> {
    fn hear(&mut self, event: &Event<'_>, _program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        let Event::Step { loss, .. } = *event else { return Ok(ControlFlow::Continue(())) };
        self.seen.borrow_mut().push((self.of)(loss));
        Ok(if loss < self.loss { ControlFlow::Break(format!("a loss of {loss}")) } else { ControlFlow::Continue(()) })
    }
}

#[test]
fn it_hears_of_every_step_and_ends_the_run() -> Result<(), EngineError> {
    let device = Device::flex();
    let point = |value: f32| Tensor::<1>::from_floats([value], &device);
    let data = HalvingData { x: Stream::constant(point(0.0)) };
    let problem = Halving { x: Param::from_tensor(point(1.0)) };
    let seen = Rc::new(RefCell::new(Vec::new()));
    let until = Until { loss: 0.01, seen: Rc::clone(&seen), of: |loss| loss };
    let mut engine = Engine::new(problem, data, HalvingConfig::default())?.attach(until);
    let report = engine.run(100)?;
    // Each step halves x.
    assert_eq!(*seen.borrow(), [1.0, 0.25, 0.0625, 0.015625, 0.00390625]);
    assert_eq!(report.iterations, 5);
    Ok(())
}

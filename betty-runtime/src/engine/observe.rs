//! Observers: told what happens in a run, shown the program, and asked whether to go on.

use std::ops::ControlFlow;

use super::current::Current;
use super::event::Event;
use super::host::Present;
use super::multilevel::Multilevel;
use super::train::Engine;
use super::verdict::Verdict;
use super::watch::{Answer, Stop};

impl<P: Multilevel> Engine<P> {
    /// Calls `observer` at every [`Event`].
    #[must_use]
    pub fn observe(mut self, mut observer: impl FnMut(&Event<'_>) + 'static) -> Self {
        let listener = move |event: &Event<'_>, _: &mut Present<'_>| {
            observer(event);
            Answer::default()
        };
        self.run.watch.observers.push(Box::new(listener));
        self
    }

    /// Calls `observer` at every [`Event`], with the program as it is then, and lets it end the run: an observer that answers
    /// `ControlFlow::Break` with a reason ends it after the iteration in hand, as [`stop_when`](Self::stop_when) does. The run is
    /// saved then, if it shall be, can be gone on with, and its [`Report`](crate::Report) says why it ended.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # use betty_runtime::{EngineError, Stream, multilevel};
    /// use betty_runtime::{Engine, Event};
    /// # use burn::module::Param;
    /// # use burn::tensor::{Device, Tensor};
    /// # type Point = Param<Tensor<1>>;
    /// # fn below(x: &Point, y: &Point, _batch: ()) -> Tensor<1> { (x.val() - y.val()).square().sum() }
    /// # fn above(y: &Point, x: &Point, _batch: ()) -> Tensor<1> { (x.val() * y.val() - 1.0).square().sum() }
    /// # multilevel! {
    /// #     struct Pair;
    /// #     level y: Point { lower: [x], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    /// #     level x: Point {
    /// #         upper: [y], batch: (), loss: below, optimizer: sgd(lr = 0.1), hypergradient: cg(iterations = 2, damping = 0.0),
    /// #     }
    /// # }
    /// # fn main() -> Result<(), EngineError> {
    /// # let point = |at: f32| Param::from_tensor(Tensor::<1>::from_floats([at], &Device::flex()));
    /// # let problem = Pair { y: point(0.5), x: point(0.0) };
    /// # let data = PairData { y: Stream::constant(()), x: Stream::constant(()) };
    /// let mut engine = Engine::new(problem, data, PairConfig::default())?.watch(|event, program| {
    ///     let far = |at: f32| (at - 1.0).abs() > 1e-2;
    ///     match event {
    ///         Event::Iteration { .. } if !far(program.y.val().into_scalar()) => ControlFlow::Break("it is near enough"),
    ///         _ => ControlFlow::Continue(()),
    ///     }
    /// });
    /// let report = engine.run(1000)?;
    /// assert!(report.interrupted && report.iterations < 1000);
    /// assert_eq!(report.reason.as_deref(), Some("it is near enough"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch<V: Verdict>(mut self, mut observer: impl FnMut(&Event<'_>, &Current<'_, P>) -> V + 'static) -> Self {
        let listener = move |event: &Event<'_>, present: &mut Present<'_>| {
            let stop = match observer(event, &Current::new(present)).verdict() {
                ControlFlow::Continue(()) => None,
                ControlFlow::Break(reason) => Some(Stop::Asked(reason)),
            };
            Answer { stop, ..Answer::default() }
        };
        self.run.watch.observers.push(Box::new(listener));
        self
    }
}

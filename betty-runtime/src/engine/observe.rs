//! Observers: told what happens in a run, shown the program, and asked whether to go on.

use std::ops::ControlFlow;

use super::current::Current;
use super::host::Present;
use super::multilevel::Multilevel;
use super::train::Engine;
use super::watch::{Answer, Looks, Stop, Told};
use crate::error::DataError;
use crate::event::{Event, Verdict};

/// An observer that is a value of its own, for [`Engine::attach`]: what serves many programs, or has a state to be asked for.
/// Closures are given to [`Engine::watch`].
///
/// ```
/// use std::ops::ControlFlow;
///
/// use betty_runtime::{Current, Event, Multilevel, Observer};
///
/// /// Ends a run when the loss of a level is small enough.
/// struct Until {
///     level: &'static str,
///     loss: f64,
/// }
///
/// impl<P: Multilevel> Observer<P> for Until {
///     fn hear(
///         &mut self,
///         event: &Event<'_>,
///         _program: &Current<'_, P>,
///     ) -> Result<ControlFlow<String>, betty_runtime::error::DataError> {
///         Ok(match *event {
///             Event::Step { name, loss, .. } if name == self.level && loss < self.loss => {
///                 ControlFlow::Break(format!("the loss of `{name}` is {loss}"))
///             }
///             _ => ControlFlow::Continue(()),
///         })
///     }
/// }
/// ```
pub trait Observer<P: Multilevel>: 'static {
    /// Hears of an event, with the program as it is then, and answers whether the run goes on, and if not, why.
    ///
    /// # Errors
    /// What could not be done; it ends the run after the iteration in hand, with
    /// [`EngineError::ObserverFailed`](crate::EngineError::ObserverFailed).
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError>;

    /// Whether it wants to hear of [`Event::Parts`]: three inner products for every hypergradient, which are read together with
    /// all else.
    fn asks_for_parts(&self) -> bool {
        false
    }

    /// After which iterations it looks at the program, or saves it, at [`Event::Iteration`]: with
    /// [`read_every`](Engine::read_every), everything is read by then. Asked once, when it is attached; after every iteration, unless it
    /// says otherwise. At other times it would see the program of a later iteration, and cannot save it.
    fn looks(&self) -> Looks {
        Looks::Every(1)
    }
}

impl<P: Multilevel> Engine<P> {
    /// Calls `observer` at every [`Event`].
    #[must_use]
    pub fn observe(mut self, mut observer: impl FnMut(&Event<'_>) + 'static) -> Self {
        let listener = move |event: &Event<'_>, _: &mut Present<'_>| {
            observer(event);
            Answer::default()
        };
        self.run.watch.observers.push(Box::new(listener));
        self.run.watch.looks.push(Looks::Never);
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
    pub fn watch<V: Verdict>(self, mut observer: impl FnMut(&Event<'_>, &Current<'_, P>) -> V + 'static) -> Self {
        self.listen(false, Looks::Every(1), move |event, program| observer(event, program).verdict())
    }

    /// As [`watch`](Self::watch), for somebody who hears and warns, but looks at no parameter.
    pub(crate) fn listen_in<V: Verdict>(
        self,
        mut observer: impl FnMut(&Event<'_>, &Current<'_, P>) -> V + 'static,
    ) -> Self {
        self.listen(false, Looks::Never, move |event, program| observer(event, program).verdict())
    }

    /// Attaches an observer that is a value of its own, such as those of [`watch`](crate::watch). Of several ranks only
    /// the first one tells it anything, so that one of them prints and writes for all.
    #[must_use]
    pub fn attach(mut self, mut observer: impl Observer<P>) -> Self {
        self.run.program.tells_parts |= observer.asks_for_parts();
        let looks = observer.looks();
        self.listen(true, looks, move |event, program| observer.hear(event, program))
    }

    /// Tells observers of [`Event::Parts`], which closures cannot ask for; off by default.
    #[must_use]
    pub fn parts(mut self, tell: bool) -> Self {
        self.run.program.tells_parts = tell;
        self
    }

    fn listen(
        mut self,
        first: bool,
        looks: Looks,
        mut observer: impl FnMut(&Event<'_>, &Current<'_, P>) -> Result<ControlFlow<String>, DataError> + 'static,
    ) -> Self {
        let listener = move |event: &Event<'_>, present: &mut Present<'_>| {
            if first && !present.run.is_first() {
                return Answer::default();
            }
            let program = Current::new(present);
            let verdict = observer(event, &program);
            let tell = program.into_warnings().into_iter().map(Told::Warning).collect();
            let (stop, failure) = match verdict {
                Ok(ControlFlow::Continue(())) => (None, None),
                Ok(ControlFlow::Break(reason)) => (Some(Stop::Asked(reason)), None),
                Err(error) => (None, Some(error)),
            };
            Answer { stop, tell, failure, ..Answer::default() }
        };
        self.run.watch.observers.push(Box::new(listener));
        self.run.watch.looks.push(looks);
        self
    }
}

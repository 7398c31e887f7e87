//! A run: iterations of the schedule, until there are enough or one of several reasons to stop.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::error::EngineError;
use super::event::Event;
use super::program::Multilevel;
use super::progress::Progress;
use super::train::Engine;
use super::validation::Validation;
use crate::panic::caught;

/// Says whether a run shall end.
pub(super) type Stop = Box<dyn FnMut() -> bool>;

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Iterations of this run.
    pub iterations: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Each level, in declaration order: name, steps taken in all, and the last loss seen in this run.
    pub levels: Vec<LevelReport>,
    /// Best value of the validation function and the iteration it was seen at, if there is one.
    pub best: Option<(u64, f64)>,
    /// Whether validation did not improve for long enough to stop before the end.
    pub stopped_early: bool,
    /// Whether it ended before its last iteration because [`stop_when`](Engine::stop_when) said so.
    pub interrupted: bool,
}

/// What a run did to one level.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelReport {
    /// The level's name.
    pub name: &'static str,
    /// Steps taken since the engine was made, without those that were undone.
    pub steps: u64,
    /// Loss at its last step in this run, if it took one.
    pub loss: Option<f64>,
    /// What the loss function reports beside the loss, at the level's last step.
    pub metrics: Vec<(Rc<str>, f64)>,
}

impl<P: Multilevel> Engine<P> {
    /// Runs the schedule for a number of iterations. Can be called again to go on.
    ///
    /// # Errors
    /// [`EngineError`]; the state after the last completed step is kept and usable.
    pub fn run(&mut self, iterations: u64) -> Result<Report, EngineError> {
        if iterations == 0 {
            return Err(EngineError::NoIterations);
        }
        self.iterate(self.iterations.saturating_add(iterations), false)
    }

    /// Runs the schedule until there are this many iterations in all, those before a checkpoint included. A run that has
    /// that many already, or that validation has stopped early, is left as it is: calling this again changes nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_until(&mut self, iterations: u64) -> Result<Report, EngineError> {
        let is_over = self.validation.as_ref().is_some_and(Validation::is_over);
        self.iterate(iterations, is_over)
    }

    /// Ends a run when `stop` says so: it is asked before the first and after every iteration, which is not broken off. A
    /// checkpoint that [`save_every`](Self::save_every) asks for is written then, as at the end of every run, so that a
    /// [resumed](Self::resume) run goes on as if nothing had happened.
    ///
    /// ```no_run
    /// # use betty_runtime::{Engine, EngineError, Multilevel};
    /// # fn example<P: Multilevel>(engine: Engine<P>) -> Result<(), EngineError> {
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// let stop = Arc::new(AtomicBool::new(false)); // set by a handler of signals, or by another thread
    /// let asked = Arc::clone(&stop);
    /// let mut engine = engine.save_every(100, "run.safetensors").stop_when(move || asked.load(Ordering::Relaxed));
    /// if engine.run_until(1000)?.interrupted {
    ///     println!("saved after iteration {}", engine.iterations());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stop_when(mut self, stop: impl FnMut() -> bool + 'static) -> Self {
        self.stop = Some(Box::new(stop));
        self
    }

    /// Iterations until there are enough in all, or validation is over, or the run is asked to stop.
    fn iterate(&mut self, until: u64, mut stopped_early: bool) -> Result<Report, EngineError> {
        self.check_edited()?;
        self.observer_panic = None;
        let (start, first) = (Instant::now(), self.iterations);
        let mut losses = vec![None; self.levels.len()];
        let mut interrupted = self.is_interrupted(until, stopped_early);
        let is_due = !interrupted && !stopped_early && first < until;
        if is_due {
            self.check_saves()?;
        }
        let mut progress = (self.progress && is_due).then(|| Progress::new(P::SCHEDULE.name, until - first));
        while self.iterations < until && !stopped_early && !interrupted {
            for &root in P::SCHEDULE.roots {
                self.advance(root, &mut losses)?;
            }
            self.iterations += 1;
            self.emit(&Event::Iteration { iteration: self.iterations });
            stopped_early = self.run_validation()?;
            interrupted = self.is_interrupted(until, stopped_early);
            self.save_if_due(stopped_early || interrupted || self.iterations == until)?;
            self.check_observers()?;
            if let Some(progress) = &mut progress {
                progress.update(self.levels.iter().map(|level| level.name).zip(losses.iter().copied()));
            }
        }
        let levels = self.levels.iter().zip(losses);
        Ok(Report {
            iterations: self.iterations - first,
            elapsed: start.elapsed(),
            levels: levels
                .map(|(level, loss)| LevelReport {
                    name: level.name,
                    steps: level.steps,
                    loss,
                    metrics: level.metrics.clone(),
                })
                .collect(),
            best: self.validation.as_ref().and_then(Validation::best),
            stopped_early,
            interrupted,
        })
    }

    /// Whether the run shall end here, although there is something left to do.
    fn is_interrupted(&mut self, until: u64, stopped_early: bool) -> bool {
        self.iterations < until && !stopped_early && self.stop.as_mut().is_some_and(|stop| stop())
    }

    fn run_validation(&mut self) -> Result<bool, EngineError> {
        let Some(mut validation) = self.validation.take() else { return Ok(false) };
        let iteration = self.iterations;
        let answer = if validation.is_due(iteration) {
            self.sync();
            let called = caught(|| validation.call(&self.problem, iteration));
            called.unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into())).map(Some)
        } else {
            Ok(None)
        };
        let stop = validation.is_over();
        self.validation = Some(validation);
        match answer {
            Ok(Some((value, best))) => self.emit(&Event::Validation { iteration, value, best }),
            Ok(None) => {}
            Err(source) => return Err(EngineError::Validation { iteration, source }),
        }
        Ok(stop)
    }
}

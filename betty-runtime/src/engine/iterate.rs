//! Iterations of the schedule, until there are enough or one of several reasons to stop.

use std::time::Instant;

use super::multilevel::Multilevel;
use super::progress::progress;
use super::train::Engine;
use crate::error::EngineError;
use crate::event::{Event, Report, about, of_error};

impl<P: Multilevel> Engine<P> {
    /// Runs the schedule for a number of iterations. Can be called again to go on.
    ///
    /// # Errors
    /// [`EngineError`]; the state after the last completed step is kept and usable.
    pub fn run(&mut self, iterations: u64) -> Result<Report, EngineError> {
        if iterations == 0 {
            return Err(EngineError::NoIterations);
        }
        self.iterate(self.run.iterations.saturating_add(iterations), false)
    }

    /// Runs the schedule until there are this many iterations in all, those before a checkpoint included. A run that has
    /// that many already, or that validation has stopped early, is left as it is: calling this again changes nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_until(&mut self, iterations: u64) -> Result<Report, EngineError> {
        let is_over = self.validation.as_ref().is_some_and(|validation| validation.borrow().is_over());
        self.iterate(iterations, is_over)
    }

    /// Ends a run when `stop` says so: it is asked before the first and after every iteration, which is not broken off. A
    /// checkpoint that [`save_every`](Self::save_every) asks for is written then, as at the end of every run, so that a
    /// [resumed](Self::resume) run goes on as if nothing had happened. An observer can end a run as well: [`watch`](Self::watch).
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
    fn iterate(&mut self, until: u64, stopped_early: bool) -> Result<Report, EngineError> {
        self.run.watch.begin();
        self.run.losses.fill(None);
        let mut started = false;
        let report = self.on_all_ranks("run", |engine| engine.iterate_until(until, stopped_early, &mut started));
        // When all ranks have ended it.
        let report = match report {
            Ok(mut report) if started => self.on_all_ranks("comparison of parameters", |engine| {
                engine.run.check_at_end()?;
                // Observers of one rank alone may have said why, also of an iteration that was the last one in any case.
                report.reason = engine.run.reason_of_any(report.reason)?;
                Ok(report)
            }),
            report => report,
        };
        self.run.watch.progress = None;
        let report = match started {
            true => self.end(report),
            false => report,
        };
        self.free_saves();
        report
    }

    /// Tells everybody that a run is over.
    fn end(&mut self, report: Result<Report, EngineError>) -> Result<Report, EngineError> {
        let reason = match &report {
            Err(error) => Some(error.to_string()),
            Ok(Report { reason: Some(reason), .. }) => Some(reason.clone()),
            Ok(Report { stopped_early: true, .. }) => Some("validation did not improve".to_owned()),
            Ok(Report { interrupted: true, .. }) => Some("it was asked to stop".to_owned()),
            Ok(_) => None,
        };
        let of_other = self.run.ill.take();
        if let Err(error) = &report
            && let Some(about) = about(error).or(of_other)
        {
            self.emit(&Event::Warning(&of_error(error, about)));
        }
        self.emit(&Event::Ended { iteration: self.run.iterations, reason: reason.as_deref() });
        let ended = self.run.check_observers_of_all();
        report.and_then(|report| ended.map(|()| report))
    }

    fn iterate_until(
        &mut self,
        until: u64,
        mut stopped_early: bool,
        started: &mut bool,
    ) -> Result<Report, EngineError> {
        let (start, first) = (Instant::now(), self.run.iterations);
        let mut interrupted;
        let is_asked = self.is_asked(until, stopped_early);
        [stopped_early, interrupted, _] = self.is_over(until, stopped_early, is_asked)?;
        if !interrupted && !stopped_early && first < until {
            self.check_saves()?;
            // Where one rank cannot write, none begins.
            self.run.on_any([])?;
            self.show_progress(until - first);
            *started = true;
            self.emit(&Event::Started { iteration: first, until });
            self.run.check_observers()?;
            [interrupted] = self.run.on_any([self.run.watch.reason.is_some()])?;
        }
        while self.run.iterations < until && !stopped_early && !interrupted {
            let taken = self.run.turns.taken.clone();
            self.begin_pending();
            self.run.within_iteration = true;
            let iterated = self.advance().once();
            self.run.within_iteration = false;
            self.run.iterations += u64::from(iterated.is_ok());
            let is_pending = iterated.is_ok() && self.run.pending.is_some();
            let mut is_asked = is_pending && self.is_asked(until, false);
            if is_pending && !is_asked && !self.is_reading_due(until) {
                self.tell_later_of_iteration();
                continue;
            }
            if !self.read_pending()? {
                continue;
            }
            if let Err(error) = iterated {
                self.run.watched.has_failed();
                let is_whole = self.run.data.failed && self.run.turns.taken == taken;
                return Err(if is_whole && self.run.iterations > first { self.saved(error) } else { error });
            }
            self.emit(&Event::Iteration { iteration: self.run.iterations });
            if let Some(error) = self.run.watch.error.take() {
                return Err(self.saved(error));
            }
            is_asked = is_asked || !is_pending && self.is_asked(until, self.run.watch.is_over);
            let has_failed;
            [stopped_early, interrupted, has_failed] =
                self.is_over(until, self.run.watch.is_over, is_asked).map_err(|error| self.saved(error))?;
            self.run.check_ranks()?;
            let is_over = stopped_early || interrupted || self.run.iterations == until;
            let is_last = is_over || has_failed;
            self.save_if_due(is_last)?;
            if !is_last && self.run.watch.reason.is_some() && self.run.ranks().is_none() {
                // An observer that was told of the save; other ranks learn of it after their next iteration.
                interrupted = true;
                self.save_if_due(true)?;
            }
            self.run.check_observers()?;
        }
        Ok(Report {
            iterations: self.run.iterations - first,
            elapsed: start.elapsed(),
            levels: self.run.level_reports(),
            best: self.validation.as_ref().and_then(|validation| validation.borrow().best()),
            stopped_early,
            interrupted,
            reason: self.run.watch.reason.take(),
        })
    }

    /// Whether the run is over, because validation says so on any rank, or shall end here, although there is something left to do,
    /// and whether an observer has failed on any.
    fn is_over(&mut self, until: u64, stopped_early: bool, is_asked: bool) -> Result<[bool; 3], EngineError> {
        let can_end = self.run.iterations < until && !stopped_early;
        let interrupted = can_end && (self.run.watch.reason.is_some() || is_asked);
        let has_failed = self.run.watch.failure.is_some() || self.run.watch.panic.is_some();
        let [stopped_early, interrupted, has_failed] = self.run.on_any([stopped_early, interrupted, has_failed])?;
        Ok([stopped_early, interrupted && !stopped_early, has_failed])
    }

    /// Whether `stop_when` says that the run shall end here, where that is a question.
    fn is_asked(&mut self, until: u64, stopped_early: bool) -> bool {
        let is_question = self.run.iterations < until && !stopped_early && self.run.watch.reason.is_none();
        is_question && self.stop.as_mut().is_some_and(|stop| stop())
    }

    /// Shows how far a run of so many iterations is, if that is wanted.
    fn show_progress(&mut self, iterations: u64) {
        if self.progress && self.run.is_first() {
            let levels = P::SCHEDULE.levels.iter().map(|level| level.name).collect();
            self.run.watch.progress = Some(progress(P::SCHEDULE.name, iterations, levels));
        }
    }
}

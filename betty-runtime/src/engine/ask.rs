//! Questions about the current point, whose answers change nothing.

use super::host::Host;
use super::multilevel::Multilevel;
use super::run::{Below, Run};
use super::train::Engine;
use crate::error::EngineError;
use crate::event::Event;
use crate::program::{Explanation, HypergradientCheck, TotalGradient, Use};

impl<P: Multilevel> Engine<P> {
    /// The total gradient (direct and indirect) of a level at the current point, on its next batch, without a step: what the
    /// level's next step would follow if it were taken now.
    ///
    /// Nothing is changed: batches that were looked at, of this level and of those below, are the next ones again, and warm
    /// starts are those of the last step.
    ///
    /// # Errors
    /// [`EngineError`] as for a step.
    pub fn gradient(&mut self, level: &str) -> Result<TotalGradient, EngineError> {
        let k = self.run.program.level(level)?;
        let found = self.ask(k, &format!("gradient of `{level}`"), |run, host| run.look_at_gradient(host, k));
        let found = found?;
        self.run.check_observers_of_all()?;
        Ok(found)
    }

    /// Counts what one iteration will take, from the shapes of the next batches: kernels, floating-point operations, bytes,
    /// memory, and reads that wait for the device. Iterative solvers count with all their iterations.
    ///
    /// Losses are traced, verified and differentiated as their first steps would; no step is taken, and no batch is used up. Observers
    /// are told ([`Event::Explained`]).
    ///
    /// # Errors
    /// [`EngineError`] as for a first step.
    pub fn explain(&mut self) -> Result<Explanation, EngineError> {
        let explanation = self.ask(0, "count of what an iteration takes", |run, host| {
            let levels = 0..run.program.levels.len();
            let points = levels.map(|level| run.draw(host, level)).collect::<Result<Vec<_>, _>>()?;
            run.program.explain(host, &points)
        })?;
        self.tell(&Event::Explained(&explanation))?;
        Ok(explanation)
    }

    /// Compares the hypergradient of a level, by the methods that are configured, with a reference at the current point: the
    /// exact derivative of the best responses, by elimination for small levels and by long runs of minimal residuals for
    /// others, without damping, and without the rounding of a level's `precision`. Where the reference does not converge, as
    /// its residual tells, nothing is judged: see [`HypergradientCheck::is_judged`].
    ///
    /// Two total gradients, up to some thousand products, and the memory of 60 vectors of the size of a level's parameters;
    /// nothing is changed, and the batches stay the next ones. Observers are told ([`Event::Checked`]).
    ///
    /// # Errors
    /// [`EngineError`] as for a step; [`EngineError::NoHypergradient`] for a level whose gradient is only direct, and
    /// [`EngineError::NoReference`] for one that passes through what the exact derivative of a best response knows nothing of:
    /// numbers of an optimizer, where steps begin, `after_step`, and the set in `project`.
    pub fn verify_hypergradient(&mut self, level: &str) -> Result<HypergradientCheck, EngineError> {
        let k = self.run.program.level(level)?;
        self.run.program.check_reference(k)?;
        let check = self.ask(k, &format!("verification of the hypergradient of `{level}`"), |run, host| {
            let own = run.draw(host, k)?;
            // Both sides see the same batches below.
            let stops = run.program.schedule.levels[k].sweep.iter().map(|stop| stop.level).collect();
            let sample = run.sample_below(host, own, stops, Below::Last)?;
            run.program.compare(host, k, &sample)
        })?;
        self.tell(&Event::Checked(&check))?;
        Ok(check)
    }

    /// Tells observers what a question came to.
    fn tell(&mut self, event: &Event<'_>) -> Result<(), EngineError> {
        let Engine { problem, run, .. } = self;
        run.emit(problem, event);
        run.check_observers_of_all()
    }

    /// Answers a question about level `k`, for `what`, as all ranks must agree on it. Whatever the answer, the batches that it looked
    /// at are the next ones again.
    fn ask<T>(
        &mut self,
        k: usize,
        what: &str,
        question: impl FnOnce(&mut Run, &mut dyn Host) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.on_all_ranks(what, |engine| {
            let Engine { problem, run, .. } = engine;
            let mark = run.data.mark();
            let answer = run.guarded(k, |run| question(run, problem));
            run.data.undo(mark);
            answer
        })
    }
}

impl Run {
    fn look_at_gradient(&mut self, host: &mut dyn Host, k: usize) -> Result<TotalGradient, EngineError> {
        let (sample, passings) = self.sample(host, k, Use::Value)?;
        self.program.prepare(host, k, &sample, &passings)?;
        let mut found = self.program.find_gradient(k, &sample, passings)?;
        self.tell_of_asked_solves(host, k, std::mem::take(&mut found.reports));
        self.program.total(k, found)
    }
}

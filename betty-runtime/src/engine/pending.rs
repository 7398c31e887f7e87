//! Steps that are taken while nobody has read yet what the steps before came to.
//!
//! Whether where a step leads is finite is found out later, for all of them in one transfer. So the run remembers where it stood
//! before the first of them. If all went well, everybody is told now what happened, in order. If not, the run goes back there, and
//! takes the steps again while it reads each of them: the one that fails is found with its error, and all before it stand.

use super::host::Host;
use super::multilevel::Multilevel;
use super::run::Run;
use super::train::Engine;
use super::untold::{Known, KnownStep, Pending, StepNumbers, UnreadStep, Untold, read};
use crate::error::EngineError;
use crate::event::{Event, Warning};

impl<P: Multilevel> Engine<P> {
    /// Lets `iterations` pass (at least 1) until the host reads what their steps came to: losses, norms, and whether all is finite, in
    /// one transfer. By default it reads each step, and waits each time until the device has done all that it was given. On the CPU
    /// nothing is to be had by this.
    ///
    /// Nothing of what is promised is given up. If a step led to what is not finite, or something else failed, the run goes back to
    /// where it last read, and takes the steps again with every number read: the error names the step, and the state is that
    /// of the step before, to the bit. Results are the same. Observers hear of steps once they have been read, so that nothing that is
    /// written has to be taken back.
    ///
    /// Steps that stand although something is not finite, such as an entry of a parameter that was `-inf` before, are taken twice the
    /// first time. Each step is read then, for longer each time that this is so, and a warning `reading` says it.
    ///
    /// It reads sooner where somebody looks: before validation and checkpoints, at the end of a run, when it is asked to stop, and
    /// wherever an [observer](crate::Observer::looks) looks at the program, which closures of [`watch`](Self::watch) do after every
    /// iteration. What an observer sees at a step is then the program after the last iteration, time between events says nothing, and
    /// a run that an observer ends goes on until the next reading.
    ///
    /// It takes the memory of a copy of all parameters and states of optimizers, and of the batches of so many iterations. Methods
    /// that decide by numbers read them as before, as [`explain`](Self::explain) counts them, and so do [solvers](crate::Solver). With
    /// [ranks](Self::distributed) every step is read, because sums over ranks pass through the host in any case.
    #[must_use]
    pub fn read_every(mut self, iterations: u64) -> Self {
        self.read_every = Some(iterations.max(1));
        self
    }

    /// Lets the coming iteration pass without reading its steps, if that is wanted and was not found to fail.
    pub(super) fn begin_pending(&mut self) {
        let mut is_watched = self.run.iterations < self.run.watched.until;
        if !is_watched && std::mem::take(&mut self.run.watched.all_stood) {
            self.watch_longer();
            is_watched = true;
        }
        if self.read_every.is_some() && !is_watched && self.run.ranks.is_none() && self.run.pending.is_none() {
            let iterations = self.run.iterations;
            let (before, unchecked) = (self.run.savepoint(), self.run.program.losses.unchecked());
            self.run.pending = Some(Pending { before, iterations, unchecked, untold: Vec::new() });
            self.run.program.unread = Some(Vec::new());
        }
    }

    /// What was read later and found not to be finite stands when each step is read, which looks closer: at which entries were finite
    /// before, and at norms in double precision. As long as that is so, steps that are read later are taken twice. So they are read one
    /// by one for twice as long each time, in which such a state may pass.
    fn watch_longer(&mut self) {
        let every = self.read_every.unwrap_or(1);
        let is_first = self.run.watched.stretch == 0;
        let stretch = self.run.watched.stretch.saturating_mul(2).max(every);
        (self.run.watched.stretch, self.run.watched.until) = (stretch, self.run.iterations.saturating_add(stretch));
        if is_first {
            self.emit(&Event::Warning(&Warning {
                rule: "reading".into(),
                level: None,
                fact: "steps that were read later were not finite, and stand when each of them is read: an entry was not finite before \
                       either, or a norm is beyond the range of its type"
                    .into(),
                advice: format!(
                    "each step is read for the next {stretch} iterations, and for twice as many each time that this is so; set such \
                     entries anew with `Engine::edit`, or leave `read_every` away"
                ),
            }));
        }
    }

    /// Whether what is pending has to be read after this iteration of a run until another one.
    pub(super) fn is_reading_due(&self, until: u64) -> bool {
        let iteration = self.run.iterations;
        let Some((pending, every)) = self.run.pending.as_ref().zip(self.read_every) else { return true };
        let validates = self.validation.as_ref().is_some_and(|validation| validation.borrow().is_due(iteration));
        let saves = self.saves.as_ref().is_some_and(|saves| saves.is_due(iteration));
        let looks = self.run.watch.looks.iter().any(|looks| looks.is_due(iteration));
        iteration >= until || iteration - pending.iterations >= every || validates || saves || looks
    }

    /// Tells of an iteration once it is read.
    pub(super) fn tell_later_of_iteration(&mut self) {
        let iteration = self.run.iterations;
        self.run.say(&mut self.problem, Known::Iteration(iteration));
    }

    /// Reads what is pending. If all went well, everybody is told; if not, answers no: the run stands where it did before, and reads
    /// every step until it is past this point.
    pub(super) fn read_pending(&mut self) -> Result<bool, EngineError> {
        let Engine { run, problem, .. } = self;
        let Some(Pending { before, iterations, unchecked, untold }) = run.pending.take() else { return Ok(true) };
        let others = run.program.unread.take().unwrap_or_default();
        let reached = run.iterations;
        let read = read(&others, &untold);
        let Ok(Some(numbers)) = read else {
            run.go_back(before);
            run.iterations = iterations;
            // What was recorded on the way is not recorded again.
            let news = untold.into_iter().filter_map(|untold| match untold {
                Untold::News(news) => Some(news),
                _ => None,
            });
            let later = std::mem::take(&mut run.program.losses.news);
            run.program.losses.news = news.chain(later).collect();
            run.program.losses.forget_tries(&unchecked);
            // The iteration in hand is one of them.
            (run.watched.until, run.watched.all_stood) = (reached + 1, true);
            return read.map(|_| false).map_err(EngineError::from);
        };
        run.keep_since(before);
        // Whoever is told cannot save what is behind the present.
        (run.iterations, run.within_iteration) = (iterations, true);
        let mut numbers = numbers.into_iter();
        for untold in untold {
            match untold {
                Untold::Step(step) => {
                    let UnreadStep { mut arrived, mut known, batches, .. } = *step;
                    let Some(StepNumbers { told, norm, rates }) = numbers.next() else { continue };
                    arrived.learned = rates;
                    told.into_iter().for_each(|told| known.add(told));
                    known.norm = norm.unwrap_or(known.norm);
                    known.loss /= batches as f64;
                    run.tell_of_read(problem, arrived, known);
                }
                Untold::News(news) => run.tell_of(problem, &news),
                Untold::Known(known) => run.tell_known(problem, known),
            }
        }
        (run.iterations, run.within_iteration) = (reached, false);
        Ok(true)
    }
}

impl Run {
    /// Tells something, now, or once what was done before is known to have gone well.
    pub(super) fn say(&mut self, host: &mut dyn Host, known: Known) {
        match &mut self.pending {
            Some(pending) => pending.untold.push(Untold::Known(known)),
            None => self.tell_known(host, known),
        }
    }

    fn tell_known(&mut self, host: &mut dyn Host, known: Known) {
        match known {
            Known::Solves { level, reports } => self.tell_of_solves(host, level, reports),
            Known::Step(step) => self.tell_of_known_step(host, step),
            Known::Iteration(iteration) => {
                self.iterations = iteration;
                self.emit(host, &Event::Iteration { iteration });
            }
            Known::Event(tell) => tell(&mut |event| self.emit(host, event)),
        }
    }

    /// Tells of a step that was taken, whose numbers are known.
    pub(super) fn tell_of_known_step(&mut self, host: &mut dyn Host, step: KnownStep) {
        let KnownStep { level, step, loss, metrics, gradient_norm, learning_rate, looks_ahead } = step;
        let name = self.program.levels[level].name;
        let event =
            Event::Step { level, name, step, loss, metrics: &metrics, gradient_norm, learning_rate, looks_ahead };
        self.emit(host, &event);
        self.program.levels[level].metrics = metrics;
        self.losses[level] = Some(loss);
    }

    /// Tells observers what turned out while losses were recorded.
    pub(super) fn tell_news(&mut self, host: &mut dyn Host) {
        let news = std::mem::take(&mut self.program.losses.news);
        match &mut self.pending {
            Some(pending) => pending.untold.extend(news.into_iter().map(Untold::News)),
            None => news.iter().for_each(|news| self.tell_of(host, news)),
        }
    }

    /// Leaves a step to be read with those that come.
    pub(super) fn leave_unread(&mut self, step: UnreadStep) {
        if let Some(pending) = &mut self.pending {
            pending.untold.push(Untold::Step(Box::new(step)));
        }
    }
}

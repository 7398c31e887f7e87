//! The turns of a run: batches drawn, gradients found, steps taken, and whatever follows steps told of it.

use super::gathered::{Gathered, Stood};
use super::host::Host;
use super::run::Run;
use super::savepoint::Savepoint;
use crate::error::EngineError;
use crate::program::{BeforeRound, Found, Program, Seeded, Snapshot, Turns, Use, Walk};
use crate::steps::{Evaluation, Record};

/// A run that goes on, with the program that it runs.
pub(super) struct Advance<'a> {
    pub(super) host: &'a mut dyn Host,
    pub(super) run: &'a mut Run,
    /// Whether the task in hand is another rank's: its batches go by, and nothing is computed.
    pub(super) passes: bool,
}

impl Advance<'_> {
    /// One iteration of the schedule.
    pub(super) fn once(&mut self) -> Result<(), EngineError> {
        self.iterate()
    }

    /// The gradients of level `k` on so many batches as are averaged.
    fn gather(&mut self, k: usize, gathered: &mut Gathered) -> Result<(), EngineError> {
        let Advance { host, run, passes } = self;
        if *passes {
            return run.pass_evaluation(*host, k);
        }
        let mut last = Vec::new();
        for _ in 0..run.program.levels[k].config.accumulate {
            // Each batch goes on from the statistics that the one before left; they count once the step is taken.
            let before = run.program.levels[k].set_statistics(std::mem::take(&mut gathered.statistics));
            let found = run.guarded(k, |run| run.next_gradient(*host, k));
            gathered.statistics = run.program.levels[k].set_statistics(before);
            let (part, evaluation, own) = found?;
            last.push(own);
            gathered.statistics.retain(|(index, _)| part.statistics.iter().all(|(newer, _)| newer != index));
            gathered.statistics.extend(part.statistics);
            gathered.reads.add(&part.reads);
            gathered.gradients.push(part.gradient);
            gathered.evaluations.extend(evaluation);
            if run.program.levels[k].evaluations() == 1 || run.program.unread.is_some() {
                // Read once the step is computed, together with whether that is finite, or still later.
                gathered.numbers.push(part.numbers);
            } else {
                gathered.add(run.program.read_numbers(k, part.numbers)?);
            }
        }
        // Its best response is differentiated on all of these.
        run.program.levels[k].last = last;
        Ok(())
    }
}

impl Walk for Advance<'_> {
    type Gathered = Gathered;
    type Place = Snapshot;
    type Round = BeforeRound;
    type Error = EngineError;

    fn program(&self) -> &Program {
        &self.run.program
    }

    fn turns(&mut self) -> &mut Turns {
        &mut self.run.turns
    }

    fn is_warm(&self, k: usize) -> bool {
        self.run.iterations >= self.run.program.levels[k].config.warmup as u64
    }

    fn has_lost_steps(&self, lower: usize) -> bool {
        let level = &self.run.program.levels[lower];
        // Steps that are let pass are kept by whoever takes them.
        !self.passes && self.is_warm(lower) && level.trajectory.as_ref().is_some_and(Record::is_empty)
    }

    fn take_whole(&mut self, turn: impl FnOnce(&mut Self) -> Result<(), EngineError>) -> Result<(), EngineError> {
        let before = self.run.savepoint();
        let turned = turn(self);
        match &turned {
            Ok(()) => self.run.keep_since(before),
            Err(_) => self.run.take_back(before),
        }
        turned
    }

    fn wait(&mut self, k: usize) {
        self.run.program.clock.wait(k);
    }

    fn go_on(&mut self, k: usize) {
        self.run.program.clock.turn(k);
    }

    fn begin_round(&mut self, lower: usize) -> BeforeRound {
        self.run.program.begin_round(lower)
    }

    fn take_round_back(&mut self, lower: usize, before: BeforeRound, is_still: bool) {
        self.run.program.take_round_back(lower, before, is_still);
    }

    fn start_again(&mut self, lower: usize) {
        self.run.program.restart(lower, None);
    }

    fn start_at_draw(&mut self, lower: usize) {
        let seed = self.run.start_seed(lower, self.run.turns.taken[lower]);
        self.run.program.start_at_draw(lower, seed);
    }

    fn start_from_other(&mut self, lower: usize) {
        let from = self.run.program.schedule.levels[lower].start;
        self.run.program.restart(lower, from);
    }

    fn stand(&mut self, lower: usize) -> Snapshot {
        self.run.program.look_ahead(lower)
    }

    fn look_ahead(&mut self, lower: usize) -> Snapshot {
        self.run.looks_ahead[lower] = true;
        self.run.program.look_ahead(lower)
    }

    fn go_back(&mut self, lower: usize, place: Snapshot) {
        self.run.program.go_back(lower, place);
    }

    fn look_no_further(&mut self, lower: usize) {
        self.run.looks_ahead[lower] = false;
    }

    fn for_each_task(
        &mut self,
        k: usize,
        mut task: impl FnMut(&mut Self, &mut Gathered) -> Result<(), EngineError>,
    ) -> Result<Gathered, EngineError> {
        let mut gathered = Gathered::default();
        let mut numbers = 0..self.run.program.levels[k].config.tasks;
        let Some(ranks) = self.run.takers(k) else {
            numbers.try_for_each(|_| task(self, &mut gathered))?;
            return Ok(gathered);
        };
        let (mark, turns) = (self.run.data.mark(), self.run.turns.clone());
        let taken = numbers.clone().try_for_each(|number| {
            self.passes = number % ranks.size() != ranks.rank();
            task(self, &mut gathered)
        });
        let joined = self.run.join_tasks(k, &ranks, taken.map(|()| gathered));
        if joined.is_ok() || self.run.data.failed {
            self.run.data.settle(mark);
        } else {
            // Wherever one rank has stopped, all have used the batches of all tasks.
            self.run.data.undo(mark);
            self.run.turns = turns;
            self.passes = true;
            let _ = numbers.try_for_each(|_| task(self, &mut Gathered::default()));
        }
        self.passes = false;
        joined
    }

    fn evaluate_together(&mut self, k: usize) -> Result<Option<Gathered>, EngineError> {
        let Advance { host, run, .. } = self;
        // Where levels below have taken their steps, they stay there.
        let (stood, mark) = (Stood::new(&run.program, [k]), run.data.mark());
        let mut evaluated = run.guarded(k, |run| run.evaluate_together(*host, k));
        match &mut evaluated {
            Ok(Some(gathered)) => {
                run.data.keep(mark);
                gathered.stood = Some(stood);
            }
            Ok(None) => run.data.undo(mark),
            Err(_) => run.data.settle(mark),
        }
        evaluated
    }

    fn evaluate(&mut self, k: usize, gathered: &mut Gathered) -> Result<(), EngineError> {
        let program = &self.run.program;
        let (stood, mark) = (Stood::new(program, 0..program.levels.len()), self.run.data.mark());
        let evaluated = self.gather(k, gathered);
        if evaluated.is_ok() {
            self.run.data.keep(mark);
            gathered.stood.get_or_insert(stood);
            return evaluated;
        }
        stood.restore(&mut self.run.program);
        if !self.run.data.failed {
            // As where a step fails: these batches are used, and so is what was done below for them.
            self.mark_seen(k);
        }
        self.run.data.settle(mark);
        evaluated
    }

    fn step(&mut self, k: usize, gathered: Gathered) -> Result<(), EngineError> {
        if self.passes {
            self.run.program.pass_step(k);
            return Ok(());
        }
        self.run.step(self.host, k, gathered)
    }
}

impl Run {
    /// Where everything stands, to come back to.
    pub(super) fn savepoint(&mut self) -> Savepoint {
        Savepoint::new(&self.program, (&self.turns, &self.looks_ahead), self.data.mark())
    }

    /// Goes on: what was done since then stands.
    pub(super) fn keep_since(&mut self, before: Savepoint) {
        self.data.keep(before.drawn);
    }

    /// Goes back. The batches that were drawn since then are the next ones again.
    pub(super) fn go_back(&mut self, before: Savepoint) {
        self.data.undo(before.drawn);
        self.restore(before);
    }

    /// Goes back from a turn that failed. If its data failed, the batches that it had drawn are the next ones again.
    fn take_back(&mut self, before: Savepoint) {
        self.data.settle(before.drawn);
        self.restore(before);
    }

    fn restore(&mut self, before: Savepoint) {
        before.restore(&mut self.program, (&mut self.turns, &mut self.looks_ahead));
        self.stale = true;
    }

    /// The total gradient of level `k` on its next batch; with how it came about, if steps of the level are differentiated, and the
    /// batch.
    fn next_gradient(
        &mut self,
        host: &mut dyn Host,
        k: usize,
    ) -> Result<(Found, Option<Evaluation>, Seeded), EngineError> {
        let is_differentiated = self.program.levels[k].trajectory.is_some();
        let of = if is_differentiated { Use::Derivative } else { Use::Value };
        let (sample, passings) = self.sample(host, k, of)?;
        self.program.prepare(&*host, k, &sample, &passings)?;
        let (mut found, evaluation) = match of {
            Use::Value => (self.program.find_gradient(k, &sample, passings)?, None),
            Use::Derivative => {
                let (found, evaluation) = self.program.find_evaluation(k, &sample, passings)?;
                (found, Some(evaluation))
            }
        };
        self.program.start_from(std::mem::take(&mut found.solutions));
        self.tell_solves(host, k, std::mem::take(&mut found.reports));
        Ok((found, evaluation, sample.own))
    }
}

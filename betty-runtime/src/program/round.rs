//! What happens to a level besides the computing of its steps: rounds, starts, looking ahead, and the step that is kept.

use std::rc::Rc;

use super::{Program, Snapshot};
use crate::error::EngineError;
use crate::execute::{Value, Vector};
use crate::steps::{Evaluation, LearningRates, Moves, Record, Step};

/// What hypergradients could go through before a level above began to wait for the next steps of a level.
pub(crate) struct BeforeRound {
    awaited: u64,
    /// What was kept of steps along directions: of those of the level, and of others that follow it.
    records: Vec<(usize, Record)>,
}

/// A step that is about to be taken.
pub(crate) struct Taken<'a> {
    pub(crate) gradient: Vector,
    pub(crate) evaluations: Vec<Evaluation>,
    pub(crate) learned: Vec<Value>,
    pub(crate) rates: &'a LearningRates,
    pub(crate) moves: &'a Moves,
}

impl Program {
    /// How many tasks of a step of level `k` one rank takes at the most.
    pub(crate) fn own_tasks(&self, k: usize) -> usize {
        let tasks = self.levels[k].config.tasks;
        match self.takers.as_ref().filter(|_| self.schedule.roots == [k]) {
            Some(ranks) => tasks.div_ceil(ranks.size()),
            None => tasks,
        }
    }

    /// Level `k` lets a step pass that somebody else takes.
    pub(crate) fn pass_step(&mut self, k: usize) {
        let (level, time) = (&mut self.levels[k], self.clock.tick());
        let rates = level.learning_rates();
        level.set_last_rates(Some(rates));
        level.count_step();
        level.stepped = Some(time);
    }

    /// A level above begins to wait for the next steps of level `lower`; answers what there was before.
    pub(crate) fn begin_round(&mut self, lower: usize) -> BeforeRound {
        let has_directions =
            |level: &usize| self.levels[*level].trajectory.as_ref().is_some_and(Record::has_directions);
        let levels = std::iter::once(lower).chain(self.leaders_of(lower)).filter(has_directions);
        let record = |level: usize| Some((level, self.levels[level].trajectory.as_ref()?.copied()));
        let before = BeforeRound { awaited: self.levels[lower].awaited, records: levels.filter_map(record).collect() };
        self.levels[lower].begin_round();
        let now = self.clock.now();
        self.begin_tangents(lower, now);
        self.tell_leaders(lower, |tangents| tangents.begin_round(lower, now));
        before
    }

    /// Level `lower` could not take the first step of a round; `is_still` if no level has taken one since that began. Tangents that
    /// have followed others since then stay with them.
    pub(crate) fn take_round_back(&mut self, lower: usize, before: BeforeRound, is_still: bool) {
        let BeforeRound { awaited, records } = before;
        self.levels[lower].awaited = awaited;
        let is_alone = !self.leads(lower);
        for (level, record) in records {
            if is_still || (level == lower && is_alone) {
                self.levels[level].trajectory = Some(record);
            }
        }
    }

    /// Level `lower` starts again with a new optimizer, at its first parameters or at those of another level.
    pub(crate) fn restart(&mut self, lower: usize, from: Option<usize>) {
        let time = self.clock.tick();
        match from.map(|from| self.levels.get_disjoint_mut([lower, from])) {
            Some(Ok([level, from])) => level.restart(Some(from), time),
            _ => self.levels[lower].restart(None, time),
        }
        self.tell_leaders(lower, |tangents| tangents.start_again(lower, from));
    }

    /// Level `lower` may come back to where it stands, which is answered.
    pub(crate) fn look_ahead(&mut self, lower: usize) -> Snapshot {
        self.tell_leaders(lower, |tangents| tangents.mark(lower));
        self.levels[lower].snapshot(self.clock.now())
    }

    /// Level `lower` goes back to where it stood.
    pub(crate) fn go_back(&mut self, lower: usize, place: Snapshot) {
        let read = self.needed(lower).across_starts.then(|| self.clock.tick());
        let led = if self.leads(lower) { self.levels[lower].trajectory.clone() } else { None };
        self.levels[lower].go_back(place, read);
        // Its tangents are those of others, too.
        if let (Some(now), Some(then)) = (led, &mut self.levels[lower].trajectory) {
            now.go_back_to(then);
            *then = now;
        }
        self.tell_leaders(lower, |tangents| tangents.go_back(lower));
    }

    /// Takes note of the step that level `k` is about to take, if it is differentiated.
    ///
    /// # Errors
    /// [`EngineError::Method`] when tangents cannot be taken through it.
    pub(crate) fn keep_step(&self, k: usize, taken: Taken<'_>) -> Result<(), EngineError> {
        let Taken { gradient, evaluations, learned, rates, moves } = taken;
        let level = &self.levels[k];
        let Some(steps) = &level.trajectory else { return Ok(()) };
        let before = Some(level.before(gradient, learned.clone()));
        let (above, time, needed) = (self.parameters_of(self.depends_on(k)), self.clock.now(), self.needed(k));
        let moves = Rc::clone(moves);
        let step = Step { time, start: None, evaluations, rates: rates.clone(), learned, moves, before };
        let noted = self.lead(k, &step).and_then(|()| steps.add(step, above, &needed));
        noted.map_err(|source| EngineError::Method { level: level.name.into(), source: Box::new(source) })
    }
}

//! What happens to a level besides the computing of its steps: rounds, starts, looking ahead, and the step that is kept.

use std::rc::Rc;

use super::{Program, Snapshot};
use crate::error::EngineError;
use crate::execute::{Value, Vector};
use crate::steps::{Evaluation, LearningRates, Moves, Step};

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

    /// A level above begins to wait for the next steps of level `lower`.
    pub(crate) fn begin_round(&mut self, lower: usize) {
        self.levels[lower].begin_round();
        let now = self.clock.now();
        self.begin_tangents(lower, now);
        self.tell_leaders(lower, |tangents| tangents.begin_round(lower, now));
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

//! Where a level stands, to come back to.

use std::rc::Rc;

use super::Level;
use super::sample::Seeded;
use super::scheduler::Scheduler;
use crate::execute::Value;
use crate::steps::{LearningRates, Record, Restart};

/// Where a level stands: all that a step changes, but what counts turns and batches.
#[derive(Clone)]
pub(crate) struct Snapshot {
    time: u64,
    leaves: Vec<Value>,
    states: Vec<Value>,
    schedulers: Vec<Option<Scheduler>>,
    last_rates: Option<LearningRates>,
    metrics: Vec<(Rc<str>, f64)>,
    steps: u64,
    stepped: Option<u64>,
    taken: u64,
    awaited: u64,
    rests: Vec<u64>,
    last: Vec<Seeded>,
    trajectory: Option<Record>,
}

impl Level {
    /// Where the level stands at this time, to come back to.
    pub(crate) fn snapshot(&self, time: u64) -> Snapshot {
        Snapshot {
            time,
            leaves: self.leaves.clone(),
            states: self.states.clone(),
            schedulers: self.schedulers.clone(),
            last_rates: self.last_rates.clone(),
            metrics: self.metrics.clone(),
            steps: self.steps,
            stepped: self.stepped,
            taken: self.taken,
            awaited: self.awaited,
            rests: self.rests.clone(),
            last: self.last.clone(),
            trajectory: self.trajectory.as_ref().map(Record::copied),
        }
    }

    /// Goes back to where the level stood. Steps taken since then are forgotten, or if others have read where they lead, undone at
    /// this time.
    pub(crate) fn go_back(&mut self, snapshot: Snapshot, read: Option<u64>) {
        let Snapshot {
            time: undone,
            leaves,
            states,
            schedulers,
            last_rates,
            metrics,
            steps,
            stepped,
            taken,
            awaited,
            rests,
            last,
            trajectory,
        } = snapshot;
        (self.leaves, self.states, self.schedulers) = (leaves, states, schedulers);
        (self.last_rates, self.metrics) = (last_rates, metrics);
        (self.steps, self.stepped, self.taken, self.awaited) = (steps, stepped, taken, awaited);
        (self.rests, self.last) = (rests, last);
        match (read, &self.trajectory) {
            (Some(time), Some(steps)) => steps.restart(Restart { time, from: None, undone: Some(undone) }),
            // Others may go back to the same place.
            _ => self.trajectory = trajectory.as_ref().map(Record::copied),
        }
    }
}

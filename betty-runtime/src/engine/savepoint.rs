//! Where a run stands before a turn in which levels look ahead, to come back to if the turn fails, or before a question.
//!
//! Such a turn undoes steps and takes them again, so that a part of it is no place to go on from.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::clock::Clock;
use super::error::EngineError;
use super::level::Place;
use super::program::Multilevel;
use super::train::Engine;
use crate::execute::Vector;
use crate::trace::AnyBatch;

/// Everything that a turn changes.
pub(super) struct Savepoint {
    levels: Vec<Saved>,
    seen: Vec<Vec<u64>>,
    clock: Clock,
    /// How many batches had been noted.
    drawn: usize,
}

/// What is not part of a level's place.
struct Saved {
    place: Place,
    turns: u64,
    looks_ahead: bool,
    solutions: BTreeMap<usize, Vector>,
}

/// The batches that were drawn since the first of the savepoints that stand open.
#[derive(Default)]
pub(super) struct Drawn {
    batches: Vec<(usize, Rc<AnyBatch>)>,
    savepoints: usize,
}

impl Drawn {
    /// Takes note of a batch of level `k`, if it may have to be given back.
    pub(super) fn note(&mut self, k: usize, batch: &Rc<AnyBatch>) {
        if self.savepoints > 0 {
            self.batches.push((k, Rc::clone(batch)));
        }
    }
}

impl<P: Multilevel> Engine<P> {
    /// Where all levels stand.
    pub(super) fn save(&mut self) -> Savepoint {
        self.drawn.savepoints += 1;
        let levels = self.levels.iter().map(|level| Saved {
            place: level.place(self.clock.now()),
            turns: level.turns,
            looks_ahead: level.looks_ahead,
            solutions: level.solutions.clone(),
        });
        let (levels, seen, clock) = (levels.collect(), self.seen.clone(), self.clock.clone());
        Savepoint { levels, seen, clock, drawn: self.drawn.batches.len() }
    }

    /// Goes on if the turn since then was taken, or back if it failed. If its data failed, the batches that it had drawn are
    /// the next ones again.
    pub(super) fn settle(&mut self, savepoint: Savepoint, turned: Result<(), EngineError>) -> Result<(), EngineError> {
        match &turned {
            Ok(()) => self.close(),
            Err(error) => self.go_back(savepoint, error.is_of_data()),
        }
        turned
    }

    /// Goes back; if asked to, the batches that were drawn since then are the next ones again.
    pub(super) fn go_back(&mut self, savepoint: Savepoint, gives_batches_back: bool) {
        if gives_batches_back {
            for (k, batch) in self.drawn.batches.split_off(savepoint.drawn).into_iter().rev() {
                self.levels[k].batches -= 1;
                self.returned[k].push_front(batch);
            }
        }
        for (level, saved) in self.levels.iter_mut().zip(savepoint.levels) {
            level.go_back(saved.place, None);
            (level.turns, level.looks_ahead, level.solutions) = (saved.turns, saved.looks_ahead, saved.solutions);
        }
        (self.seen, self.clock) = (savepoint.seen, savepoint.clock);
        self.stale = true;
        self.close();
    }

    fn close(&mut self) {
        self.drawn.savepoints -= 1;
        if self.drawn.savepoints == 0 {
            self.drawn.batches.clear();
        }
    }
}

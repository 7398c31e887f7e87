//! Where a run stands before what may have to be taken back: a turn of which a part is no place to go on from, because levels look
//! ahead, so that steps are undone and taken again, or because its gradient is a mean over several tasks; and steps that nobody has
//! read yet.

use super::data::Mark;
use super::run::Run;
use crate::error::EngineError;
use crate::hypergradient::Blocks;
use crate::program::{Clock, Snapshot, Turns};

/// Everything that a turn changes, or several.
pub(super) struct Savepoint {
    levels: Vec<(Snapshot, Blocks)>,
    turns: Turns,
    looks_ahead: Vec<bool>,
    clock: Clock,
    drawn: Mark,
}

impl Savepoint {
    /// Where all levels stand.
    pub(super) fn new(run: &mut Run) -> Self {
        let clock = run.program.clock.clone();
        let levels = run.program.levels.iter().map(|level| (level.snapshot(clock.now()), level.solutions.clone()));
        Savepoint {
            levels: levels.collect(),
            turns: run.turns.clone(),
            looks_ahead: run.looks_ahead.clone(),
            clock,
            drawn: run.data.mark(),
        }
    }

    /// Goes on if the turn since then was taken, or back if it failed. If its data failed, the batches that it had drawn are
    /// the next ones again.
    pub(super) fn settle(self, run: &mut Run, turned: Result<(), EngineError>) -> Result<(), EngineError> {
        match &turned {
            Ok(()) => self.keep(run),
            Err(_) => {
                run.data.settle(self.drawn);
                self.restore(run);
            }
        }
        turned
    }

    /// Goes on: what was done since then stands.
    pub(super) fn keep(self, run: &mut Run) {
        run.data.keep(self.drawn);
    }

    /// Goes back. The batches that were drawn since then are the next ones again.
    pub(super) fn go_back(self, run: &mut Run) {
        run.data.undo(self.drawn);
        self.restore(run);
    }

    fn restore(self, run: &mut Run) {
        for (level, (snapshot, solutions)) in run.program.levels.iter_mut().zip(self.levels) {
            level.go_back(snapshot, None);
            level.solutions = solutions;
        }
        (run.turns, run.looks_ahead, run.program.clock) = (self.turns, self.looks_ahead, self.clock);
        run.stale = true;
    }
}

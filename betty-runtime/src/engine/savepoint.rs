//! Where a run stands before a turn of which a part is no place to go on from, to come back to if the turn fails: one in which
//! levels look ahead, so that steps are undone and taken again, or whose gradient is a mean over several tasks.

use super::data::Mark;
use super::run::Run;
use crate::error::EngineError;
use crate::hypergradient::Blocks;
use crate::program::{Clock, Snapshot, Turns};

/// Everything that a turn changes.
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
            Ok(()) => run.data.keep(self.drawn),
            Err(_) => {
                run.data.settle(self.drawn);
                for (level, (snapshot, solutions)) in run.program.levels.iter_mut().zip(self.levels) {
                    level.go_back(snapshot, None);
                    level.solutions = solutions;
                }
                (run.turns, run.looks_ahead, run.program.clock) = (self.turns, self.looks_ahead, self.clock);
                run.stale = true;
            }
        }
        turned
    }
}

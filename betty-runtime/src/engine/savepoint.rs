//! Where a run stands before what may have to be taken back: a turn of which a part is no place to go on from, because levels look
//! ahead, so that steps are undone and taken again, or because its gradient is a mean over several tasks; and steps that nobody has
//! read yet.

use super::data::Mark;
use crate::hypergradient::Blocks;
use crate::program::{Clock, Program, Snapshot, Turns};

/// Everything that a turn changes, or several.
pub(super) struct Savepoint {
    levels: Vec<(Snapshot, Blocks)>,
    turns: Turns,
    looks_ahead: Vec<bool>,
    clock: Clock,
    /// What had been drawn.
    pub(super) drawn: Mark,
}

impl Savepoint {
    /// Where all levels stand.
    pub(super) fn new(program: &Program, (turns, looks_ahead): (&Turns, &[bool]), drawn: Mark) -> Self {
        let clock = program.clock.clone();
        let levels = program.levels.iter().map(|level| (level.snapshot(clock.now()), level.solutions.clone()));
        let (turns, looks_ahead) = (turns.clone(), looks_ahead.to_vec());
        Savepoint { levels: levels.collect(), turns, looks_ahead, clock, drawn }
    }

    /// Lets everything but the data stand there again.
    pub(super) fn restore(self, program: &mut Program, (turns, looks_ahead): (&mut Turns, &mut Vec<bool>)) {
        for (level, (snapshot, solutions)) in program.levels.iter_mut().zip(self.levels) {
            level.go_back(snapshot, None);
            level.solutions = solutions;
        }
        (*turns, *looks_ahead, program.clock) = (self.turns, self.looks_ahead, self.clock);
    }
}

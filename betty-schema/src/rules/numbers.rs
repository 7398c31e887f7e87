//! The numbers of a level, as far as rules look at them.

use crate::table::{Row, Way};

/// The numbers of a level. One that is `None` was refused for what it is, or is known only when the program runs, unless something
/// else is said.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Steps that the level takes for one of a level above.
    pub unroll: Option<usize>,
    /// Whether that is said, be it what holds anyway.
    pub gives_unroll: bool,
    /// Iterations in which it takes none.
    pub warmup: Option<usize>,
    /// Batches of a step.
    pub accumulate: Option<usize>,
    /// Tasks of a step.
    pub tasks: Option<usize>,
    /// Rounds of a step.
    pub rounds: Option<usize>,
    /// Whether the tasks are computed together.
    pub vectorize: bool,
    /// Where its steps begin.
    pub begins: Begins,
    /// Whether that is said, be it what holds anyway.
    pub gives_start: bool,
    /// The method, if there is one that is known.
    pub method: Option<Method>,
    /// Whether there is one, known or not.
    pub gives_method: bool,
    /// Whether its system is preconditioned.
    pub gives_preconditioner: bool,
    /// The name of the preconditioner, if that takes the system's matrix for symmetric.
    pub symmetric_preconditioner: Option<&'static str>,
    /// Whether it is differentiated with the levels below standing still.
    pub is_partial: bool,
    /// The name of what solves everything below it, if that is said.
    pub solve: Option<&'static str>,
    /// Whether a solver finds its best response, in the place of steps.
    pub is_solved: bool,
    /// Whether that looks for a stationary point of the loss.
    pub searches: bool,
    /// Whether its answer is a fixed point instead of a stationary point.
    pub is_fixed_point: bool,
    /// Whether its gradient is limited.
    pub is_clipped: bool,
    /// Whether its parameters are confined to a set.
    pub is_projected: bool,
    /// Whether a function of the program's own follows each of its steps.
    pub has_after_step: bool,
    /// Whether its learning rate changes by a schedule, …
    pub is_scheduled: bool,
    /// … that begins again where its steps do, …
    pub restarts_schedule: bool,
    /// … although a level above learns the rate.
    pub schedules_learned: bool,
    /// The numbers of its optimizer that levels above learn.
    pub learned: Vec<LearnedNumber>,
}

/// A number of an optimizer that a level above learns.
#[derive(Clone, Copy, Debug)]
pub struct LearnedNumber {
    /// The number.
    pub option: &'static str,
    /// The level that learns it.
    pub from: usize,
    /// Whether it decides where the steps come to rest.
    pub at_rest: bool,
}

/// A method and the numbers of it that rules look at.
#[derive(Clone, Copy)]
pub struct Method {
    /// What the table says.
    pub row: &'static Row,
    /// How many steps are differentiated, if not all, and if that is known.
    pub truncate: Option<usize>,
    /// Whether not all of them are kept.
    pub limits_memory: bool,
    /// Whether all are differentiated, each kept: nothing says, or may say, that it is otherwise.
    pub keeps_all: bool,
}

/// Where a level's steps begin each time a level above waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begins {
    /// Where the last ones ended, or go on from there.
    #[default]
    Kept,
    /// Anew, at parameters that are given.
    Anew,
    /// Anew, at the parameters of the level that the program names.
    From,
}

impl Method {
    /// Whether it goes through the steps of its level.
    #[must_use]
    pub fn goes_through_steps(self) -> bool {
        self.row.way.goes_through_steps()
    }

    /// Whether it differentiates all steps of its level in reverse, and keeps all of them.
    pub(super) fn is_whole(self) -> bool {
        self.row.way == Way::Reverse && self.keeps_all
    }
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row.name)
    }
}

//! What has to hold between the numbers of a program's levels, and between them and the graph.
//!
//! Each rule answers what breaks it at one level; the macro turns that into a span and a text, the runtime into the error of a
//! config. A number that is not known, because what stands in its place was refused already, breaks no rule.

mod condition;
mod curvature;
mod learned;
mod numbers;
mod preconditioner;
mod schedule;
mod solver;
mod start;
mod steps;
mod system;
#[cfg(test)]
mod tests;
mod together;
mod used;

pub use condition::{Unfixed, condition};
pub use curvature::{Idle, curvature};
pub use learned::learned;
pub use numbers::{Begins, LearnedNumber, Method, Numbers};
pub use preconditioner::preconditioner;
pub use schedule::{Unscheduled, schedule};
pub use solver::{Clash, solver};
pub use start::{depends_on_start, start};
pub use steps::{steps, truncate};
pub use system::{Apart, system};
pub use together::{Obstacle, one_by_one, together};
pub use used::{method, used};

/// A rule that is broken at a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A hypergradient passes through the level, which does not say how.
    MethodMissing,
    /// The level says how a hypergradient passes through it, and none does.
    MethodUnused,
    /// Nobody waits for the level's `unroll` steps.
    UnrollUnused,
    /// Nobody waits for the level, so its steps begin nowhere else.
    StartUnused,
    /// Several tasks, and no level below that is solved for each.
    NoTasks {
        /// How many.
        tasks: usize,
    },
    /// Several rounds, and no level below that takes steps in each.
    NoRounds {
        /// How many.
        rounds: usize,
    },
    /// More steps are differentiated than are taken.
    TruncateTooLong {
        /// Those that would be differentiated.
        truncate: usize,
        /// Those that are taken, in all rounds.
        unroll: usize,
    },
    /// Steps that rest on a best response below are to be taken again, and it is not found again.
    ReplayOfResponse {
        /// The level of the best response.
        below: usize,
    },
    /// The level answers to one whose own best response is differentiated, and its steps cannot be differentiated twice
    /// because its method goes through them otherwise than in reverse.
    StepsBelow {
        /// The level that it answers to.
        above: usize,
    },
    /// The same, because it waits for a level itself.
    StepsBetween {
        /// The level that it answers to.
        above: usize,
        /// The level that it waits for.
        below: usize,
    },
    /// Steps that are differentiated twice become one function, whose values are all held at once.
    MemoryUnused {
        /// The level that it answers to.
        above: usize,
    },
    /// The steps are to be differentiated of a level that depends on another and is depended on.
    StepsInCircle {
        /// The other.
        peer: usize,
    },
    /// The level begins to take steps after a level above that goes through them.
    WarmupTooLong {
        /// Iterations in which it takes none.
        warmup: usize,
        /// The level above.
        above: usize,
        /// Iterations after which that takes steps.
        begins: usize,
    },
    /// A best response that is held by a constraint, under a method that sees the loss alone.
    ProjectedResponse,
    /// A solution of the loss alone, where a function follows each step.
    FollowedResponse,
    /// The level starts from another, which it does not read and its method does not see.
    StartUnseen {
        /// The other.
        from: usize,
    },
    /// Where the steps begin is all that the level has of another, and too few are differentiated to see it.
    StartCut {
        /// The other.
        from: usize,
        /// Steps that are differentiated.
        truncate: usize,
        /// Steps that are taken, in all rounds.
        unroll: usize,
    },
    /// A level learns a number of the optimizer, which the level's method does not see.
    LearnedUnseen {
        /// The number.
        option: &'static str,
        /// The level that learns it.
        from: usize,
    },
    /// A curvature that changes nothing.
    CurvatureIdle(Idle),
    /// The level's answer cannot be differentiated as a fixed point.
    NotFixed(Unfixed),
    /// A preconditioner that nobody applies.
    NotPreconditioned,
    /// What is below the level is no system that a solver could solve.
    NoSystem(Apart),
    /// The level's solver cannot find its best response.
    NotSolved(Clash),
    /// The level's learning rate cannot follow its schedule.
    NotScheduled(Unscheduled),
    /// The tasks of the level cannot be computed together.
    NotTogether(Obstacle),
}

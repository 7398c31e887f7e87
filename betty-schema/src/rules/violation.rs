//! What is broken of the rules, and which field of the level says so.

use super::{Apart, Clash, Idle, Obstacle, Unfixed, Unscheduled};
use crate::fields::Key;

/// A rule that is broken at a level. Other levels are told by their numbers, in order of declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// The part of a level that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The field; one that groups have as well is that of the group which breaks the rule.
    pub field: Key,
    /// The option in it, if it is one.
    pub option: Option<&'static str>,
}

impl Place {
    /// The part of a level that breaks the rule, or that is missing.
    #[must_use]
    pub fn of(rule: &Violation) -> Self {
        let (field, option) = match rule {
            Violation::TruncateTooLong { .. } | Violation::StartCut { .. } => (Key::Hypergradient, Some("truncate")),
            Violation::MemoryUnused { .. } => (Key::Hypergradient, Some("memory")),
            Violation::NotScheduled(Unscheduled::NeverAnew) => (Key::Schedule, Some("restart")),
            Violation::NotScheduled(Unscheduled::Learned) => (Key::Schedule, None),
            Violation::MethodMissing
            | Violation::MethodUnused
            | Violation::ReplayOfResponse { .. }
            | Violation::StepsBelow { .. }
            | Violation::StepsBetween { .. }
            | Violation::StepsInCircle { .. }
            | Violation::FollowedResponse
            | Violation::StartUnseen { .. }
            | Violation::LearnedUnseen { .. }
            | Violation::NotFixed(Unfixed::Asymmetric | Unfixed::Replaced | Unfixed::Steps) => {
                (Key::Hypergradient, None)
            }
            Violation::NotFixed(Unfixed::NotPassed | Unfixed::Waits { .. }) => (Key::Condition, None),
            Violation::NotFixed(Unfixed::Searches) | Violation::NotSolved(_) => (Key::Solver, None),
            Violation::NotFixed(Unfixed::Preconditioned) | Violation::NotPreconditioned => (Key::Preconditioner, None),
            Violation::UnrollUnused => (Key::Unroll, None),
            Violation::StartUnused => (Key::Start, None),
            Violation::NoTasks { .. } => (Key::Tasks, None),
            Violation::NoRounds { .. } => (Key::Rounds, None),
            Violation::WarmupTooLong { .. } => (Key::Warmup, None),
            Violation::ProjectedResponse => (Key::Project, None),
            Violation::CurvatureIdle(_) => (Key::Curvature, None),
            Violation::NoSystem(_) => (Key::Solve, None),
            Violation::NotTogether(_) => (Key::Vectorize, None),
        };
        Self { field, option }
    }
}

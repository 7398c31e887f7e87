//! The numbers of a program: defaults that the macro wrote, overrides from JSON, and checks that name the culprit.

mod all;
mod check;
mod conflict;
mod curvature;
mod error;
mod group;
mod hypergradient;
mod hyperparameter;
pub(crate) mod integer;
mod learned;
mod level_solver;
mod merge;
mod numbers;
mod optimizer;
mod precision;
mod preconditioner;
pub(crate) mod program;
mod projection;
mod rounded;
mod rules;
mod schedule;
mod solver;
#[cfg(test)]
mod tests;
mod unknown;
mod written;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::conflict::ConflictError;
pub use self::curvature::CurvatureOf;
pub use self::error::ConfigError;
pub use self::group::GroupConfig;
pub(crate) use self::group::{Group, Part};
pub use self::hypergradient::*;
pub use self::hyperparameter::{Hyperparameter, Learned, Transform};
pub use self::level_solver::*;
pub(crate) use self::numbers::accepts;
pub use self::optimizer::*;
pub use self::precision::Precision;
pub use self::preconditioner::*;
pub use self::program::ProgramConfig;
pub use self::projection::*;
pub(crate) use self::rounded::{check_rounded, rounded};
pub(crate) use self::rules::one_by_one;
pub use self::schedule::*;
pub use self::solver::*;
use self::written::Written;

/// The numbers of one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelConfig {
    /// Steps that the level takes between two steps of the levels above it; at least 1, by default 1.
    #[serde(default = "one")]
    pub unroll: usize,
    /// Iterations at the start of training in which the level takes no step, while the levels below it take theirs; by
    /// default 0.
    #[serde(default)]
    pub warmup: usize,
    /// How the level takes its steps: all of them, or those of parameters that are in no group. Given exactly where there is
    /// no `solver`, and something that is in no group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerConfig>,
    /// How the learning rate changes from step to step; by default it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
    /// Parts of the level's module that take their steps in their own way, by their paths, which have nothing in common. The
    /// level's own `optimizer`, `schedule`, `clip` and `project` are for parameters in no group. By default there is none.
    #[serde(default, skip_serializing_if = "group::is_none", deserialize_with = "group::given")]
    pub groups: BTreeMap<String, GroupConfig>,
    /// What finds the level's best response in the place of steps; by default nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<LevelSolverConfig>,
    /// How the level's best response is differentiated; given exactly for the levels that a hypergradient passes
    /// through.
    #[serde(default)]
    pub hypergradient: Option<HypergradientConfig>,
    /// What `cg`, `minres` and `gmres` multiply the residuals of the level's system by; by default nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preconditioner: Option<PreconditionerConfig>,
    /// Of which gradient of the level hypergradients take the derivative, where levels below answer to it; by default of its
    /// total one.
    #[serde(default, skip_serializing_if = "is_total")]
    pub curvature: CurvatureOf,
    /// How the system of everything below the level is solved; by default level by level, each by its own method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solve: Option<SolverConfig>,
    /// A limit on the level's gradient, applied before the optimizer sees it; by default none.
    #[serde(default)]
    pub clip: Option<Clip>,
    /// A set that the level's parameters do not leave: after each step they are moved to its nearest point; by default
    /// none. No implicit method differentiates a best response that is held by a constraint, so levels that a hypergradient
    /// passes through have one only if the method goes through their steps, as `unrolled` does.
    #[serde(default)]
    pub project: Option<ProjectionConfig>,
    /// Batches whose gradients are averaged for one step; at least 1, by default 1.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Where the level's steps begin each time a level above waits for it; by default where they ended.
    #[serde(default)]
    pub start: Start,
    /// How often the levels below are solved, each time on their next batches, for one step of this level, which averages
    /// the gradients: the tasks of a meta-batch. At least 1, by default 1.
    #[serde(default = "one")]
    pub tasks: usize,
    /// How often the levels below take their `unroll` steps, one level after the other, before a step of this level. Levels
    /// below that answer to each other come closer to their equilibrium each time: one round is one sweep over them. At
    /// least 1, by default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rounds: usize,
    /// Whether all tasks of a step are computed together, by one program whose kernels work on all of them: the same result
    /// with fewer, larger kernels, and the memory of all tasks at once. Every level below begins anew for each task and is
    /// differentiated by `unrolled`; with another method, the tasks go one after the other, and `Event::OneByOne` tells of
    /// it. By default `false`.
    #[serde(default)]
    pub vectorize: bool,
    /// Parts of the level's module that are its parameters, as paths of tensors or of submodules (`encoder.norm`); all
    /// else stands still. By default the whole module.
    #[serde(default)]
    pub train: Option<Vec<String>>,
    /// Parts of what `train` selects that stand still, as paths; by default none.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// The float type of matrix products and convolutions in the level's loss and in all derivatives of it; by default that
    /// of their operands. Difference quotients (`finite_difference`, `penalty`, `sama`) are taken without it: rounding
    /// would move them more than what they measure.
    #[serde(default)]
    pub precision: Option<Precision>,
}

/// Where a level's steps begin each time a level above waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Where the last ones ended (warm start).
    #[default]
    Kept,
    /// At the parameters that the level was given, with a new optimizer.
    Initial,
    /// At parameters that the function which the program names draws anew each time, with a new optimizer.
    Fresh,
    /// Where the last ones ended; after the step of the level above, which has looked ahead, they are undone and taken
    /// again under its new parameters (Liu, Simonyan and Yang, *DARTS*, 2019).
    LookAhead,
    /// At the current parameters of the level that the program names, with a new optimizer (Finn, Abbeel and Levine,
    /// *Model-agnostic meta-learning*, 2017).
    From,
}

impl Start {
    /// Whether steps begin anew for each step of a level above, whatever was before. A level that looks ahead does not: its steps go on
    /// from those that are taken again.
    pub(crate) fn begins_anew(self) -> bool {
        matches!(self, Start::Initial | Start::Fresh | Start::From)
    }
}

/// A limit on a level's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Scales the gradient g of all parameters together by min(1, limit / ‖g‖₂); greater than zero.
    Norm(f64),
    /// Moves every entry of the gradient into [−limit, limit]; greater than zero.
    Value(f64),
}

fn one() -> usize {
    1
}

/// Files that do not use it are as they were before there were rounds.
fn is_one(count: &usize) -> bool {
    *count == 1
}

/// Likewise.
fn is_total(curvature: &CurvatureOf) -> bool {
    *curvature == CurvatureOf::Total
}

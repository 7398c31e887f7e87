//! What has to hold between the numbers of a program's levels, as conflicts of a config.

use betty_schema::Graph;
use betty_schema::rules::{
    self, Apart, Begins, Clash, Idle, LearnedNumber, Method, Numbers, Obstacle, Unfixed, Unscheduled, Violation,
};

use super::conflict::ConflictError;
use super::{
    CurvatureOf, Group, HypergradientConfig, LevelConfig, LevelSolverConfig, OptimizerConfig, PreconditionerConfig,
    ScheduleConfig, SolverConfig, Start,
};
use crate::schedule::{LevelSpec, Schedule};

/// The first rule that a level breaks.
pub(super) fn check(
    schedule: &Schedule,
    graph: &Graph,
    level: usize,
    configs: &[&LevelConfig],
) -> Result<(), ConflictError> {
    let numbers: Vec<Numbers> =
        configs.iter().zip(schedule.levels).map(|(config, spec)| numbers(schedule, spec, config)).collect();
    let own = &numbers[level];
    let at = Place { schedule, level, config: configs[level], configs };
    at.check_start(graph, own)?;
    let broken = rules::used(graph, level, own)
        .chain(rules::together(graph, level, &numbers))
        .chain(rules::start(graph, level, &numbers))
        .chain(rules::learned(graph, level, own))
        .chain(rules::method(graph, level, own))
        .chain(rules::truncate(graph, level, &numbers))
        .chain(rules::steps(graph, level, &numbers))
        .chain(rules::preconditioner(own))
        .chain(rules::condition(graph, level, own))
        .chain(rules::curvature(graph, level, own))
        .chain(rules::system(graph, level, &numbers))
        .chain(rules::solver(graph, level, own))
        .chain(rules::schedule(own))
        .next();
    broken.map_or(Ok(()), |violation| Err(at.error(violation)))
}

/// The level below whose method has the tasks of a level go one after the other, although the level's config asks for them
/// together.
pub(crate) fn one_by_one(schedule: &Schedule, level: usize, configs: &[&LevelConfig]) -> Option<usize> {
    let all = configs.iter().zip(schedule.levels).map(|(config, spec)| numbers(schedule, spec, config));
    rules::one_by_one(&schedule.graph(), level, &all.collect::<Vec<_>>())
}

fn numbers(schedule: &Schedule, spec: &LevelSpec, config: &LevelConfig) -> Numbers {
    let optimizers = config.all_groups().filter_map(|group| group.optimizer);
    let learned = optimizers.flat_map(|optimizer| learned(schedule, optimizer));
    Numbers {
        unroll: Some(config.unroll),
        gives_unroll: config.unroll != 1,
        warmup: Some(config.warmup),
        accumulate: Some(config.accumulate),
        tasks: Some(config.tasks),
        rounds: Some(config.rounds),
        vectorize: config.vectorize,
        begins: match config.start {
            Start::Kept | Start::LookAhead => Begins::Kept,
            Start::Initial | Start::Fresh => Begins::Anew,
            Start::From => Begins::From,
        },
        gives_start: config.start != Start::Kept,
        method: config.hypergradient.as_ref().and_then(method),
        gives_method: config.hypergradient.is_some(),
        gives_preconditioner: config.preconditioner.is_some(),
        preconditions_symmetric: matches!(config.preconditioner, Some(PreconditionerConfig::NystromPreconditioner(_))),
        is_partial: config.curvature == CurvatureOf::Partial,
        gives_solve: config.solve.is_some(),
        is_solved: config.solver.is_some(),
        searches: matches!(config.solver, Some(LevelSolverConfig::Lbfgs(_))),
        is_fixed_point: spec.condition.is_some(),
        is_clipped: config.all_groups().any(|group| group.clip.is_some()),
        is_projected: config.all_groups().any(|group| group.project.is_some()),
        has_after_step: spec.after_step.is_some(),
        is_scheduled: config.all_groups().any(|group| group.schedule.is_some()),
        restarts_schedule: config.all_groups().any(|group| group.schedule.is_some_and(ScheduleConfig::restarts)),
        schedules_learned: config.all_groups().any(schedules_learned),
        learned: learned.collect(),
    }
}

fn learned(schedule: &Schedule, optimizer: &OptimizerConfig) -> impl Iterator<Item = LearnedNumber> {
    optimizer.learned().filter_map(move |(option, of)| {
        let at_rest = optimizer.decides_rest(option, of);
        Some(LearnedNumber { option, from: schedule.level(&of.level)?, at_rest })
    })
}

fn schedules_learned(group: Group<'_>) -> bool {
    group.schedule.is_some() && group.optimizer.is_some_and(|optimizer| optimizer.lr().fixed().is_none())
}

fn method(config: &HypergradientConfig) -> Option<Method> {
    let (truncate, memory) = match config {
        HypergradientConfig::Unrolled(unrolled) => (unrolled.truncate, unrolled.memory),
        _ => (None, None),
    };
    let keeps_all = truncate.is_none() && memory.is_none();
    Some(Method { row: config.row()?, truncate, limits_memory: memory.is_some(), keeps_all })
}

/// A level, and its config.
struct Place<'a> {
    schedule: &'a Schedule,
    level: usize,
    config: &'a LevelConfig,
    configs: &'a [&'a LevelConfig],
}

impl Place<'_> {
    fn name(&self, level: usize) -> String {
        self.schedule.levels[level].name.to_owned()
    }

    /// A level starts from one that the program names, and keeps to that where it is all that it has of it.
    fn check_start(&self, graph: &Graph, own: &Numbers) -> Result<(), ConflictError> {
        let (path, level) = (format!("{}.start", self.name(self.level)), self.name(self.level));
        let start = match (self.config.start, graph.start(self.level)) {
            (Start::From, None) => return Err(ConflictError::StartUnknown { path, level }),
            (Start::From, Some(_)) | (_, None) => return Ok(()),
            (Start::Kept, _) => "kept",
            (Start::Initial, _) => "initial",
            (Start::Fresh, _) => "fresh",
            (Start::LookAhead, _) => "look_ahead",
        };
        match graph.start(self.level).filter(|_| rules::depends_on_start(graph, self.level, own)) {
            Some(from) => Err(ConflictError::StartLeft { path, start, level, from: self.name(from) }),
            None => Ok(()),
        }
    }

    fn error(&self, violation: Violation) -> ConflictError {
        let level = self.name(self.level);
        let at = |field: &str| format!("{level}.{field}");
        let method = self.config.hypergradient.as_ref().map_or("", HypergradientConfig::name);
        let name = |level: usize| self.name(level);
        match violation {
            Violation::MethodMissing => ConflictError::HypergradientMissing { path: at("hypergradient"), level },
            Violation::MethodUnused => ConflictError::HypergradientUnused { path: at("hypergradient"), level },
            Violation::UnrollUnused => ConflictError::NeverUsed { path: at("unroll"), level },
            Violation::StartUnused => ConflictError::NeverUsed { path: at("start"), level },
            Violation::NoTasks { tasks } => ConflictError::NoTasks { path: at("tasks"), level, tasks },
            Violation::NoRounds { rounds } => ConflictError::NoRounds { path: at("rounds"), level, rounds },
            Violation::TruncateTooLong { truncate, unroll } => {
                ConflictError::TruncateTooLong { path: at("hypergradient.truncate"), level, truncate, unroll }
            }
            Violation::ReplayOfResponse { below } => {
                ConflictError::ReplayOfResponse { path: at("hypergradient"), level, below: name(below) }
            }
            Violation::StepsBelow { above } => {
                ConflictError::StepsBelow { path: at("hypergradient"), method, level, above: name(above) }
            }
            Violation::StepsBetween { above, below } => {
                let (above, below) = (name(above), name(below));
                ConflictError::UnrolledBetween { path: at("hypergradient"), level, above, below }
            }
            Violation::MemoryUnused { above } => {
                ConflictError::MemoryUnused { path: at("hypergradient.memory"), level, above: name(above) }
            }
            Violation::StepsInCircle { peer } => {
                ConflictError::UnrolledInCircle { path: at("hypergradient"), method, level, peer: name(peer) }
            }
            Violation::WarmupTooLong { warmup, above, begins } => {
                ConflictError::WarmupTooLong { path: at("warmup"), level, warmup, above: name(above), begins }
            }
            Violation::ProjectedResponse => {
                let projected = self.config.all_groups().find(|group| group.project.is_some());
                let path = projected.map_or_else(|| at("project"), |group| group.place(&level, "project"));
                ConflictError::ProjectedResponse { path, level }
            }
            Violation::FollowedResponse => ConflictError::FollowedResponse { path: at("hypergradient"), method, level },
            Violation::StartUnseen { from } => {
                ConflictError::StartUnseen { path: at("hypergradient"), method, level, from: name(from) }
            }
            Violation::StartCut { from, truncate, unroll } => {
                let path = at("hypergradient.truncate");
                ConflictError::StartCut { path, level, from: name(from), truncate, unroll }
            }
            Violation::LearnedUnseen { option, from } => {
                ConflictError::LearnedUnseen { path: at("hypergradient"), method, level, option, from: name(from) }
            }
            Violation::CurvatureIdle(idle) => {
                let reason = match idle {
                    Idle::NotPassed => format!("no hypergradient passes through `{level}`"),
                    Idle::NothingBelow => {
                        format!("no level below answers to `{level}`, whose own loss is all that is differentiated")
                    }
                    Idle::ThroughSteps => format!(
                        "`{method}` goes through the steps of `{level}`, which followed its total gradient; choose a method \
                         that solves a system, such as `cg`"
                    ),
                };
                ConflictError::CurvatureIdle { path: at("curvature"), reason }
            }
            Violation::NotFixed(unfixed) => {
                let path = at(match unfixed {
                    Unfixed::Searches => "solver",
                    Unfixed::Preconditioned => "preconditioner",
                    _ => "hypergradient",
                });
                ConflictError::NotFixed { path, reason: self.unfixed(unfixed, method), level }
            }
            Violation::NotPreconditioned if method.is_empty() => {
                let reason = format!("no hypergradient passes through `{level}`");
                ConflictError::NotPreconditioned { path: at("preconditioner"), reason }
            }
            Violation::NotPreconditioned => {
                let reason =
                    format!("`{method}` applies none; choose `cg`, `minres` or `gmres` for `{level}`, or take it away");
                ConflictError::NotPreconditioned { path: at("preconditioner"), reason }
            }
            Violation::NoSystem(apart) => {
                let (path, reason) = (at("solve"), self.apart(apart));
                match self.config.solve {
                    Some(SolverConfig::Inexact(_)) => ConflictError::NotInexact { path, reason },
                    _ => ConflictError::NotJoint { path, reason },
                }
            }
            Violation::NotSolved(clash) => {
                ConflictError::NotSolved { path: at("solver"), reason: self.clash(clash, method), level }
            }
            Violation::NotScheduled(Unscheduled::NeverAnew) => {
                let restarts = |group: &Group<'_>| group.schedule.is_some_and(ScheduleConfig::restarts);
                let reason = format!(
                    "`{level}` goes on from where it was, and never begins anew; let it start `initial`, or take `restart` away"
                );
                ConflictError::NotScheduled { path: self.schedule_of(restarts) + ".restart", reason }
            }
            Violation::NotScheduled(Unscheduled::Learned) => {
                let reason = format!(
                    "the learning rate of `{level}` is learned, so there is no number that it would multiply; schedule the \
                     level that learns it, or learn a rate for each step"
                );
                ConflictError::NotScheduled { path: self.schedule_of(|group| schedules_learned(*group)), reason }
            }
            Violation::NotTogether(obstacle) => {
                ConflictError::NotTogether { path: at("vectorize"), reason: self.reason(obstacle), level }
            }
        }
    }

    /// Where the first schedule stands of which this holds.
    fn schedule_of(&self, is: impl Fn(&Group<'_>) -> bool) -> String {
        let name = self.name(self.level);
        self.config.all_groups().find(is).map_or_else(|| name.clone(), |group| group.place(&name, "schedule"))
    }

    fn apart(&self, apart: Apart) -> String {
        let method = |stop: usize| self.configs[stop].hypergradient.as_ref().map_or("", HypergradientConfig::name);
        match apart {
            Apart::NothingBelow => {
                format!("no best response answers to `{}`, so there is no system", self.name(self.level))
            }
            Apart::Replaced { stop } => format!(
                "`{}` of `{}` puts something of its own in the place of the level's part of the system; choose `cg`, \
                 `minres` or `gmres` there",
                method(stop),
                self.name(stop)
            ),
            Apart::StepsOnly => "every level below is gone through step by step, so there is no system".to_owned(),
            Apart::Tangents { stop } => format!(
                "the tangents of `{}` (`{}`) go along with the steps of the other levels; choose `unrolled` there",
                self.name(stop),
                method(stop)
            ),
        }
    }

    fn unfixed(&self, unfixed: Unfixed, method: &str) -> String {
        match unfixed {
            Unfixed::NotPassed => "no hypergradient passes through it".to_owned(),
            Unfixed::Waits { below } => format!("it waits for `{}`, whose answers the map does not see", self.name(below)),
            Unfixed::Asymmetric => format!(
                "`{method}` needs a symmetric matrix, and I − ∂T/∂θ is none; choose `gmres`, `neumann` or `dense`"
            ),
            Unfixed::Preconditioned => {
                "`nystrom` takes the matrix for symmetric, and I − ∂T/∂θ is not; choose `diagonal` or `custom`, or take it away"
                    .to_owned()
            }
            Unfixed::Replaced => format!(
                "`{method}` puts gradients of the loss in the place of the matrix; choose `gmres`, `neumann`, `dense` or \
                 `identity`"
            ),
            Unfixed::Steps => format!(
                "`{method}` follows the level's steps, whatever they lead to; choose `gmres`, `neumann` or `dense`"
            ),
            Unfixed::Searches => {
                "its solver looks for a point where the gradient of the loss vanishes; choose `custom`, or an `optimizer`".to_owned()
            }
        }
    }

    fn clash(&self, clash: Clash, method: &str) -> String {
        match clash {
            Clash::Waits { below } => format!(
                "it waits for `{}`, which would have to be solved again wherever the solver looks; choose an optimizer",
                self.name(below)
            ),
            Clash::NoSteps => format!(
                "`{method}` follows the steps of an optimizer, and there are none; choose a method that solves a system, such \
                 as `cg`"
            ),
            Clash::Clips => "it follows no gradient that `clip` could limit; take `clip` away".to_owned(),
            Clash::Projects => {
                "it knows nothing of the set in `project`; take `project` away, or choose an optimizer".to_owned()
            }
            Clash::Follows => {
                "it takes no steps that the function in `after_step` could follow; choose an optimizer".to_owned()
            }
            Clash::Schedules => {
                "it has no learning rate that a `schedule` could change; take `schedule` away".to_owned()
            }
            Clash::Accumulates => {
                "it solves for one batch, and `accumulate` asks for several; put them into one".to_owned()
            }
        }
    }

    fn reason(&self, obstacle: Obstacle) -> String {
        let name = |level: usize| self.schedule.levels[level].name;
        match obstacle {
            Obstacle::Accumulates => "`accumulate` takes several batches for each; raise `tasks` instead".to_owned(),
            Obstacle::Rounds => {
                "`rounds` has its levels take their steps several times; raise their `unroll` instead".to_owned()
            }
            Obstacle::IsPassed => format!(
                "a hypergradient passes through `{}`, and needs the steps below it one by one",
                name(self.level)
            ),
            Obstacle::NothingBelow => "it waits for no level".to_owned(),
            Obstacle::Waits { lower, further } => format!("`{}` waits for `{}`", name(lower), name(further)),
            Obstacle::Shared { lower, other } => format!("`{}` waits for `{}` too", name(other), name(lower)),
            Obstacle::GoesOn { lower } => {
                format!("`{}` goes on from one task to the next; let it start `initial` or `from`", name(lower))
            }
        }
    }
}

//! What has to hold between the numbers of a program's levels, with its place in a config.

use betty_schema::rules::{self, Begins, Facts, LearnedNumber, Method, Numbers, Place, Unscheduled, Violation};
use betty_schema::{Graph, LEVEL_SOLVERS, PRECONDITIONERS, Way};

use super::conflict::ConflictError;
use super::{
    CurvatureOf, Group, HypergradientConfig, LevelConfig, LevelSolverConfig, OptimizerConfig, PreconditionerConfig,
    ScheduleConfig, SolverConfig, Start,
};
use crate::schedule::{LevelSpec, Schedule};

/// A program and its config as rules see them.
pub(super) fn facts<'a>(schedule: &Schedule, graph: &'a Graph, configs: &[&LevelConfig]) -> Facts<'a> {
    let names = schedule.levels.iter().map(|level| level.name).collect();
    let numbers = configs.iter().zip(schedule.levels).map(|(config, spec)| numbers(schedule, spec, config)).collect();
    Facts { graph, names, numbers }
}

/// The first rule that a level breaks.
pub(super) fn check(facts: &Facts<'_>, index: usize, config: &LevelConfig) -> Result<(), ConflictError> {
    check_start(facts, index, config)?;
    facts.broken(index).next().map_or(Ok(()), |rule| {
        Err(ConflictError::Broken {
            path: path(facts.names[index], config, &rule),
            level: facts.names[index].to_owned(),
            text: facts.text(index, &rule),
            rule,
        })
    })
}

/// A level starts from one that the program names, and keeps to that where it is all that it has of it.
fn check_start(facts: &Facts<'_>, index: usize, config: &LevelConfig) -> Result<(), ConflictError> {
    let level = facts.names[index].to_owned();
    let (path, from) = (format!("{level}.start"), facts.graph.start(index));
    let start = match (config.start, from) {
        (Start::From, None) => return Err(ConflictError::StartUnknown { path, level }),
        (Start::From, Some(_)) | (_, None) => return Ok(()),
        (Start::Kept, _) => "kept",
        (Start::Initial, _) => "initial",
        (Start::Fresh, _) => "fresh",
        (Start::LookAhead, _) => "look_ahead",
    };
    match from.filter(|_| rules::depends_on_start(facts.graph, index, &facts.numbers[index])) {
        Some(from) => Err(ConflictError::StartLeft { path, start, level, from: facts.names[from].to_owned() }),
        None => Ok(()),
    }
}

/// Where what breaks a rule stands in the config of a level: of fields that groups have, in the first group which does.
fn path(level: &str, config: &LevelConfig, rule: &Violation) -> String {
    let breaks = |group: &Group<'_>| match rule {
        Violation::ProjectedResponse => group.project.is_some(),
        Violation::NotScheduled(Unscheduled::NeverAnew) => restarts(group),
        Violation::NotScheduled(Unscheduled::Learned) => schedules_learned(group),
        _ => false,
    };
    let Place { field, option } = Place::of(rule);
    let path = match config.all_groups().find(breaks) {
        Some(group) => group.place(level, field.name()),
        None => format!("{level}.{}", field.name()),
    };
    option.map_or_else(|| path.clone(), |option| format!("{path}.{option}"))
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
        symmetric_preconditioner: config.preconditioner.as_ref().and_then(symmetric),
        is_partial: config.curvature == CurvatureOf::Partial,
        solve: config.solve.as_ref().map(SolverConfig::name),
        is_solved: config.solver.is_some(),
        searches: config.solver.as_ref().is_some_and(searches),
        is_fixed_point: spec.condition.is_some(),
        is_clipped: config.all_groups().any(|group| group.clip.is_some()),
        is_projected: config.all_groups().any(|group| group.project.is_some()),
        has_after_step: spec.after_step.is_some(),
        is_scheduled: config.all_groups().any(|group| group.schedule.is_some()),
        restarts_schedule: config.all_groups().any(|group| restarts(&group)),
        schedules_learned: config.all_groups().any(|group| schedules_learned(&group)),
        learned: learned.collect(),
    }
}

fn learned(schedule: &Schedule, optimizer: &OptimizerConfig) -> impl Iterator<Item = LearnedNumber> {
    optimizer.learned().filter_map(move |(option, of)| {
        let at_rest = optimizer.decides_rest(option, of);
        Some(LearnedNumber { option, from: schedule.level(&of.level)?, at_rest })
    })
}

/// The name of a preconditioner that takes the matrix for symmetric.
fn symmetric(config: &PreconditionerConfig) -> Option<&'static str> {
    PRECONDITIONERS.find(config.name()).filter(|row| row.needs_symmetry).map(|row| row.name)
}

/// Whether the solver is one that is known, and not the user's own.
fn searches(config: &LevelSolverConfig) -> bool {
    LEVEL_SOLVERS.find(config.name()).is_some_and(|row| row.way != Way::Given)
}

fn restarts(group: &Group<'_>) -> bool {
    group.schedule.is_some_and(ScheduleConfig::restarts)
}

fn schedules_learned(group: &Group<'_>) -> bool {
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

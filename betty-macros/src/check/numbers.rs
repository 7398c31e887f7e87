//! The numbers of a level as the rules look at them.

use betty_schema::rules::{Begins, LearnedNumber, Method, Numbers};
use betty_schema::{ALL, CURVATURES, LEVEL_SOLVERS, PRECONDITIONERS, Range, SOLVERS, Way};
use proc_macro2::Ident;
use syn::ext::IdentExt;

use super::names::{Entry, Links};
use crate::ast::{Call, Count, FROM, Level, Program, Setting, ValueKind};

/// The numbers of all levels.
pub(super) fn of(program: &Program, links: &Links<'_>) -> Vec<Numbers> {
    program.levels.iter().enumerate().map(|(index, level)| of_level(level, index, links)).collect()
}

fn of_level(level: &Level, index: usize, links: &Links<'_>) -> Numbers {
    // Zero was refused for what it is.
    let steps = |number: Option<&Count>| count(number, 1).filter(|&count| count > 0);
    Numbers {
        unroll: steps(level.unroll.as_ref()),
        gives_unroll: level.unroll.as_ref().is_some_and(|unroll| unroll.known() != Some(0)),
        warmup: count(level.warmup.as_ref(), 0),
        accumulate: steps(level.accumulate.as_ref()),
        tasks: steps(level.tasks.as_ref()),
        rounds: steps(level.rounds.as_ref()),
        vectorize: level.vectorize.as_ref().is_some_and(|flag| flag.value),
        begins: level.start.as_ref().map_or(Begins::Kept, begins),
        // Where a level starts that it names is an edge.
        gives_start: level.start.as_ref().is_some_and(|call| call.name != FROM),
        method: level.hypergradient.as_ref().and_then(method),
        gives_method: level.written.contains(&betty_schema::Key::Hypergradient),
        gives_preconditioner: level.preconditioner.is_some(),
        symmetric_preconditioner: level.preconditioner.as_ref().and_then(symmetric),
        is_partial: level.curvature.as_ref().is_some_and(is_partial),
        solve: level.solve.as_ref().and_then(|call| Some(SOLVERS.find(&call.name.to_string())?.name)),
        is_solved: level.solver.is_some(),
        searches: level.solver.as_ref().is_some_and(searches),
        is_fixed_point: level.condition.is_some(),
        is_clipped: level.clips().next().is_some(),
        is_projected: level.projections().next().is_some(),
        has_after_step: level.after_step.is_some(),
        is_scheduled: level.schedules().next().is_some(),
        restarts_schedule: level.schedules().any(|(schedule, _)| restart(schedule).is_some()),
        schedules_learned: learned_schedule(level).is_some(),
        learned: links.hyperparameters[index].iter().map(|(entry, _)| learned(level, entry)).collect(),
    }
}

/// The number of the optimizers that a level learns; of several one that does not decide where the steps come to rest, if there is
/// one.
fn learned(level: &Level, by: &Entry<'_>) -> LearnedNumber {
    let (setting, at_rest) =
        learned_setting(level, by.token).map_or(("", false), |(setting, _, at_rest)| (setting.option(), at_rest));
    LearnedNumber { option: setting, from: by.level, at_rest }
}

/// The setting of that number, the name of the level in it, and whether it decides where the steps come to rest.
pub(super) fn learned_setting<'a>(level: &'a Level, by: &Ident) -> Option<(&'a Setting, &'a Ident, bool)> {
    let all = level
        .optimizers()
        .flat_map(|call| call.learned().map(move |(setting, level)| (setting, level, call.decides_rest(setting))));
    all.filter(|(_, level, _)| level.unraw() == by.unraw()).min_by_key(|&(.., at_rest)| at_rest)
}

/// The setting by which a schedule begins again where the level does.
pub(super) fn restart(schedule: &Call) -> Option<&Setting> {
    schedule.setting("restart").filter(|setting| matches!(setting.value.kind, ValueKind::Flag(true)))
}

/// The first schedule of a learning rate that is learned.
pub(super) fn learned_schedule(level: &Level) -> Option<&Call> {
    let is_learned = |optimizer: &Call| optimizer.learned().any(|(setting, _)| setting.option() == "lr");
    level.schedules().find(|(_, optimizer)| optimizer.is_some_and(is_learned)).map(|(schedule, _)| schedule)
}

/// The name of a preconditioner that takes the matrix for symmetric.
fn symmetric(call: &Call) -> Option<&'static str> {
    PRECONDITIONERS.find(&call.name.to_string()).filter(|row| row.needs_symmetry).map(|row| row.name)
}

/// Whether the solver is one that is known, and not the user's own.
fn searches(call: &Call) -> bool {
    LEVEL_SOLVERS.find(&call.name.to_string()).is_some_and(|row| row.way != Way::Given)
}

fn is_partial(call: &Call) -> bool {
    let word = CURVATURES.find(&call.name.to_string());
    word.is_some_and(|word| CURVATURES.words.first().is_some_and(|default| default.name != word.name))
}

fn begins(call: &Call) -> Begins {
    match call.name.to_string().as_str() {
        FROM => Begins::From,
        "kept" | "look_ahead" => Begins::Kept,
        _ => Begins::Anew,
    }
}

fn method(call: &Call) -> Option<Method> {
    let row = call.method()?;
    let truncate = match call.setting("truncate").map(|setting| &setting.value.kind) {
        Some(ValueKind::Integer(digits)) => digits.parse().ok().filter(|&count: &usize| count > 0),
        _ => None,
    };
    // Whatever a constant comes to, it is a number of steps. What was refused limits nothing, but may have been meant to.
    let limits_memory = call.setting("memory").is_some_and(|setting| {
        let kind = &setting.value.kind;
        matches!(kind, ValueKind::Integer(_) | ValueKind::Constant) && setting.value.lies_in(Range::CountOrAll)
    });
    let keeps = |setting: &Setting| match setting.name.as_ref().map(ToString::to_string).as_deref() {
        Some("truncate" | "memory") => matches!(&setting.value.kind, ValueKind::Word(word) if word == ALL),
        Some(name) => row.find(name).is_some(),
        None => false,
    };
    Some(Method { row, truncate, limits_memory, keeps_all: !call.incomplete && call.settings.iter().all(keeps) })
}

/// What constants come to is not known here.
fn count(number: Option<&Count>, absent: usize) -> Option<usize> {
    match number {
        Some(number) => number.known().and_then(|count| count.try_into().ok()),
        None => Some(absent),
    }
}

//! Fields of one level on their own: all that are needed, and counts in their range.

use crate::ast::{Count, Level};
use crate::report::Report;
use betty_schema::{FIELDS, Field, Key, listed};

pub(super) fn check(level: &Level, report: &mut Report) {
    check_required(level, report);
    let name = &level.name;
    check_count(level.unroll.as_ref(), report, || {
        format!("`unroll` is the number of steps `{name}` takes before the levels above it; it must be at least 1")
    });
    check_count(level.accumulate.as_ref(), report, || {
        format!("`accumulate` is the number of batches `{name}` averages for a step; it must be at least 1")
    });
    check_count(level.tasks.as_ref(), report, || {
        format!("`tasks` is how often the levels below are solved for one step of `{name}`; it must be at least 1")
    });
    check_count(level.rounds.as_ref(), report, || {
        format!("`rounds` is how often the levels below take their steps before `{name}`; it must be at least 1")
    });
    check_size(level.warmup.as_ref(), report);
}

fn check_required(level: &Level, report: &mut Report) {
    let is_written = |key: Key| level.written.contains(&key);
    let is_required = |field: &Field| match field.key {
        Key::Optimizer => !is_written(Key::Solver),
        _ => field.is_required(),
    };
    let missing = FIELDS.iter().filter(|field| is_required(field) && !is_written(field.key));
    let missing: Vec<&str> = missing.map(|field| field.name).collect();
    if !missing.is_empty() {
        let (name, missing) = (&level.name, listed(missing));
        report.error(name, format!("level `{name}` lacks {missing}; every level has its own"));
    }
    if let (Some(solver), true) = (&level.solver, is_written(Key::Optimizer)) {
        let name = &level.name;
        report.error(
            &solver.name,
            format!("`{name}` has an `optimizer` and a `solver`, which takes its place; keep one of them"),
        );
    }
}

fn check_count(count: Option<&Count>, report: &mut Report, message: impl Fn() -> String) {
    match count {
        Some(count) if count.known() == Some(0) => report.error(count, message()),
        _ => check_size(count, report),
    }
}

fn check_size(count: Option<&Count>, report: &mut Report) {
    if let Some(Count::Literal(literal)) = count.filter(|count| count.known().is_none()) {
        report.error(literal, format!("`{literal}` is too large; the largest count is {}", u32::MAX));
    }
}

//! Fields of one level on their own: all that are needed, and counts in their range.

use crate::ast::{Count, Group, Level, Part};
use crate::report::Report;
use betty_schema::{FIELDS, Field, Key, PATHS, lies_in, listed};
use syn::Ident;

pub(super) fn check(level: &Level, report: &mut Report) {
    check_required(level, report);
    check_groups(level, report);
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
        Key::Optimizer => !is_written(Key::Solver) && level.groups.is_empty() && !level.lost_group,
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

/// Each group has an optimizer, and each parameter one group at the most.
fn check_groups(level: &Level, report: &mut Report) {
    let name = &level.name;
    if let (Some(solver), Some(_)) = (&level.solver, level.groups.first()) {
        report.error(
            &solver.name,
            format!("`{name}` has `groups` and a `solver`, which takes no steps of theirs; keep one of them"),
        );
    }
    if !level.groups.is_empty() && !level.written.contains(&Key::Optimizer) {
        for (field, call) in [("schedule", &level.schedule), ("clip", &level.clip), ("project", &level.project)] {
            if let Some(call) = call {
                report.error(
                    &call.name,
                    format!(
                        "`{name}` has no optimizer of its own that its `{field}` could go with; give each group its own"
                    ),
                );
            }
        }
    }
    for (index, group) in level.groups.iter().enumerate() {
        let Part { path, token } = &group.name;
        if !group.written.contains(&Key::Optimizer) {
            report.error(token, format!("group `{path}` of level `{name}` lacks `optimizer`; every group has its own"));
        }
        if level.groups[..index].iter().any(|other| other.name.path == *path) {
            report.error(token, format!("`{path}` is a group of level `{name}` twice; keep one of them"));
            continue;
        }
        if group.parts().is_empty() {
            let message = format!("group `{path}` of level `{name}` has no parts: `{}`", PATHS.example);
            report.error(token, message);
        }
        check_parts(name, &level.groups[..index], group, report);
    }
}

/// No part of a group is a part of another one, or in one of the groups before.
fn check_parts(level: &Ident, earlier: &[Group], group: &Group, report: &mut Report) {
    for (index, Part { path, token }) in group.parts().iter().enumerate() {
        let shares = |other: &&Part| lies_in(path, &other.path) || lies_in(&other.path, path);
        let elsewhere = earlier.iter().find_map(|group| Some((group, group.parts().iter().find(shares)?)));
        let message = match (elsewhere, group.parts()[..index].iter().find(shares)) {
            (Some((_, other)), _) if *path == other.path => {
                format!("`{path}` is in two groups of level `{level}`; a parameter is in one: keep it in one of them")
            }
            (Some((of, other)), _) => {
                let are = if of.paths.is_some() || group.paths.is_some() { "in two groups" } else { "both groups" };
                format!(
                    "`{path}` and `{}` are {are} of level `{level}`, and one is a part of the other; a parameter is in one group: \
                     name parts that have nothing in common",
                    other.path
                )
            }
            (None, Some(other)) => format!(
                "`{path}` and `{}` in group `{}` of level `{level}` have parameters in common; keep one of them",
                other.path, group.name.path
            ),
            (None, None) => continue,
        };
        report.error(token, message);
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

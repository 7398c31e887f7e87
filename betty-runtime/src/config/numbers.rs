//! The numbers of a level in their ranges, whoever set them.

use betty_schema::{
    FIELDS, Family, Given, Holds, Key, LEVEL_SOLVERS, METHODS, NEEDS_MOMENTUM, OPTIMIZERS, PRECONDITIONERS,
    PROJECTIONS, Range, SCHEDULES, SOLVERS, overlap,
};

use super::conflict::ConflictError;
use super::error::ConfigError;
use super::written::Written;
use super::{Clip, Group, LevelConfig, OptimizerConfig, Part, ProjectionConfig};

type Options<'a> = Vec<(&'static str, Written<'a>)>;

/// Checks all numbers of a level, whose path is its name.
pub(super) fn check(level: &str, config: &LevelConfig) -> Result<(), ConfigError> {
    for field in &FIELDS {
        if let (Holds::Number(range, _), Some(count)) = (field.holds, count(config, field.key)) {
            in_range(range, Written::from(&count), || format!("{level}.{}", field.name))?;
        }
    }
    for group in config.all_groups() {
        check_group(level, group)?;
    }
    if let Some(solver) = &config.solver {
        options(&LEVEL_SOLVERS, solver.name(), solver.options(), || format!("{level}.solver"))?;
    }
    if let Some(method) = &config.hypergradient {
        options(&METHODS, method.name(), method.options(), || format!("{level}.hypergradient"))?;
    }
    if let Some(preconditioner) = &config.preconditioner {
        let path = || format!("{level}.preconditioner");
        options(&PRECONDITIONERS, preconditioner.name(), preconditioner.options(), path)?;
    }
    if let Some(solver) = &config.solve {
        options(&SOLVERS, solver.name(), solver.options(), || format!("{level}.solve"))?;
    }
    check_pairs(level, config)
}

/// A count of a level.
fn count(config: &LevelConfig, key: Key) -> Option<usize> {
    match key {
        Key::Unroll => Some(config.unroll),
        Key::Warmup => Some(config.warmup),
        Key::Accumulate => Some(config.accumulate),
        Key::Tasks => Some(config.tasks),
        Key::Rounds => Some(config.rounds),
        _ => None,
    }
}

/// Checks how parameters are stepped.
fn check_group(level: &str, group: Group<'_>) -> Result<(), ConfigError> {
    if let Some(optimizer) = group.optimizer {
        options(&OPTIMIZERS, optimizer.name(), optimizer.options(), || group.place(level, "optimizer"))?;
    }
    if let Some(schedule) = group.schedule {
        options(&SCHEDULES, schedule.name(), schedule.options(), || group.place(level, "schedule"))?;
    }
    if let Some(clip) = group.clip {
        let (name, limit) = clip.limit();
        in_range(Range::Positive, Written::from(&limit), || format!("{}.{name}", group.place(level, "clip")))?;
    }
    match group.project {
        Some(set) => options(&PROJECTIONS, set.name(), set.options(), || group.place(level, "project")),
        None => Ok(()),
    }
}

/// Checks the fields of which a level has one, groups that have parameters in common, and the options that limit each other or need
/// each other.
pub(super) fn check_pairs(level: &str, config: &LevelConfig) -> Result<(), ConfigError> {
    let has_steps = config.optimizer.is_some() || !config.groups.is_empty();
    match (has_steps, &config.solver) {
        (false, None) => {
            return Err(
                ConflictError::NeverMoves { path: format!("{level}.optimizer"), level: level.to_owned() }.into()
            );
        }
        (true, Some(_)) => {
            return Err(ConflictError::MovedTwice { path: format!("{level}.solver"), level: level.to_owned() }.into());
        }
        _ => {}
    }
    check_parts(level, config)?;
    if config.optimizer.is_none() && !config.groups.is_empty() {
        let given = [
            ("schedule", config.schedule.is_some()),
            ("clip", config.clip.is_some()),
            ("project", config.project.is_some()),
        ];
        for (field, is_given) in given {
            if is_given {
                let reason = "the level has no optimizer of its own that it could go with; give each group its own";
                return Err(
                    ConflictError::NotGrouped { path: format!("{level}.{field}"), reason: reason.to_owned() }.into()
                );
            }
        }
    }
    for group in config.all_groups() {
        check_momentum(level, group)?;
        if let Some(ProjectionConfig::Clamp(clamp)) = group.project
            && clamp.high <= clamp.low
        {
            let (path, value) = (format!("{}.high", group.place(level, "project")), clamp.high.to_string());
            return Err(ConfigError::Value { path, value, expected: "greater than `low`" });
        }
    }
    Ok(())
}

/// What an optimizer does along its momentum needs one.
fn check_momentum(level: &str, group: Group<'_>) -> Result<(), ConfigError> {
    let Some(OptimizerConfig::Sgd(sgd)) = group.optimizer else { return Ok(()) };
    if sgd.momentum.fixed() != Some(0.0) {
        return Ok(());
    }
    let given = [sgd.dampening.fixed() != Some(0.0), sgd.nesterov];
    match NEEDS_MOMENTUM.1.into_iter().zip(given).find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => {
            let path = format!("{}.{option}", group.place(level, "optimizer"));
            Err(ConflictError::NoMomentum { path }.into())
        }
    }
}

/// Every group has parts, and no part is a part of another one.
fn check_parts(level: &str, config: &LevelConfig) -> Result<(), ConfigError> {
    let refused = |path: String, reason: String| Err(ConflictError::NotGrouped { path, reason }.into());
    let parts: Vec<Part<'_>> = config.parts().collect();
    if let Some(name) = config.groups.keys().find(|name| parts.iter().all(|part| part.group != *name)) {
        return refused(
            format!("{level}.groups.{name}.paths"),
            "it names no part of the module, so the group has nothing to move; name one, or take the group away"
                .to_owned(),
        );
    }
    let Some((inner, outer)) = overlap(&parts.iter().map(|part| part.path).collect::<Vec<_>>()) else { return Ok(()) };
    let (inner, outer) = (parts[inner], parts[outer]);
    let part = if inner.is_listed { format!("`{}`", inner.path) } else { "it".to_owned() };
    let reason = match outer {
        Part { is_listed: false, group, .. } => {
            format!("{part} is a part of the group `{group}`, and a parameter is in one group")
        }
        Part { path, group, .. } if group == inner.group => {
            format!("{part} is a part of `{path}`, which it names too; keep one of them")
        }
        Part { path, group, .. } => {
            format!("{part} is a part of `{path}` in the group `{group}`, and a parameter is in one group")
        }
    };
    refused(inner.place(level), reason)
}

fn options(family: &Family, name: &str, given: Options<'_>, path: impl Fn() -> String) -> Result<(), ConfigError> {
    let ranges = family.find(name).into_iter().flat_map(|row| row.options).map(|option| option.range);
    given
        .into_iter()
        .zip(ranges)
        .try_for_each(|((option, written), range)| in_range(range, written, || format!("{}.{option}", path())))
}

fn in_range(range: Range, written: Written<'_>, path: impl FnOnce() -> String) -> Result<(), ConfigError> {
    written.check(range).map_err(|expected| ConfigError::Value { path: path(), value: written.to_string(), expected })
}

/// Whether a number of an optimizer may be this; what it must be, if not.
pub(crate) fn accepts(optimizer: &str, option: &str, number: f64) -> Result<(), &'static str> {
    match OPTIMIZERS.find(optimizer).and_then(|row| row.find(option)) {
        Some(option) => Written::Given(Given::Number(number)).check(option.range),
        None => Ok(()),
    }
}

impl Clip {
    /// The name of the way, and the limit.
    pub(super) fn limit(self) -> (&'static str, f64) {
        match self {
            Self::Norm(limit) => ("norm", limit),
            Self::Value(limit) => ("value", limit),
        }
    }
}

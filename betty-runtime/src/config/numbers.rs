//! The numbers of a level in their ranges, whoever set them.

use super::conflict::ConflictError;
use betty_schema::{Family, Given, LEVEL_SOLVERS, METHODS, OPTIMIZERS, PROJECTIONS, Range, SOLVERS};

use super::error::ConfigError;
use super::written::Written;
use super::{Clip, LevelConfig, ProjectionConfig};

type Options<'a> = Vec<(&'static str, Written<'a>)>;

/// Checks all numbers of a level, whose path is its name.
pub(super) fn check(level: &str, config: &LevelConfig) -> Result<(), ConfigError> {
    let counts = [
        ("unroll", config.unroll, Range::Count),
        ("warmup", config.warmup, Range::Natural),
        ("accumulate", config.accumulate, Range::Count),
        ("tasks", config.tasks, Range::Count),
        ("rounds", config.rounds, Range::Count),
    ];
    for (name, count, range) in counts {
        in_range(range, Written::from(&count), || format!("{level}.{name}"))?;
    }
    if let Some(optimizer) = &config.optimizer {
        options(&OPTIMIZERS, optimizer.name(), optimizer.options(), || format!("{level}.optimizer"))?;
    }
    if let Some(solver) = &config.solver {
        options(&LEVEL_SOLVERS, solver.name(), solver.options(), || format!("{level}.solver"))?;
    }
    if let Some(method) = &config.hypergradient {
        options(&METHODS, method.name(), method.options(), || format!("{level}.hypergradient"))?;
    }
    if let Some(clip) = config.clip {
        let (name, limit) = clip.limit();
        in_range(Range::Positive, Written::from(&limit), || format!("{level}.clip.{name}"))?;
    }
    if let Some(set) = &config.project {
        options(&PROJECTIONS, set.name(), set.options(), || format!("{level}.project"))?;
    }
    if let Some(solver) = &config.solve {
        options(&SOLVERS, solver.name(), solver.options(), || format!("{level}.solve"))?;
    }
    check_pairs(level, config)
}

/// Checks the fields of which a level has one, and the one pair of options that limit each other.
pub(super) fn check_pairs(level: &str, config: &LevelConfig) -> Result<(), ConfigError> {
    match (&config.optimizer, &config.solver) {
        (None, None) => {
            return Err(
                ConflictError::NeverMoves { path: format!("{level}.optimizer"), level: level.to_owned() }.into()
            );
        }
        (Some(_), Some(_)) => {
            return Err(ConflictError::MovedTwice { path: format!("{level}.solver"), level: level.to_owned() }.into());
        }
        _ => {}
    }
    match &config.project {
        Some(ProjectionConfig::Clamp(clamp)) if clamp.high <= clamp.low => {
            let (path, value) = (format!("{level}.project.high"), clamp.high.to_string());
            Err(ConfigError::Value { path, value, expected: "greater than `low`" })
        }
        _ => Ok(()),
    }
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

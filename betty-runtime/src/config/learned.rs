//! What can be wrong with learned numbers: how they are written, and which level learns them.

use super::conflict::ConflictError;
use betty_schema::{OPTIMIZERS, Range, TRANSFORMS};

use super::error::ConfigError;
use super::unknown::unknown;
use super::{Group, Learned, LevelConfig, Transform};
use crate::schedule::Schedule;

/// How a number at `path` is written, and that its transform does not leave the range.
pub(super) fn check_text(text: &str, range: Range, path: &str) -> Result<(), ConfigError> {
    let refused = |expected| ConfigError::Value { path: path.to_owned(), value: format!("{text:?}"), expected };
    let learned = Learned::parse(path, text)?;
    let learned = learned.ok_or_else(|| refused(TRANSFORMS.expected))?;
    learned.transform.check(range).map_err(refused)
}

/// The first learned number of which this holds, and whose it is.
fn find(config: &LevelConfig, is: impl Fn(&Learned) -> bool) -> Option<(Group<'_>, &'static str, &Learned)> {
    config.all_groups().find_map(|group| {
        let found = group.optimizer?.learned().find(|(_, learned)| is(learned))?;
        Some((group, found.0, found.1))
    })
}

/// The levels that learn numbers of the optimizer of level `level` are among those of the program.
pub(super) fn check_names(level: &str, config: &LevelConfig, levels: &[&str]) -> Result<(), ConfigError> {
    let is_unknown = |learned: &Learned| !levels.contains(&learned.level.as_str());
    let Some((group, option, learned)) = find(config, is_unknown) else { return Ok(()) };
    let path = format!("{}.{option}", group.place(level, "optimizer"));
    // A lone word was probably not meant to be a level.
    let is_word = learned.transform == Transform::Identity && learned.path.is_empty();
    let row = group.optimizer.and_then(|optimizer| OPTIMIZERS.find(optimizer.name()));
    let known = row.and_then(|row| row.find(option));
    Err(match known.filter(|_| is_word) {
        Some(option) => {
            ConfigError::Value { path, value: format!("{:?}", learned.level), expected: option.range.describe() }
        }
        None => unknown(&path, "level", &learned.level, levels),
    })
}

/// A number is learned by a level that the program names for it.
pub(super) fn check_levels(schedule: &Schedule, index: usize, config: &LevelConfig) -> Result<(), ConfigError> {
    let spec = &schedule.levels[index];
    let names: Vec<&str> = schedule.levels.iter().map(|level| level.name).collect();
    check_names(spec.name, config, &names)?;
    let is_known = |from: &str| schedule.level(from).is_some_and(|above| spec.hyperparameters.contains(&above));
    find(config, |learned| !is_known(&learned.level)).map_or(Ok(()), |(group, option, learned)| {
        Err(ConflictError::LearnedUnknown {
            path: format!("{}.{option}", group.place(spec.name, "optimizer")),
            number: learned.to_string(),
            level: spec.name.to_owned(),
            from: learned.level.clone(),
        }
        .into())
    })
}

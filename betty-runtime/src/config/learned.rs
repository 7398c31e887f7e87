//! What can be wrong with learned numbers: how they are written, and which level learns them.

use betty_schema::{OPTIMIZERS, Range, TRANSFORMS};

use super::error::ConfigError;
use super::unknown::unknown;
use super::{Learned, LevelConfig, OptimizerConfig, Transform};
use crate::schedule::Schedule;

/// How a number at `path` is written, and that its transform does not leave the range.
pub(super) fn check_text(text: &str, range: Range, path: &str) -> Result<(), ConfigError> {
    let refused = |expected| ConfigError::Value { path: path.to_owned(), value: format!("{text:?}"), expected };
    let learned = Learned::parse(path, text)?;
    let learned = learned.ok_or_else(|| refused(TRANSFORMS.expected))?;
    learned.transform.check(range).map_err(refused)
}

/// The levels that learn numbers of the optimizer of level `level` are among those of the program.
pub(super) fn check_names(level: &str, optimizer: &OptimizerConfig, levels: &[&str]) -> Result<(), ConfigError> {
    let unknown_level = |learned: &Learned| !levels.contains(&learned.level.as_str());
    let Some((option, learned)) = optimizer.learned().find(|(_, learned)| unknown_level(learned)) else {
        return Ok(());
    };
    let path = format!("{level}.optimizer.{option}");
    // A lone word was probably not meant to be a level.
    let is_word = learned.transform == Transform::Identity && learned.path.is_empty();
    let known = OPTIMIZERS.find(optimizer.name()).and_then(|row| row.find(option));
    Err(match known.filter(|_| is_word) {
        Some(option) => {
            ConfigError::Value { path, value: format!("{:?}", learned.level), expected: option.range.describe() }
        }
        None => unknown(&path, "level", &learned.level, levels),
    })
}

/// A number is learned by a level that the program names for it, and by a method that sees it.
pub(super) fn check_edges(schedule: &Schedule, index: usize, config: &LevelConfig) -> Result<(), ConfigError> {
    let spec = &schedule.levels[index];
    let names: Vec<&str> = schedule.levels.iter().map(|level| level.name).collect();
    check_names(spec.name, &config.optimizer, &names)?;
    for (option, learned) in config.optimizer.learned() {
        let (level, from) = (spec.name.to_owned(), learned.level.clone());
        let Some(above) = schedule.level(&from).filter(|above| spec.hyperparameters.contains(above)) else {
            let path = format!("{level}.optimizer.{option}");
            return Err(ConfigError::LearnedUnknown { path, number: learned.to_string(), level, from });
        };
        match &config.hypergradient {
            None => {}
            Some(method) if method.goes_through_steps() => {}
            Some(_) if spec.upper.contains(&above) => {}
            Some(method) => {
                let path = format!("{level}.hypergradient");
                return Err(ConfigError::LearnedUnseen { path, method: method.name(), level, option, from });
            }
        }
    }
    Ok(())
}

//! The config of a whole program: JSON over defaults, files, validation.

use std::fs;
use std::path::Path;

use betty_schema::{Holds, field};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::check;
use super::error::ConfigError;
use super::merge::{LEVELS, merge_levels};
use super::{LevelConfig, learned, numbers, rules};
use crate::file::replace;
use crate::json::{self, JsonError};
use crate::schedule::Schedule;

/// The config struct of a program: one [`LevelConfig`] for each level. `multilevel!` implements it.
///
/// `Default` gives the numbers that are written in the program; JSON overrides any part of them:
///
/// ```json
/// { "classifier": { "unroll": 5, "hypergradient": { "iterations": 20 } } }
/// ```
pub trait ProgramConfig: Clone + Default + Serialize + DeserializeOwned {
    /// The levels' configs, in order of declaration.
    fn levels(&self) -> Vec<&LevelConfig>;

    /// The levels' configs, in order of declaration.
    fn levels_mut(&mut self) -> Vec<&mut LevelConfig>;

    /// Reads JSON, which may be partial, over the defaults.
    ///
    /// An optimizer, a schedule, a solver, a projection or a hypergradient, of a level or of a group, whose `name` or `method` differs from the default's replaces it as
    /// a whole, so that options of the one do not end up in the other. A solver also takes the place of an optimizer and of
    /// groups, and the other way round; a group that is `null` is taken away.
    ///
    /// # Errors
    ///
    /// If the text is not JSON, or holds unknown names, a name twice, or numbers out of range.
    fn from_json(text: &str) -> Result<Self, ConfigError> {
        let overrides = json::parse(text.as_bytes())?;
        let defaults = to_object(&Self::default())?;
        let merged = merge_levels(defaults, overrides)?;
        merged.iter().try_for_each(|(level, value)| check::level(level, value))?;
        // The check above covers all that can be wrong with the text; what remains would be our own mistake.
        let names: Vec<&str> = merged.keys().map(String::as_str).collect();
        for (level, value) in &merged {
            let config: LevelConfig = read(value.clone())?;
            numbers::check_pairs(level, &config)?;
            learned::check_names(level, &config, &names)?;
        }
        read(Value::Object(merged))
    }

    /// Reads a JSON file, which may be partial, over the defaults.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, and as [`from_json`](Self::from_json).
    fn from_file(file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref().to_owned();
        match fs::read_to_string(&file) {
            Ok(text) => Self::from_json(&text).map_err(|reason| ConfigError::InFile { file, reason: Box::new(reason) }),
            Err(reason) => Err(ConfigError::Read { file, reason }),
        }
    }

    /// The whole config as JSON, indented: [`from_json`](Self::from_json) makes the same config of it. What the program has and
    /// this config has not is written too, as `null`, a `schedule` that was taken away for instance.
    ///
    /// # Errors
    ///
    /// If [`from_json`](Self::from_json) would refuse a number, as it refuses one that is not finite, for which JSON has no word; and if
    /// the struct was written by hand and cannot be serialized.
    fn to_json(&self) -> Result<String, ConfigError> {
        let levels = to_object(self)?;
        for (number, &level) in self.levels().iter().enumerate() {
            let written = serde_json::to_value(level).map_err(|reason| ConfigError::NotJson { reason })?;
            let name = levels.iter().find(|(_, other)| **other == written).map(|(name, _)| name.clone());
            numbers::check(&name.unwrap_or_else(|| number.to_string()), level)?;
        }
        whole(self, &Self::default())
    }

    /// Writes the whole config to a file, which holds either the old or the new text at any time.
    ///
    /// # Errors
    ///
    /// As [`to_json`](Self::to_json), before anything is written, and if the file or its directory cannot be written.
    fn save(&self, file: impl AsRef<Path>) -> Result<(), ConfigError> {
        let file = file.as_ref();
        let text = self.to_json()? + "\n";
        replace(file, text.as_bytes()).map_err(|reason| ConfigError::Write { file: file.to_owned(), reason })
    }

    /// Checks all numbers, that exactly the levels that a hypergradient passes through say how, and the schedule itself.
    ///
    /// # Errors
    ///
    /// The first mistake, in order of declaration.
    fn validate(&self, schedule: &Schedule) -> Result<(), ConfigError> {
        let levels = self.levels();
        if levels.len() != schedule.levels.len() {
            return Err(ConfigError::OtherProgram {
                program: schedule.name.to_owned(),
                levels: schedule.levels.len(),
                config: levels.len(),
            });
        }
        schedule.check().map_err(|reason| ConfigError::Schedule { program: schedule.name.to_owned(), reason })?;
        let graph = schedule.graph();
        let facts = rules::facts(schedule, &graph, &levels);
        for (index, (&config, spec)) in levels.iter().zip(schedule.levels).enumerate() {
            numbers::check(spec.name, config)?;
            learned::check_levels(schedule, index, config)?;
            rules::check(&facts, index, config)?;
        }
        Ok(())
    }
}

/// A config as JSON, indented: what [`ProgramConfig::to_json`] says of a struct of these levels, and of these by default, but
/// compiled with the library.
///
/// # Errors
/// As there.
pub fn levels_to_json(
    names: &[&str],
    levels: &[&LevelConfig],
    defaults: &[&LevelConfig],
) -> Result<String, ConfigError> {
    names.iter().zip(levels).try_for_each(|(name, level)| numbers::check(name, level))?;
    whole(&Levels { names, levels }, &Levels { names, levels: defaults })
}

/// A config as JSON that says what of the defaults it has not.
fn whole(config: &impl Serialize, defaults: &impl Serialize) -> Result<String, ConfigError> {
    let (mut levels, mut is_whole) = (to_object(config)?, true);
    for (name, default) in to_object(defaults)? {
        if let (Some(Value::Object(level)), Value::Object(default)) = (levels.get_mut(&name), default) {
            is_whole &= !say_taken_away(level, default);
        }
    }
    // What lacks nothing is written field by field, in their order.
    let text = if is_whole { serde_json::to_string_pretty(config) } else { serde_json::to_string_pretty(&levels) };
    text.map_err(|reason| ConfigError::NotJson { reason })
}

/// Gives a level, or a group, an entry for each that it lacks of its defaults, which reading puts in their place; answers whether
/// there was one.
fn say_taken_away(level: &mut Map<String, Value>, defaults: Map<String, Value>) -> bool {
    let mut is_any = false;
    for (field, default) in defaults {
        let is_groups = field == "groups";
        match (level.get_mut(&field), default) {
            (None, _) => {
                level.insert(field.clone(), absent(&field));
                is_any = true;
            }
            (Some(Value::Object(groups)), Value::Object(defaults)) if is_groups => {
                for (name, default) in defaults {
                    match (groups.get_mut(&name), default) {
                        (Some(Value::Object(group)), Value::Object(default)) => {
                            is_any |= say_taken_away(group, default)
                        }
                        _ => {
                            groups.insert(name, Value::Null);
                            is_any = true;
                        }
                    }
                }
            }
            _ => {}
        }
    }
    is_any
}

/// What a field says that was left out because it says nothing.
fn absent(name: &str) -> Value {
    match field(name).map(|field| field.holds) {
        Some(Holds::Number(_, absent)) => absent.into(),
        Some(Holds::Word(words)) => words.words[0].name.into(),
        _ => Value::Null,
    }
}

struct Levels<'a> {
    names: &'a [&'a str],
    levels: &'a [&'a LevelConfig],
}

impl Serialize for Levels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.levels))
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, ConfigError> {
    serde_json::from_value(value).map_err(|reason| ConfigError::NotJson { reason })
}

fn to_object(config: &impl Serialize) -> Result<Map<String, Value>, ConfigError> {
    match serde_json::to_value(config) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(value) => Err(ConfigError::Value { path: "config".to_owned(), value: value.to_string(), expected: LEVELS }),
        Err(reason) => Err(ConfigError::NotJson { reason }),
    }
}

impl From<JsonError> for ConfigError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Syntax(reason) => Self::NotJson { reason },
            JsonError::Repeated { path, key, line } if path.is_empty() => Self::Repeated { path: key, line },
            JsonError::Repeated { path, key, line } => Self::Repeated { path: format!("{path}.{key}"), line },
        }
    }
}

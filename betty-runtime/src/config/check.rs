//! The check of a config, as JSON, against the tables of what may be written.

use betty_schema::{CLIPS, Family, Given, METHODS, OPTIMIZERS, PRECISIONS, PROJECTIONS, Range, STARTS};
use serde_json::{Map, Value};

use super::error::ConfigError;
use super::unknown::{unknown, unknown_in};
use super::{ProjectionConfig, learned};

const PATHS: &str = "a list of paths in the level's module, such as `[\"encoder.norm\"]`";

const FIELDS: [&str; 14] = [
    "unroll",
    "warmup",
    "optimizer",
    "hypergradient",
    "clip",
    "project",
    "accumulate",
    "start",
    "tasks",
    "rounds",
    "vectorize",
    "train",
    "freeze",
    "precision",
];

/// Checks the numbers of a level, whose path is its name.
pub(super) fn level(path: &str, value: &Value) -> Result<(), ConfigError> {
    let fields = object(path, value, "an object with the numbers of the level")?;
    known_keys(path, fields, "field", FIELDS)?;
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match name.as_str() {
            "unroll" | "accumulate" | "tasks" | "rounds" => in_range(Range::Count, value, || path)?,
            "start" if value.as_str().is_some_and(|word| STARTS.find(word).is_some()) => {}
            "start" => return Err(refused(path, value, STARTS.expected)),
            "vectorize" => in_range(Range::Flag, value, || path)?,
            "warmup" => in_range(Range::Natural, value, || path)?,
            "train" if value.is_null() => {}
            "train" | "freeze" if value.as_array().is_some_and(|paths| paths.iter().all(Value::is_string)) => {}
            "train" | "freeze" => return Err(refused(path, value, PATHS)),
            "optimizer" => choice(&OPTIMIZERS, &path, value)?,
            "hypergradient" if !value.is_null() => choice(&METHODS, &path, value)?,
            "clip" if !value.is_null() => clip(&path, value)?,
            "project" if !value.is_null() => projection(&path, value)?,
            "precision" if !value.is_null() => precision(path, value)?,
            _ => {}
        }
    }
    Ok(())
}

/// Checks that all keys of an object are among the known.
pub(super) fn known_keys<'a>(
    path: &str,
    object: &Map<String, Value>,
    noun: &'static str,
    known: impl IntoIterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let known: Vec<&str> = known.into_iter().collect();
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(unknown(path, noun, key, &known)),
    }
}

/// The entries of a value that has to be an object.
pub(super) fn object<'a>(
    path: &str,
    value: &'a Value,
    expected: &'static str,
) -> Result<&'a Map<String, Value>, ConfigError> {
    value.as_object().ok_or_else(|| refused(path.to_owned(), value, expected))
}

fn clip(path: &str, value: &Value) -> Result<(), ConfigError> {
    let limits = object(path, value, CLIPS.expected)?;
    known_keys(path, limits, CLIPS.noun, CLIPS.names())?;
    if limits.len() != 1 {
        return Err(refused(path.to_owned(), value, CLIPS.expected));
    }
    limits.iter().try_for_each(|(name, limit)| in_range(Range::Positive, limit, || format!("{path}.{name}")))
}

fn projection(path: &str, value: &Value) -> Result<(), ConfigError> {
    choice(&PROJECTIONS, path, value)?;
    match serde_json::from_value(value.clone()) {
        Ok(ProjectionConfig::Clamp(clamp)) if clamp.high <= clamp.low => {
            let (path, value) = (format!("{path}.high"), clamp.high.to_string());
            Err(ConfigError::Value { path, value, expected: "greater than `low`" })
        }
        // The check above covers all else that can be wrong.
        _ => Ok(()),
    }
}

fn precision(path: String, value: &Value) -> Result<(), ConfigError> {
    match value.as_str() {
        Some(name) if PRECISIONS.find(name).is_some() => Ok(()),
        Some(name) => Err(unknown(&path, PRECISIONS.noun, name, &PRECISIONS.names().collect::<Vec<_>>())),
        None => Err(refused(path, value, PRECISIONS.expected)),
    }
}

/// Checks a name of a family with its options.
fn choice(family: &Family, path: &str, value: &Value) -> Result<(), ConfigError> {
    let fields = object(path, value, family.expected)?;
    let tag_path = || format!("{path}.{}", family.tag);
    let name = match fields.get(family.tag) {
        Some(Value::String(name)) => name,
        Some(other) => return Err(refused(tag_path(), other, "a string")),
        None => return Err(ConfigError::Missing { path: tag_path(), expected: "a string" }),
    };
    let row = family.find(name).ok_or_else(|| unknown_in(family, &tag_path(), name))?;
    known_keys(path, fields, "option", row.names().chain([family.tag]))?;
    for option in row.options {
        let path = || format!("{path}.{}", option.name);
        match fields.get(option.name) {
            Some(Value::String(text)) if family.learnable && option.range.is_learnable() => {
                learned::check_text(text, option.range, &path())?;
            }
            Some(value) => in_range(option.range, value, path)?,
            None if option.default.is_none() => {
                return Err(ConfigError::Missing { path: path(), expected: option.range.describe() });
            }
            None => {}
        }
    }
    Ok(())
}

fn in_range(range: Range, value: &Value, path: impl FnOnce() -> String) -> Result<(), ConfigError> {
    let given = match value {
        Value::Number(number) => match number.as_i128() {
            Some(integer) => Given::Integer(integer),
            None => number.as_f64().map_or(Given::Other, Given::Number),
        },
        Value::String(word) => Given::Word(word),
        Value::Bool(flag) => Given::Flag(*flag),
        _ => Given::Other,
    };
    if range.accepts(given) { Ok(()) } else { Err(refused(path(), value, range.describe())) }
}

fn refused(path: String, value: &Value, expected: &'static str) -> ConfigError {
    ConfigError::Value { path, value: value.to_string(), expected }
}

/// Whether a number of an optimizer may be this; what it must be, if not.
pub(crate) fn accepts(optimizer: &str, option: &str, number: f64) -> Result<(), &'static str> {
    match OPTIMIZERS.find(optimizer).and_then(|row| row.find(option)) {
        Some(option) if !option.range.accepts(Given::Number(number)) => Err(option.range.describe()),
        _ => Ok(()),
    }
}

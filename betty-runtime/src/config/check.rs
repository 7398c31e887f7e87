//! The check of a config that is read as text against the tables of what may be written.

use betty_schema::{FIELDS, Family, Field, Given, Holds, Key, Range, Words, of_a_group};
use serde_json::{Map, Value};

use super::error::ConfigError;
use super::learned;
use super::unknown::{unknown, unknown_in};

const GROUPS: &str =
    "an object with a group for each path in the level's module, such as `{\"log_lr\": {\"optimizer\": …}}`";
const PATHS: &str = "a list of paths in the level's module, such as `[\"encoder.norm\"]`";

/// Checks the numbers of a level, whose path is its name.
pub(super) fn level(path: &str, value: &Value) -> Result<(), ConfigError> {
    let fields = object(path, value, "an object with the numbers of the level")?;
    let open = || FIELDS.iter().filter(|field| !field.is_fixed());
    known_keys(path, fields, "field", open().map(|field| field.name))?;
    open().try_for_each(|field| match fields.get(field.name) {
        Some(value) => holds(field, &format!("{path}.{}", field.name), value),
        None => Ok(()),
    })
}

/// Checks what stands in a field.
fn holds(field: &Field, path: &str, value: &Value) -> Result<(), ConfigError> {
    if field.is_optional() && value.is_null() {
        return Ok(());
    }
    match field.holds {
        Holds::Number(range, _) => in_range(range, value, || path.to_owned()),
        Holds::Choice(family) => choice(family, path, value),
        Holds::Word(words) => word(words, path, value),
        Holds::Clip(ways) => clip(ways, path, value),
        Holds::Parts if value.as_array().is_some_and(|paths| paths.iter().all(Value::is_string)) => Ok(()),
        Holds::Parts => Err(refused(path.to_owned(), value, PATHS)),
        Holds::Groups => groups(path, value),
        Holds::Structure => Ok(()),
    }
}

fn groups(path: &str, value: &Value) -> Result<(), ConfigError> {
    for (name, group) in object(path, value, GROUPS)? {
        let path = format!("{path}.{name}");
        let fields = object(
            &path,
            group,
            "an object with the `optimizer` of the group, and if it likes a `schedule`, a `clip`, a `project` and `paths`",
        )?;
        known_keys(&path, fields, "field", of_a_group().map(|field| field.name))?;
        for field in of_a_group() {
            let path = format!("{path}.{}", field.name);
            match (fields.get(field.name), field.key, field.holds) {
                // Every group has its own.
                (Some(value), Key::Optimizer, Holds::Choice(family)) => choice(family, &path, value)?,
                (None, Key::Optimizer, Holds::Choice(family)) => {
                    return Err(ConfigError::Missing { path, expected: family.expected });
                }
                (Some(value), ..) => holds(field, &path, value)?,
                (None, ..) => {}
            }
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

fn clip(ways: &Words, path: &str, value: &Value) -> Result<(), ConfigError> {
    let limits = object(path, value, ways.expected)?;
    known_keys(path, limits, ways.noun, ways.names())?;
    if limits.len() != 1 {
        return Err(refused(path.to_owned(), value, ways.expected));
    }
    limits.iter().try_for_each(|(name, limit)| in_range(Range::Positive, limit, || format!("{path}.{name}")))
}

fn word(words: &Words, path: &str, value: &Value) -> Result<(), ConfigError> {
    match value.as_str() {
        Some(name) if words.find(name).is_some() => Ok(()),
        Some(name) => Err(unknown(path, words.noun, name, &words.names().collect::<Vec<_>>())),
        None => Err(refused(path.to_owned(), value, words.expected)),
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

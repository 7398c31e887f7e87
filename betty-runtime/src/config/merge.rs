//! JSON over the defaults of a program, field by field.

use betty_schema::{Family, Holds, field};
use serde_json::{Map, Value};

use super::check;
use super::error::ConfigError;
use super::unknown::unknown;

/// What a config has to be.
pub(super) const LEVELS: &str = "an object with the levels of the program";

/// All levels, with what the text says in the place of their defaults. What it says that cannot be stays, to be refused by the check.
pub(super) fn merge_levels(defaults: Map<String, Value>, overrides: Value) -> Result<Map<String, Value>, ConfigError> {
    let mut levels = defaults;
    let overrides = check::object("config", &overrides, LEVELS)?;
    check::known_keys("config", overrides, "level", levels.keys().map(String::as_str))?;
    for (name, fields) in overrides {
        match (levels.get_mut(name), fields) {
            (Some(Value::Object(level)), Value::Object(fields)) => {
                give_way(level, fields);
                merge_fields(level, fields.iter().filter(|(field, _)| *field != GROUPS));
                if let Some(groups) = fields.get(GROUPS) {
                    override_groups(&format!("{name}.{GROUPS}"), level, groups)?;
                }
            }
            _ => {
                levels.insert(name.clone(), fields.clone());
            }
        }
    }
    Ok(levels)
}

const GROUPS: &str = "groups";

/// A level has a solver or what takes steps, so that the one that is given takes the place of the other.
fn give_way(level: &mut Map<String, Value>, overrides: &Map<String, Value>) {
    let is_given = |name: &str| match overrides.get(name) {
        None | Some(Value::Null) => false,
        // Groups that are taken away are none.
        Some(Value::Object(groups)) if name == GROUPS => groups.values().any(|group| !group.is_null()),
        Some(_) => true,
    };
    for (given, other) in [("optimizer", "solver"), (GROUPS, "solver"), ("solver", "optimizer"), ("solver", GROUPS)] {
        if is_given(given) && !overrides.contains_key(other) {
            level.remove(other);
        }
    }
}

/// The fields of a level or of a group.
fn merge_fields<'a>(fields: &mut Map<String, Value>, overrides: impl IntoIterator<Item = (&'a String, &'a Value)>) {
    for (name, value) in overrides {
        let holds = field(name).map(|field| field.holds);
        match (holds, fields.get_mut(name), value) {
            (Some(Holds::Choice(family)), Some(Value::Object(default)), Value::Object(options))
                if keeps_default(family, default, options) =>
            {
                default.extend(options.clone());
            }
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

/// A group that is `null` is taken away, and `null` in the place of all takes away every one.
fn override_groups(path: &str, level: &mut Map<String, Value>, value: &Value) -> Result<(), ConfigError> {
    let mut groups = level.remove(GROUPS).unwrap_or_else(|| Value::Object(Map::new()));
    match (&mut groups, value) {
        (_, Value::Null) => return Ok(()),
        (Value::Object(groups), Value::Object(given)) => merge_groups(path, groups, given)?,
        _ => groups = value.clone(),
    }
    level.insert(GROUPS.to_owned(), groups);
    Ok(())
}

fn merge_groups(
    path: &str,
    groups: &mut Map<String, Value>,
    overrides: &Map<String, Value>,
) -> Result<(), ConfigError> {
    let defaults: Vec<String> = groups.keys().cloned().collect();
    for (name, group) in overrides {
        match (groups.get_mut(name), group) {
            (Some(Value::Object(fields)), Value::Object(given)) => merge_fields(fields, given),
            (Some(_), Value::Null) => drop(groups.remove(name)),
            // What was meant to be taken away would stay.
            (None, Value::Null) => {
                let known: Vec<&str> = defaults.iter().map(String::as_str).collect();
                return Err(unknown(path, "group", name, &known));
            }
            _ => drop(groups.insert(name.clone(), group.clone())),
        }
    }
    Ok(())
}

fn keeps_default(family: &Family, default: &Map<String, Value>, options: &Map<String, Value>) -> bool {
    options.get(family.tag).is_none_or(|name| Some(name) == default.get(family.tag))
}

#[cfg(test)]
mod tests {
    use betty_schema::FIELDS;
    use serde_json::json;

    use super::*;

    /// What is said of an option leaves the others of the same choice as they are, in every field that is one, also in groups.
    #[test]
    fn choices_are_merged_option_by_option() {
        let mut choices = 0;
        for field in &FIELDS {
            let Holds::Choice(family) = field.holds else { continue };
            let of = |options: &Value| json!({ field.name: options, GROUPS: { "part": { field.name: options } } });
            let tag = family.tag;
            let merged = |given: &Value| {
                let defaults = json!({ "level": of(&json!({ tag: "one", "kept": 1, "given": 1 })) });
                let Value::Object(defaults) = defaults else { panic!("an object") };
                Value::Object(merge_levels(defaults, json!({ "level": of(given) })).expect("known names"))
            };
            let kept = json!({ tag: "one", "kept": 1, "given": 2 });
            for given in [json!({ "given": 2 }), json!({ tag: "one", "given": 2 })] {
                assert_eq!(merged(&given), json!({ "level": of(&kept) }), "{}", field.name);
            }
            let other = json!({ tag: "two", "given": 2 });
            assert_eq!(merged(&other), json!({ "level": of(&other) }), "{}", field.name);
            choices += 1;
        }
        assert!(choices >= 7, "only {choices} fields are choices");
    }
}

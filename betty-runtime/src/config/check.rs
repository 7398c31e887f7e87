//! The ranges of all numbers, and the check of a config, as JSON, against them.

use serde_json::{Map, Value};

use super::error::{ConfigError, suggestion};
use super::{Precision, ProjectionConfig, learned};

/// What an option accepts.
#[derive(Clone, Copy)]
pub(super) enum Range {
    /// 1, 2, 3, …
    Count,
    /// 1, 2, 3, … or the word `all`
    CountOrAll,
    /// 0, 1, 2, …
    Natural,
    Number,
    /// x > 0
    Positive,
    /// x ≥ 0
    NonNegative,
    /// 0 ≤ x < 1
    Fraction,
    Flag,
    /// A variant of [`LowerBatch`](super::LowerBatch).
    Batch,
    /// A variant of [`Start`](super::Start).
    Start,
    /// Parts of a module.
    Paths,
}

impl Range {
    /// Completes "… must be".
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Count => "an integer greater than zero",
            Self::CountOrAll => "an integer greater than zero, or `all`",
            Self::Natural => "an integer that is not negative",
            Self::Number => "a number",
            Self::Positive => "a number greater than zero",
            Self::NonNegative => "a number that is not negative",
            Self::Fraction => "a number that is not negative and less than 1",
            Self::Flag => "`true` or `false`",
            Self::Batch => "`last` or `fresh`",
            Self::Start => "`kept`, `initial`, `look_ahead` or `from`",
            Self::Paths => "a list of paths in the level's module, such as `[\"encoder.norm\"]`",
        }
    }

    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Count => value.as_u64().is_some_and(|count| (1..=u64::from(u32::MAX)).contains(&count)),
            Self::CountOrAll => value == super::all::ALL || Self::Count.accepts(value),
            Self::Natural => value.is_u64(),
            Self::Number => value.as_f64().is_some_and(f64::is_finite),
            Self::Positive => value.as_f64().is_some_and(|number| number > 0.0),
            Self::NonNegative => value.as_f64().is_some_and(|number| number >= 0.0),
            Self::Fraction => value.as_f64().is_some_and(|number| (0.0..1.0).contains(&number)),
            Self::Flag => value.is_boolean(),
            Self::Start => {
                value.as_str().is_some_and(|word| matches!(word, "kept" | "initial" | "look_ahead" | "from"))
            }
            Self::Batch => value.as_str().is_some_and(|word| matches!(word, "last" | "fresh")),
            Self::Paths => value.as_array().is_some_and(|paths| paths.iter().all(Value::is_string)),
        }
    }

    /// Whether a level above may learn it.
    fn is_learnable(self) -> bool {
        matches!(self, Self::Positive | Self::NonNegative | Self::Fraction)
    }

    fn check(self, value: &Value, path: impl FnOnce() -> String) -> Result<(), ConfigError> {
        if self.accepts(value) {
            return Ok(());
        }
        Err(ConfigError::Value { path: path(), value: value.to_string(), expected: self.describe() })
    }
}

/// Objects that one of their keys tells apart, and what each may hold.
pub(super) struct Family {
    /// The key that holds the name.
    pub(super) tag: &'static str,
    /// What a name is called in a sentence.
    noun: &'static str,
    /// Completes "… must be".
    expected: &'static str,
    /// Whether its numbers can be learned.
    learnable: bool,
    pub(super) entries: &'static [Entry],
}

/// One name of a [`Family`].
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// The options, and whether each has to be given because there is no default.
    pub(super) options: &'static [(&'static str, Range, Presence)],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

use Presence::{Optional, Required};

/// The methods of [`HypergradientConfig`](super::HypergradientConfig).
pub(super) static METHODS: Family = Family {
    tag: "method",
    noun: "method",
    expected: "an object with a `method`",
    learnable: false,
    entries: &[
        Entry {
            name: "cg",
            options: &[
                ("iterations", Range::Count, Optional),
                ("tolerance", Range::NonNegative, Optional),
                ("damping", Range::NonNegative, Optional),
                ("warm_start", Range::Flag, Optional),
                ("batch", Range::Batch, Optional),
            ],
        },
        Entry {
            name: "minres",
            options: &[
                ("iterations", Range::Count, Optional),
                ("tolerance", Range::NonNegative, Optional),
                ("damping", Range::NonNegative, Optional),
                ("warm_start", Range::Flag, Optional),
                ("batch", Range::Batch, Optional),
            ],
        },
        Entry {
            name: "gmres",
            options: &[
                ("iterations", Range::Count, Optional),
                ("restart", Range::Count, Optional),
                ("tolerance", Range::NonNegative, Optional),
                ("damping", Range::NonNegative, Optional),
                ("warm_start", Range::Flag, Optional),
                ("batch", Range::Batch, Optional),
            ],
        },
        Entry {
            name: "neumann",
            options: &[
                ("terms", Range::Count, Optional),
                ("step_size", Range::Positive, Optional),
                ("damping", Range::NonNegative, Optional),
                ("warm_start", Range::Flag, Optional),
                ("batch", Range::Batch, Optional),
            ],
        },
        Entry {
            name: "nystrom",
            options: &[
                ("rank", Range::Count, Optional),
                ("damping", Range::Positive, Optional),
                ("seed", Range::Natural, Optional),
                ("batch", Range::Batch, Optional),
            ],
        },
        Entry {
            name: "finite_difference",
            options: &[("perturbation", Range::Positive, Optional), ("batch", Range::Batch, Optional)],
        },
        Entry {
            name: "penalty",
            options: &[
                ("multiplier", Range::Positive, Optional),
                ("steps", Range::Count, Optional),
                ("step_size", Range::Positive, Optional),
                ("damping", Range::NonNegative, Optional),
                ("warm_start", Range::Flag, Optional),
                ("batch", Range::Batch, Optional),
            ],
        },
        Entry { name: "identity", options: &[("scale", Range::Positive, Optional), ("batch", Range::Batch, Optional)] },
        Entry {
            name: "sama",
            options: &[("perturbation", Range::Positive, Optional), ("batch", Range::Batch, Optional)],
        },
        Entry {
            name: "dense",
            options: &[
                ("damping", Range::NonNegative, Optional),
                ("limit", Range::Count, Optional),
                ("batch", Range::Batch, Optional),
            ],
        },
        Entry {
            name: "unrolled",
            options: &[("truncate", Range::CountOrAll, Optional), ("memory", Range::CountOrAll, Optional)],
        },
        Entry { name: "forward", options: &[("limit", Range::Count, Optional)] },
        Entry {
            name: "forward_gradient",
            options: &[("directions", Range::Count, Optional), ("seed", Range::Natural, Optional)],
        },
        Entry {
            name: "evolution",
            options: &[
                ("pairs", Range::Count, Optional),
                ("sigma", Range::Positive, Optional),
                ("seed", Range::Natural, Optional),
            ],
        },
        Entry { name: "custom", options: &[("batch", Range::Batch, Optional)] },
    ],
};

/// The optimizers of [`OptimizerConfig`](super::OptimizerConfig).
pub(super) static OPTIMIZERS: Family = Family {
    tag: "name",
    noun: "optimizer",
    expected: "an object with the `name` of an optimizer",
    learnable: true,
    entries: &[
        Entry {
            name: "sgd",
            options: &[
                ("lr", Range::Positive, Required),
                ("momentum", Range::Fraction, Optional),
                ("dampening", Range::Fraction, Optional),
                ("nesterov", Range::Flag, Optional),
                ("weight_decay", Range::NonNegative, Optional),
            ],
        },
        Entry { name: "adam", options: &ADAM },
        Entry { name: "adamw", options: &ADAM },
        Entry {
            name: "rmsprop",
            options: &[
                ("lr", Range::Positive, Required),
                ("alpha", Range::Fraction, Optional),
                ("momentum", Range::Fraction, Optional),
                ("epsilon", Range::Positive, Optional),
                ("centered", Range::Flag, Optional),
                ("weight_decay", Range::NonNegative, Optional),
            ],
        },
        Entry {
            name: "adagrad",
            options: &[
                ("lr", Range::Positive, Required),
                ("lr_decay", Range::NonNegative, Optional),
                ("epsilon", Range::Positive, Optional),
                ("weight_decay", Range::NonNegative, Optional),
            ],
        },
    ],
};

const ADAM: [(&str, Range, Presence); 5] = [
    ("lr", Range::Positive, Required),
    ("beta_1", Range::Fraction, Optional),
    ("beta_2", Range::Fraction, Optional),
    ("epsilon", Range::Positive, Optional),
    ("weight_decay", Range::NonNegative, Optional),
];

/// The sets of [`ProjectionConfig`](super::ProjectionConfig).
pub(super) static PROJECTIONS: Family = Family {
    tag: "name",
    noun: "projection",
    expected: "`null`, or an object with the `name` of a projection",
    learnable: false,
    entries: &[
        Entry { name: "at_least", options: &[("low", Range::Number, Optional)] },
        Entry { name: "clamp", options: &[("low", Range::Number, Optional), ("high", Range::Number, Optional)] },
        Entry { name: "simplex", options: &[("total", Range::Positive, Optional)] },
        Entry { name: "norm_ball", options: &[("radius", Range::Positive, Optional)] },
    ],
};

const CLIPS: [&str; 2] = ["norm", "value"];
const CLIP: &str = "`null`, or an object with one of `norm` and `value`";

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
            "unroll" | "accumulate" | "tasks" | "rounds" => Range::Count.check(value, || path)?,
            "start" => Range::Start.check(value, || path)?,
            "vectorize" => Range::Flag.check(value, || path)?,
            "warmup" => Range::Natural.check(value, || path)?,
            "train" if value.is_null() => {}
            "train" | "freeze" => Range::Paths.check(value, || path)?,
            "optimizer" => OPTIMIZERS.check(&path, value)?,
            "hypergradient" if !value.is_null() => METHODS.check(&path, value)?,
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
    value.as_object().ok_or_else(|| ConfigError::Value { path: path.to_owned(), value: value.to_string(), expected })
}

fn clip(path: &str, value: &Value) -> Result<(), ConfigError> {
    let limits = object(path, value, CLIP)?;
    known_keys(path, limits, "clip", CLIPS)?;
    if limits.len() != 1 {
        let value = value.to_string();
        return Err(ConfigError::Value { path: path.to_owned(), value, expected: CLIP });
    }
    limits.iter().try_for_each(|(name, limit)| Range::Positive.check(limit, || format!("{path}.{name}")))
}

fn projection(path: &str, value: &Value) -> Result<(), ConfigError> {
    PROJECTIONS.check(path, value)?;
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
        Some(name) if Precision::NAMES.contains(&name) => Ok(()),
        Some(name) => Err(unknown(&path, "precision", name, &Precision::NAMES)),
        None => {
            Err(ConfigError::Value { path, value: value.to_string(), expected: "`null`, or the name of a float type" })
        }
    }
}

impl Family {
    /// The error for a name that is none of the family's.
    pub(super) fn unknown(&self, path: &str, name: &str) -> ConfigError {
        let known: Vec<&str> = self.entries.iter().map(|entry| entry.name).collect();
        unknown(path, self.noun, name, &known)
    }

    /// What an option accepts.
    pub(super) fn range(&self, name: &str, option: &str) -> Option<Range> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        entry.options.iter().find(|(known, ..)| *known == option).map(|(_, range, _)| *range)
    }

    fn check(&self, path: &str, value: &Value) -> Result<(), ConfigError> {
        let fields = object(path, value, self.expected)?;
        let tag_path = || format!("{path}.{}", self.tag);
        let name = match fields.get(self.tag) {
            Some(Value::String(name)) => name,
            Some(other) => {
                let value = other.to_string();
                return Err(ConfigError::Value { path: tag_path(), value, expected: "a string" });
            }
            None => {
                return Err(ConfigError::Missing { path: tag_path(), expected: "a string" });
            }
        };
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else {
            return Err(self.unknown(&tag_path(), name));
        };
        let options = entry.options.iter().map(|(option, ..)| *option);
        let keys: Vec<&str> = options.chain([self.tag]).collect();
        known_keys(path, fields, "option", keys)?;
        for &(option, range, presence) in entry.options {
            let path = || format!("{path}.{option}");
            match fields.get(option) {
                Some(Value::String(text)) if self.learnable && range.is_learnable() => {
                    learned::check_text(text, range, &path())?;
                }
                Some(value) => range.check(value, path)?,
                None if presence == Required => {
                    return Err(ConfigError::Missing { path: path(), expected: range.describe() });
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Whether a number of an optimizer may be this; what it must be, if not.
pub(crate) fn accepts(optimizer: &str, option: &str, number: f64) -> Result<(), &'static str> {
    match OPTIMIZERS.range(optimizer, option) {
        Some(range) if !range.accepts(&Value::from(number)) => Err(range.describe()),
        _ => Ok(()),
    }
}

/// The error for a name that is none of the known.
pub(super) fn unknown(path: &str, noun: &'static str, name: &str, known: &[&str]) -> ConfigError {
    ConfigError::Unknown {
        path: path.to_owned(),
        noun,
        name: name.to_owned(),
        suggestion: suggestion(name, known.iter().copied()).map(str::to_owned),
        known: known.iter().map(|&name| name.to_owned()).collect(),
    }
}

//! Numbers that a level's float type turns into zero or infinity.

use betty_schema::{Family, METHODS, OPTIMIZERS, PROJECTIONS, Seen};
use burn::tensor::{DType, TensorData};
use serde_json::Value;

use super::error::ConfigError;
use super::program::to_object;
use super::{Hyperparameter, LevelConfig, OptimizerConfig};

/// A number as it is used.
struct Used {
    path: String,
    number: f64,
    /// What of it is used.
    what: &'static str,
    used: f64,
}

impl Used {
    fn check(&self, dtype: DType) -> Result<(), ConfigError> {
        let rounded = rounded(self.used, dtype);
        if rounded.is_finite() && (rounded != 0.0 || self.number == 0.0) {
            return Ok(());
        }
        Err(ConfigError::Rounded {
            path: self.path.clone(),
            number: self.number,
            what: self.what,
            rounded,
            dtype: format!("{dtype:?}").to_lowercase(),
        })
    }
}

/// The number in a float type.
pub(crate) fn rounded(number: f64, dtype: DType) -> f64 {
    TensorData::new(vec![number], [1]).convert_dtype(dtype).iter::<f64>().next().unwrap_or(f64::NAN)
}

/// Refuses numbers of a level that its float types turn into zero or infinity. `parameters` are the types of its parameters,
/// and `wide` those in which its steps are computed.
pub(crate) fn check_rounded(
    level: &str,
    config: &LevelConfig,
    parameters: &[DType],
    wide: &[DType],
) -> Result<(), ConfigError> {
    let fields = to_object(config)?;
    let of = |field: &str, family: &Family| {
        fields.get(field).map_or_else(Vec::new, |value| floats(&format!("{level}.{field}"), value, family))
    };
    let steps =
        of("optimizer", &OPTIMIZERS).into_iter().chain(clip(level, &fields)).chain(first_epsilon(level, config));
    let steps: Vec<Used> = steps.collect();
    for (all, dtypes) in
        [(&steps, wide), (&of("project", &PROJECTIONS), wide), (&of("project", &PROJECTIONS), parameters)]
    {
        for &dtype in dtypes {
            all.iter().try_for_each(|used| used.check(dtype))?;
        }
    }
    let method = of("hypergradient", &METHODS);
    parameters.iter().try_for_each(|&dtype| method.iter().try_for_each(|used| used.check(dtype)))
}

/// The floats among the options of a family, and what is made of them.
fn floats(path: &str, value: &Value, family: &Family) -> Vec<Used> {
    let Some(name) = value.get(family.tag).and_then(Value::as_str) else { return Vec::new() };
    let options = family.find(name).into_iter().flat_map(|row| row.options);
    let floats = options.filter(|option| option.range.is_float() && option.seen != Seen::Nothing);
    let used = floats.filter_map(|option| Some((option, value.get(option.name)?.as_f64()?)));
    used.flat_map(|(option, number)| {
        let derived = match option.seen {
            Seen::Square => Some(("the square of which", number * number)),
            Seen::Inverse => Some(("the inverse of which", 1.0 / number)),
            Seen::Nothing | Seen::Number => None,
        };
        let use_of = |(what, used)| Used { path: format!("{path}.{}", option.name), number, what, used };
        [Some(("which", number)), derived].into_iter().flatten().map(use_of).collect::<Vec<_>>()
    })
    .collect()
}

fn clip(level: &str, fields: &serde_json::Map<String, Value>) -> Vec<Used> {
    let limits = fields.get("clip").and_then(Value::as_object).into_iter().flatten();
    let numbers = limits.filter_map(|(name, limit)| Some((name, limit.as_f64()?)));
    numbers
        .flat_map(|(name, number)| {
            let square = (name == "norm").then_some(("the square of which", number * number));
            let use_of = |(what, used)| Used { path: format!("{level}.clip.{name}"), number, what, used };
            [Some(("which", number)), square].into_iter().flatten().map(use_of).collect::<Vec<_>>()
        })
        .collect()
}

/// Adam's `ε` is smallest at the first step: `ε·√(1 − β₂)`.
fn first_epsilon(level: &str, config: &LevelConfig) -> Option<Used> {
    let (epsilon, beta_2) = match &config.optimizer {
        OptimizerConfig::Adam(adam) => (&adam.epsilon, &adam.beta_2),
        OptimizerConfig::AdamW(adam) => (&adam.epsilon, &adam.beta_2),
        _ => return None,
    };
    let (Hyperparameter::Fixed(number), Some(beta_2)) = (epsilon, beta_2.fixed()) else { return None };
    let (path, used) = (format!("{level}.optimizer.epsilon"), number * (1.0 - beta_2).sqrt());
    Some(Used { path, number: *number, what: "√(1 − β₂) times which", used })
}

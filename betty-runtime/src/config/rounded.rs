//! Numbers that a level's float type turns into zero or infinity.

use betty_schema::{Family, METHODS, OPTIMIZERS, PROJECTIONS, Seen};
use burn::tensor::{DType, TensorData};

use super::error::ConfigError;
use super::written::Written;
use super::{Clip, Group, Hyperparameter, LevelConfig, OptimizerConfig};

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
    for group in config.all_groups() {
        let steps = optimizer(level, group).chain(clip(level, group)).chain(first_epsilon(level, group)).collect();
        let set = group.project;
        let set = set.map(|set| floats(&PROJECTIONS, set.name(), set.options(), &group.place(level, "project")));
        let set = set.unwrap_or_default();
        for (all, dtypes) in [(&steps, wide), (&set, wide), (&set, parameters)] {
            for &dtype in dtypes {
                all.iter().try_for_each(|used: &Used| used.check(dtype))?;
            }
        }
    }
    let method = config.hypergradient.as_ref();
    let method =
        method.map(|method| floats(&METHODS, method.name(), method.options(), &format!("{level}.hypergradient")));
    let method = method.unwrap_or_default();
    parameters.iter().try_for_each(|&dtype| method.iter().try_for_each(|used| used.check(dtype)))
}

/// The floats among the options of a row, and what is made of them.
fn floats(family: &Family, name: &str, given: Vec<(&'static str, Written<'_>)>, path: &str) -> Vec<Used> {
    let options = family.find(name).into_iter().flat_map(|row| row.options);
    let floats = given.into_iter().zip(options).filter_map(|((name, written), option)| {
        let is_used = option.range.is_float() && option.seen != Seen::Nothing;
        Some((name, option.seen, written.number().filter(|_| is_used)?))
    });
    floats.flat_map(|(name, seen, number)| uses(&format!("{path}.{name}"), number, seen)).collect()
}

/// The number as it is, and what else of it is used.
fn uses(path: &str, number: f64, seen: Seen) -> Vec<Used> {
    let derived = match seen {
        Seen::Square => Some(("the square of which", number * number)),
        Seen::Inverse => Some(("the inverse of which", 1.0 / number)),
        Seen::Nothing | Seen::Number => None,
    };
    let use_of = |(what, used)| Used { path: path.to_owned(), number, what, used };
    [Some(("which", number)), derived].into_iter().flatten().map(use_of).collect()
}

fn optimizer(level: &str, group: Group<'_>) -> impl Iterator<Item = Used> {
    let floats = |of: &OptimizerConfig| floats(&OPTIMIZERS, of.name(), of.options(), &group.place(level, "optimizer"));
    group.optimizer.map(floats).into_iter().flatten()
}

fn clip(level: &str, group: Group<'_>) -> Vec<Used> {
    let Some(clip) = group.clip else { return Vec::new() };
    let (name, limit) = clip.limit();
    let seen = if matches!(clip, Clip::Norm(_)) { Seen::Square } else { Seen::Number };
    uses(&format!("{}.{name}", group.place(level, "clip")), limit, seen)
}

/// Adam's `ε` is smallest at the first step: `ε·√(1 − β₂)`.
fn first_epsilon(level: &str, group: Group<'_>) -> Option<Used> {
    let (epsilon, beta_2) = match group.optimizer? {
        OptimizerConfig::Adam(adam) => (&adam.epsilon, &adam.beta_2),
        OptimizerConfig::AdamW(adam) => (&adam.epsilon, &adam.beta_2),
        _ => return None,
    };
    let (Hyperparameter::Fixed(number), Some(beta_2)) = (epsilon, beta_2.fixed()) else { return None };
    let (path, used) = (format!("{}.epsilon", group.place(level, "optimizer")), number * (1.0 - beta_2).sqrt());
    Some(Used { path, number: *number, what: "√(1 − β₂) times which", used })
}

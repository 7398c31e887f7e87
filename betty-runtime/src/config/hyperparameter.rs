//! Numbers of an optimizer, fixed or learned by a level above.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use betty_schema::{OF_THE_STEP, Range, TRANSFORMS};
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::unknown::unknown;

/// A number of an optimizer. In JSON a number, or a text such as `"exp(rates.log_lr)"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Hyperparameter {
    /// The number.
    Fixed(f64),
    /// It is made of the parameters of a level above.
    Learned(Learned),
}

impl Hyperparameter {
    /// The number, if it is fixed.
    #[must_use]
    pub fn fixed(&self) -> Option<f64> {
        match self {
            Self::Fixed(number) => Some(*number),
            Self::Learned(_) => None,
        }
    }

    /// The number that the parameters at a path of a level become.
    #[must_use]
    pub fn learned(transform: Transform, level: &str, path: &str) -> Self {
        Self::Learned(Learned { transform, level: level.to_owned(), path: path.to_owned(), by_step: false })
    }

    /// The number that, at each step, that step's row of the parameters at a path of a level becomes.
    #[must_use]
    pub fn learned_by_step(transform: Transform, level: &str, path: &str) -> Self {
        Self::Learned(Learned { transform, level: level.to_owned(), path: path.to_owned(), by_step: true })
    }
}

impl From<f64> for Hyperparameter {
    fn from(number: f64) -> Self {
        Self::Fixed(number)
    }
}

/// A number that is a transform of parameters of a level above, which hypergradients reach by methods that go through the
/// steps, such as `unrolled` (Maclaurin, Duvenaud and Adams, *Gradient-based Hyperparameter Optimization through Reversible
/// Learning*, 2015).
///
/// The parameters are those of the level whose path is `path` or lies inside of it. They are
///
/// - one tensor of shape `[1]`: one number for all parameters,
/// - as many tensors as the optimizer moves, of their shapes: a number for every entry (Li, Zhou, Chen and Li, *Meta-SGD*,
///   2017),
/// - as many tensors of shape `[1]`, or one vector of as many entries: a number for every tensor.
///
/// A number of each step (`exp(rates.log_lr[step])`) is made of a row of such parameters: each has one more dimension in front, as
/// long as the level has `unroll` steps, and a vector is one number for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Learned {
    /// What is made of each parameter.
    pub transform: Transform,
    /// The name of the level.
    pub level: String,
    /// Where in the level's module, such as `rates.log_lr`; empty for all of it.
    pub path: String,
    /// Whether each of the level's `unroll` steps has a number of its own, the row of the parameters with the step's number.
    pub by_step: bool,
}

/// A function from all numbers to those that an option accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transform {
    /// The parameter as it is. It has to begin in the option's range, but nothing keeps it there: learning rates, for
    /// instance, may turn negative, as in Meta-SGD. A `project` of its level can confine it.
    #[default]
    Identity,
    /// eˣ, greater than zero.
    Exp,
    /// log(1 + eˣ), greater than zero, and about x where x is large.
    Softplus,
    /// 1/(1 + e⁻ˣ), between 0 and 1.
    Sigmoid,
}

impl Transform {
    /// Every transform that has a name, with it.
    fn named() -> impl Iterator<Item = (&'static str, Self)> {
        TRANSFORMS.names().zip([Self::Exp, Self::Softplus, Self::Sigmoid])
    }

    /// The name; the identity has none.
    fn name(self) -> Option<&'static str> {
        Self::named().find(|&(_, named)| named == self).map(|(name, _)| name)
    }

    /// That a learned number stays in a range, or what it must be.
    pub(super) fn check(self, range: Range) -> Result<(), &'static str> {
        match self.name().is_some_and(|name| range.is_left_by(name)) {
            true => Err("less than 1; use `sigmoid`, which stays below"),
            false => Ok(()),
        }
    }

    /// Its value at `x`.
    #[must_use]
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Exp => x.exp(),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }
}

impl Learned {
    /// Reads `transform(level.path)` or `level.path`, either with `[step]` behind the path, which stands at `place`; `None` if
    /// it is nothing of the kind.
    pub(super) fn parse(place: &str, text: &str) -> Result<Option<Self>, ConfigError> {
        let text = text.trim();
        let (transform, parameters) = match text.split_once('(') {
            None => (Transform::Identity, text),
            Some((name, rest)) => {
                let Some(parameters) = rest.strip_suffix(')') else { return Ok(None) };
                let name = name.trim();
                let Some((_, transform)) = Transform::named().find(|(known, _)| *known == name) else {
                    let known: Vec<&str> = TRANSFORMS.names().collect();
                    return Err(unknown(place, TRANSFORMS.noun, name, &known));
                };
                (transform, parameters.trim())
            }
        };
        let indexed = parameters.strip_suffix(']').and_then(|text| text.strip_suffix(OF_THE_STEP)?.strip_suffix('['));
        let (parameters, by_step) = (indexed.unwrap_or(parameters), indexed.is_some());
        let (level, path) = parameters.split_once('.').unwrap_or((parameters, ""));
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_path = parameters.split('.').all(is_word) && !level.starts_with(|c: char| c.is_ascii_digit());
        Ok(is_path.then(|| Self { transform, level: level.to_owned(), path: path.to_owned(), by_step }))
    }
}

impl FromStr for Learned {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let place = "hyperparameter";
        Self::parse(place, text)?.ok_or_else(|| ConfigError::Value {
            path: place.to_owned(),
            value: format!("{text:?}"),
            expected: "the path of a level's parameters, as in `exp(rates.log_lr)`",
        })
    }
}

impl TryFrom<String> for Learned {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<Learned> for String {
    fn from(learned: Learned) -> Self {
        learned.to_string()
    }
}

impl Display for Learned {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { transform, level, path, by_step } = self;
        let dot = if path.is_empty() { "" } else { "." };
        let row = if *by_step { format!("[{OF_THE_STEP}]") } else { String::new() };
        match transform.name() {
            Some(name) => write!(f, "{name}({level}{dot}{path}{row})"),
            None => write!(f, "{level}{dot}{path}{row}"),
        }
    }
}

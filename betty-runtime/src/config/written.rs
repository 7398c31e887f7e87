//! The value of an option, whatever its type.

use std::fmt::{self, Display, Formatter};

use betty_schema::{ALL, Given, Range};

use super::{Hyperparameter, Learned, LowerBatch};

/// The value of an option as it can be written. `Display` is as in JSON, which has no words for infinity and for what is no
/// number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written<'a> {
    /// A value.
    Given(Given<'a>),
    /// A number that a level above learns.
    Learned(&'a Learned),
}

impl Written<'_> {
    /// The number, if it is one that is fixed.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Given(Given::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// Whether it lies in the range, and if not, what it must be.
    pub(super) fn check(self, range: Range) -> Result<(), &'static str> {
        match self {
            Self::Given(given) if range.accepts(given) => Ok(()),
            Self::Given(_) => Err(range.describe()),
            Self::Learned(learned) => learned.transform.check(range),
        }
    }
}

impl Display for Written<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Given(Given::Integer(integer)) => write!(f, "{integer}"),
            Self::Given(Given::Number(f64::INFINITY)) => f.write_str("infinity"),
            Self::Given(Given::Number(f64::NEG_INFINITY)) => f.write_str("-infinity"),
            // NaN prints as what it is called.
            Self::Given(Given::Number(number)) => write!(f, "{number:?}"),
            Self::Given(Given::Word(word)) => write!(f, "{word:?}"),
            Self::Given(Given::Flag(flag)) => write!(f, "{flag}"),
            Self::Given(Given::Other) => f.write_str("null"),
            Self::Learned(learned) => write!(f, "\"{learned}\""),
        }
    }
}

impl From<&usize> for Written<'_> {
    fn from(count: &usize) -> Self {
        Self::Given(i128::try_from(*count).map_or(Given::Other, Given::Integer))
    }
}

impl From<&u64> for Written<'_> {
    fn from(number: &u64) -> Self {
        Self::Given(Given::Integer((*number).into()))
    }
}

impl From<&Option<usize>> for Written<'_> {
    fn from(count: &Option<usize>) -> Self {
        count.as_ref().map_or(Self::Given(Given::Word(ALL)), Self::from)
    }
}

impl From<&f64> for Written<'_> {
    fn from(number: &f64) -> Self {
        Self::Given(Given::Number(*number))
    }
}

impl From<&bool> for Written<'_> {
    fn from(flag: &bool) -> Self {
        Self::Given(Given::Flag(*flag))
    }
}

impl From<&LowerBatch> for Written<'_> {
    fn from(batch: &LowerBatch) -> Self {
        Self::Given(Given::Word(match batch {
            LowerBatch::Last => "last",
            LowerBatch::Fresh => "fresh",
        }))
    }
}

impl<'a> From<&'a Hyperparameter> for Written<'a> {
    fn from(number: &'a Hyperparameter) -> Self {
        match number {
            Hyperparameter::Fixed(number) => number.into(),
            Hyperparameter::Learned(learned) => Self::Learned(learned),
        }
    }
}

//! What an option accepts.

use crate::words::BATCHES;

/// What an option accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 1, 2, 3, …
    Count,
    /// 1, 2, 3, … or the word `all`
    CountOrAll,
    /// 0, 1, 2, …
    Natural,
    /// Any finite number.
    Number,
    /// x > 0
    Positive,
    /// x ≥ 0
    NonNegative,
    /// 0 ≤ x < 1
    Fraction,
    /// `true` or `false`
    Flag,
    /// Which batch of a lower level its hypergradient uses.
    Batch,
}

/// The word of [`Range::CountOrAll`].
pub const ALL: &str = "all";

/// The index of a learned number of which every step has its own.
pub const OF_THE_STEP: &str = "step";

/// The transform whose values stay below 1.
pub const BOUNDED: &str = "sigmoid";

/// A value that somebody gave, as far as ranges look at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given<'a> {
    /// A number without a point.
    Integer(i128),
    /// A number with one, or one that is too large for the others.
    Number(f64),
    /// A word.
    Word(&'a str),
    /// `true` or `false`
    Flag(bool),
    /// Anything else.
    Other,
}

impl Range {
    /// Completes "… must be".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Count => "an integer greater than zero",
            Self::CountOrAll => "an integer greater than zero, or `all`",
            Self::Natural => "an integer that is not negative",
            Self::Number => "a number",
            Self::Positive => "a number greater than zero",
            Self::NonNegative => "a number that is not negative",
            Self::Fraction => "a number that is not negative and less than 1",
            Self::Flag => "`true` or `false`",
            Self::Batch => BATCHES.expected,
        }
    }

    /// Whether the value lies in the range.
    #[must_use]
    pub fn accepts(self, value: Given<'_>) -> bool {
        match (self, value) {
            (Self::CountOrAll, Given::Word(word)) => word == ALL,
            (Self::Count | Self::CountOrAll, Given::Integer(count)) => (1..=i128::from(u32::MAX)).contains(&count),
            (Self::Natural, Given::Integer(number)) => (0..=i128::from(u64::MAX)).contains(&number),
            (_, Given::Integer(number)) => self.contains(number as f64),
            (_, Given::Number(number)) => self.contains(number),
            (Self::Flag, Given::Flag(_)) => true,
            (Self::Batch, Given::Word(word)) => BATCHES.find(word).is_some(),
            _ => false,
        }
    }

    /// Whether a level above may learn it, where the family is learnable.
    #[must_use]
    pub fn is_learnable(self) -> bool {
        matches!(self, Self::Positive | Self::NonNegative | Self::Fraction)
    }

    /// Whether the transform of that name can take a learned number out of the range: only [`BOUNDED`] stays below 1.
    #[must_use]
    pub fn is_left_by(self, transform: &str) -> bool {
        self == Self::Fraction && transform != BOUNDED
    }

    /// Whether it is a range of integers.
    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Count | Self::CountOrAll | Self::Natural)
    }

    /// Whether it is a range of numbers that are no integers.
    #[must_use]
    pub fn is_float(self) -> bool {
        self == Self::Number || self.is_learnable()
    }

    fn contains(self, number: f64) -> bool {
        number.is_finite()
            && match self {
                Self::Number => true,
                Self::Positive => number > 0.0,
                Self::NonNegative => number >= 0.0,
                Self::Fraction => (0.0..1.0).contains(&number),
                Self::Count | Self::CountOrAll | Self::Natural | Self::Flag | Self::Batch => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_integers_that_fit() {
        for range in [Range::Count, Range::CountOrAll] {
            assert!(range.accepts(Given::Integer(1)) && range.accepts(Given::Integer(u32::MAX.into())));
            for value in [Given::Integer(0), Given::Integer(1 << 32), Given::Number(2.0), Given::Flag(true)] {
                assert!(!range.accepts(value), "{value:?}");
            }
        }
        assert!(Range::CountOrAll.accepts(Given::Word(ALL)) && !Range::Count.accepts(Given::Word(ALL)));
        assert!(Range::Natural.accepts(Given::Integer(u64::MAX.into())));
        assert!(!Range::Natural.accepts(Given::Integer(-1)) && !Range::Natural.accepts(Given::Integer(1 << 64)));
    }

    #[test]
    fn no_range_holds_what_is_not_finite() {
        for range in [Range::Number, Range::Positive, Range::NonNegative, Range::Fraction] {
            assert!(
                range.accepts(Given::Number(0.5)) && range.accepts(Given::Integer(0)) == (range != Range::Positive)
            );
            for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(!range.accepts(Given::Number(number)), "{range:?} of {number}");
            }
        }
        assert!(!Range::Fraction.accepts(Given::Integer(1)));
    }
}

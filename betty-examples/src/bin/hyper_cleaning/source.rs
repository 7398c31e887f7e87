//! The examples a run starts from.

use std::path::Path;

use betty_examples::data::{Dataset, IdxError, Split, SplitError, digits, load_idx};
use rand::RngExt;

/// All examples, before they are split.
pub(crate) enum Source {
    /// The built-in digits; a part of them is for the test.
    Digits(Dataset),
    /// IDX files, with a test set of their own.
    Idx {
        /// Examples to train on.
        train: Dataset,
        /// Examples to test on.
        test: Dataset,
    },
}

impl Source {
    /// The IDX files in `folder`, or the built-in digits.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, IdxError> {
        match folder {
            None => Ok(Source::Digits(digits())),
            Some(folder) => load_idx(folder).map(|(train, test)| Source::Idx { train, test }),
        }
    }

    /// Sets aside the test set and `clean` examples.
    pub(crate) fn split(&self, clean: usize, rng: &mut impl RngExt) -> Result<Split, SplitError> {
        match self {
            Source::Digits(digits) => Split::thirds(digits, clean, rng),
            Source::Idx { train, test } => Split::with_test(train, test.clone(), clean, rng),
        }
    }

    /// Hidden units that suit the size of the images.
    pub(crate) fn hidden(&self) -> usize {
        match self {
            Source::Digits(_) => 128,
            Source::Idx { .. } => 256,
        }
    }
}

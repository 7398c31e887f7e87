//! The examples a run starts from.

use std::path::Path;

use betty_examples::data::{Dataset, ImagesError, Split, SplitError, digits, identity, load_images};
use rand::RngExt;

/// All examples, before they are split.
pub(crate) enum Source {
    /// The built-in digits; a part of them is for the test.
    Digits(Dataset),
    /// Images of a folder, with a test set of their own.
    Folder {
        /// Examples to train on.
        train: Dataset,
        /// Examples to test on.
        test: Dataset,
    },
}

impl Source {
    /// The images in `folder`, or the built-in digits.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, ImagesError> {
        match folder {
            None => Ok(Source::Digits(digits())),
            Some(folder) => load_images(folder).map(|(train, test)| Source::Folder { train, test }),
        }
    }

    /// Sets aside the test set and `clean` examples.
    pub(crate) fn split(&self, clean: usize, rng: &mut impl RngExt) -> Result<Split, SplitError> {
        match self {
            Source::Digits(digits) => Split::thirds(digits, clean, rng),
            Source::Folder { train, test } => Split::with_test(train, test.clone(), clean, rng),
        }
    }

    /// Which examples these are.
    pub(crate) fn identity(&self) -> String {
        match self {
            Source::Digits(_) => "the built-in digits".into(),
            Source::Folder { train, test } => identity([train, test]),
        }
    }

    /// Hidden units that suit the size of the images.
    pub(crate) fn hidden(&self) -> usize {
        match self {
            Source::Digits(_) => 128,
            Source::Folder { .. } => 256,
        }
    }
}

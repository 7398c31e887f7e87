//! Splitting a data set into examples to train on, a small clean set, and a test set.

use rand::RngExt;
use rand::seq::SliceRandom;

use super::dataset::Dataset;

/// Three sets without a common example, all correctly labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Examples to train on; their labels are to be corrupted.
    pub train: Dataset,
    /// The few examples whose labels can be trusted.
    pub clean: Dataset,
    /// Examples on which accuracy is measured.
    pub test: Dataset,
}

/// The clean set leaves nothing to train on.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a clean set of {clean} examples is impossible: it takes at least 1 and leaves at least 1 of {available}")]
pub struct SplitError {
    /// Size asked for.
    pub clean: usize,
    /// How many examples there are to train on and to be clean.
    pub available: usize,
}

betty_runtime::debug_as_report!(SplitError);

impl Split {
    /// A third of `examples` for the test, `clean` for the clean set, and the rest to train on.
    ///
    /// # Errors
    /// When the clean set is empty or leaves nothing to train on.
    pub fn thirds(examples: &Dataset, clean: usize, rng: &mut impl RngExt) -> Result<Self, SplitError> {
        let order = shuffled(examples.len(), rng);
        let (test, rest) = order.split_at(examples.len() / 3);
        Self::of_indices(examples, clean, rest, examples.subset(test))
    }

    /// A test set that is given, `clean` of `examples` for the clean set, and the rest to train on.
    ///
    /// # Errors
    /// When the clean set is empty or leaves nothing to train on.
    pub fn with_test(
        examples: &Dataset,
        test: Dataset,
        clean: usize,
        rng: &mut impl RngExt,
    ) -> Result<Self, SplitError> {
        let order = shuffled(examples.len(), rng);
        Self::of_indices(examples, clean, &order, test)
    }

    fn of_indices(examples: &Dataset, clean: usize, order: &[usize], test: Dataset) -> Result<Self, SplitError> {
        if clean == 0 || clean >= order.len() {
            return Err(SplitError { clean, available: order.len() });
        }
        let (clean, train) = order.split_at(clean);
        Ok(Split { train: examples.subset(train), clean: examples.subset(clean), test })
    }
}

fn shuffled(count: usize, rng: &mut impl RngExt) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    order
}

//! What several ranks put together: sums over all of them, inside of a graph.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use burn::tensor::TensorData;

/// What a value, computed from a share of a batch, is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whole {
    /// The sum over all shares.
    Sum,
    /// The mean over all examples, of means over shares.
    Mean,
    /// The variance over all examples (inputs: the variance of the share, its mean, and the mean of all).
    Variance,
}

/// Whoever sums tensors over all ranks.
pub(crate) trait SumOverRanks {
    /// The sum over all ranks, the same bits on each. All ranks ask for the same sums in the same order. Where one does not answer
    /// there is none: the answer is not a number then, and whoever asks next is told.
    fn sum_of(&self, data: TensorData) -> TensorData;

    /// How many ranks there are.
    fn count(&self) -> usize;
}

/// All ranks of a run, as a graph knows them.
#[derive(Clone)]
pub struct Group(pub(crate) Rc<dyn SumOverRanks>);

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Group {}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.count().hash(state);
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ranks", self.0.count())
    }
}

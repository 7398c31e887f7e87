//! A part of a batch: the first of its examples, for what the whole would be too large for.

use super::any_batch::AnyBatch;

/// The first rows of a batch's tensors: of all those whose leading dimension counts its examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    examples: usize,
    kept: usize,
}

impl Part {
    /// The first `kept` examples of a batch, or nothing if it has not more of them.
    pub(crate) fn of(batch: &AnyBatch, kept: usize) -> Option<Self> {
        let examples = Self::examples(batch)?;
        (kept > 0 && kept < examples).then_some(Part { examples, kept })
    }

    /// How many examples a batch can be cut by: as many as it says it has, or the leading dimension of the first tensor that has
    /// one.
    pub(crate) fn examples(batch: &AnyBatch) -> Option<usize> {
        let mut leading = batch.tensors().filter_map(|tensor| tensor.shape().first().copied());
        let said = batch.examples().filter(|&examples| leading.any(|size| size == examples));
        said.or_else(|| batch.tensors().find_map(|tensor| tensor.shape().first().copied()))
    }

    /// The shape of what is left of a tensor.
    pub(crate) fn cut(self, mut shape: Vec<usize>) -> Vec<usize> {
        if shape.first() == Some(&self.examples) {
            shape[0] = self.kept;
        }
        shape
    }
}

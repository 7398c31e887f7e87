//! What of a batch made another recording necessary.

use std::any::Any;

use burn::tensor::{Bool, DType, Int, Tensor};

use super::batch::{Batch, BatchMapper};
use super::number::Number;

/// A part of a batch that a recording depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchLeaf {
    /// `images.pixels`
    path: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Tensor(Vec<usize>, DType),
    Number,
    Plain(u64),
}

/// How two batches differ that have recordings of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Plain data, by their paths.
    pub(crate) plain: Vec<String>,
    /// Tensors, by their paths with what they were and are.
    pub(crate) tensors: Vec<String>,
}

impl Changes {
    /// What `new` has that `old` had not.
    pub(crate) fn between(old: &[BatchLeaf], new: &[BatchLeaf]) -> Self {
        let mut changes = Changes { plain: Vec::new(), tensors: Vec::new() };
        for (index, leaf) in new.iter().enumerate() {
            let path = if leaf.path.is_empty() { "the batch" } else { &leaf.path };
            match (old.get(index).filter(|old| old.path == leaf.path).map(|old| &old.kind), &leaf.kind) {
                (Some(old), kind) if old == kind => {}
                (Some(Kind::Tensor(was, _)), Kind::Tensor(is, _)) => {
                    changes.tensors.push(format!("`{path}` ({was:?}, then {is:?})"));
                }
                (_, Kind::Plain(_)) => changes.plain.push(format!("`{path}`")),
                _ => changes.tensors.push(format!("`{path}`")),
            }
        }
        changes.plain.dedup();
        changes
    }
}

/// The parts of a batch of type `B`.
pub(super) fn leaves_of<B: Batch>(batch: &(dyn Any + Send)) -> Vec<BatchLeaf> {
    let mut describe = Describe::default();
    if let Some(batch) = batch.downcast_ref::<B>() {
        drop(batch.clone().map(&mut describe));
    }
    describe.leaves
}

#[derive(Default)]
struct Describe {
    path: Vec<&'static str>,
    leaves: Vec<BatchLeaf>,
}

impl Describe {
    fn push(&mut self, kind: Kind) {
        self.leaves.push(BatchLeaf { path: self.path.join("."), kind });
    }
}

impl BatchMapper for Describe {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        self.push(Kind::Tensor(tensor.shape().to_vec(), tensor.dtype()));
        tensor
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        self.push(Kind::Tensor(tensor.shape().to_vec(), tensor.dtype()));
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        self.push(Kind::Tensor(tensor.shape().to_vec(), tensor.dtype()));
        tensor
    }

    fn number(&mut self, number: Number) -> Number {
        self.push(Kind::Number);
        number
    }

    fn plain(&mut self, hash: u64) {
        self.push(Kind::Plain(hash));
    }

    fn enter(&mut self, part: &'static str) {
        self.path.push(part);
    }

    fn leave(&mut self) {
        self.path.pop();
    }
}

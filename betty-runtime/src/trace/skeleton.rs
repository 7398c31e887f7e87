//! What two traces have in common that differ in the size of the batch only.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::Trace;
use crate::graph::Op;

impl Trace {
    /// Which operations there are, Burn's recorded backward pass included, and what is computed from what: equal for traces
    /// that differ in sizes and in numbers made of them only, so that the same derivative rules hold for both.
    pub(crate) fn skeleton(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for id in self.graph.ids() {
            let node = self.graph.node(id);
            hash_kind(&node.op, &mut hasher);
            (&node.inputs, node.shape.len(), node.dtype).hash(&mut hasher);
        }
        (self.loss, &self.burn_gradients, &self.burn_answers, &self.inputs).hash(&mut hasher);
        hasher.finish()
    }
}

/// All that an operation is, but for sizes, ranges and numbers.
fn hash_kind(op: &Op, hasher: &mut DefaultHasher) {
    match op {
        Op::Literal(_)
        | Op::Full(_)
        | Op::WithScalar(..)
        | Op::CompareScalar(..)
        | Op::ArgTopK { .. }
        | Op::Reshape(_)
        | Op::Expand(_)
        | Op::Slice(_)
        | Op::SliceAssign(_)
        | Op::ScatterAdd { .. }
        | Op::SelectAdd { .. }
        | Op::ConvInput(..)
        | Op::ConvWeight(..)
        | Op::AvgPoolAdjoint(..)
        | Op::AdaptiveAvgPoolAdjoint(_) => op.name().hash(hasher),
        _ => op.hash(hasher),
    }
}

//! Parts of what ranks have together: the tensors that markers tell of stand for their wholes.

use std::collections::HashMap;

use burn_ir::{OperationIr, TensorId, TensorIr};

use super::{Imported, Importer};
use crate::graph::{NodeId, Op, Whole};
use crate::trace::mark::{MOMENTS, SUMMED};

/// A tensor that is a part of what ranks have together.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// Which one in the recording.
    place: usize,
    whole: Whole,
    /// Of a variance: the mean.
    mean: Option<TensorId>,
}

/// All tensors that a recording marks as parts.
pub(super) fn parts(operations: &[OperationIr]) -> HashMap<TensorId, Part> {
    let mut parts = HashMap::new();
    for operation in operations {
        let OperationIr::Custom(op) = operation else { continue };
        let place = parts.len();
        match op.inputs.as_slice() {
            [tensor] if op.id == SUMMED => {
                parts.insert(tensor.id, Part { place, whole: Whole::Sum, mean: None });
            }
            [mean, variance] if op.id == MOMENTS => {
                parts.insert(mean.id, Part { place, whole: Whole::Mean, mean: None });
                parts.insert(variance.id, Part { place, whole: Whole::Variance, mean: Some(mean.id) });
            }
            _ => {}
        }
    }
    parts
}

impl Importer<'_> {
    /// What stands for a recorded tensor whose part on this rank is `node`.
    pub(super) fn on_whole(&mut self, tensor: &TensorIr, node: NodeId) -> Imported<NodeId> {
        let Some(&Part { place, whole, mean }) = self.parts.get(&tensor.id) else { return Ok(node) };
        let mut inputs = vec![node];
        if let Some(mean) = mean.and_then(|mean| self.nodes.get(&mean)).copied() {
            inputs.extend([self.graph.node(mean).inputs[0], mean]);
        }
        Ok(self.graph.push(Op::OnWhole { place, whole }, &inputs)?)
    }
}

//! Adding an operation: its shape and type are checked, it is cleaned up, and found if it is there already.

use super::infer::infer;
use super::simplify::simplify;
use super::{Graph, GraphError, NodeId, Op};

impl Graph {
    /// Adds `op` applied to `inputs`, or finds the node that already computes it.
    ///
    /// # Errors
    /// [`GraphError`] when shapes or types of the inputs do not fit the operation.
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let (shape, dtype) = infer(self, &op, inputs)?;
        match simplify(self, &op, inputs, &shape, dtype)? {
            Some(simpler) => Ok(simpler),
            None => Ok(self.append(op, inputs.to_vec(), shape, dtype)),
        }
    }
}

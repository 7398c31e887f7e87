//! Squares of norms: in a program, in the type that its numbers are read in; and in f64 on the host, where that type has none of a
//! gradient whose entries it does have.

use burn::tensor::DType;

use super::{GradientProgram, LossError};
use crate::execute::{ReadError, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, accumulator};

/// The sum of squares of several tensors, of shape `[1]` in this type; each is added up in a type that is wide enough.
pub(super) fn square_norm(graph: &mut Graph, tensors: &[NodeId], dtype: DType) -> Result<NodeId, GraphError> {
    let mut total = graph.full(&[1], dtype, 0.0);
    for &tensor in tensors {
        let tensor = graph.cast(tensor, accumulator(graph.dtype(tensor)))?;
        let square = graph.dot(tensor, tensor)?;
        let square = graph.cast(square, dtype)?;
        total = graph.add(total, square)?;
    }
    Ok(total)
}

/// The same of vectors, for one that came out infinite: finite if their entries are.
pub(super) fn of_entries<'v>(vectors: impl IntoIterator<Item = &'v Vector>) -> Result<f64, ReadError> {
    let mut total = 0.0;
    for vector in vectors {
        total += vector.to_vec()?.iter().map(|entry| entry * entry).sum::<f64>();
    }
    Ok(total)
}

impl GradientProgram {
    /// The sum of squares of all gradients, of their entries; nobody else keeps them so long, so that they are computed again.
    ///
    /// # Errors
    /// [`LossError`] if they cannot be read, or other ranks do not give their share.
    pub(crate) fn square_norm(&self, inputs: &[Value], seed: u64) -> Result<f64, LossError> {
        Ok(of_entries(&self.gradients(inputs.iter().cloned(), seed)?)?)
    }
}

//! What can be wrong with an operation before anything runs.

use burn::tensor::DType;

use super::NodeId;

/// A node that cannot be built: shapes or types that do not fit, or a derivative that does not exist.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Two tensors that must have the same shape have not.
    #[error("`{op}` needs equal shapes, but got {left:?} and {right:?}")]
    ShapeMismatch {
        /// Name of the operation.
        op: String,
        /// Shape of the first tensor.
        left: Vec<usize>,
        /// Shape of the second tensor.
        right: Vec<usize>,
    },
    /// A shape that the operation does not accept.
    #[error("`{op}` cannot be applied to shape {shape:?}: {reason}")]
    InvalidShape {
        /// Name of the operation.
        op: String,
        /// Offending shape.
        shape: Vec<usize>,
        /// What was expected.
        reason: String,
    },
    /// Types that do not fit.
    #[error("`{op}` needs {expected} tensors, but got {found:?}")]
    TypeMismatch {
        /// Name of the operation.
        op: String,
        /// Kind of tensor that was expected.
        expected: &'static str,
        /// Type found.
        found: DType,
    },
    /// Tensors of different types that must have the same.
    #[error("`{op}` needs tensors of one type, but got {left:?} and {right:?}; bring both to one with `cast`")]
    MixedTypes {
        /// Name of the operation.
        op: String,
        /// Type of the first tensor.
        left: DType,
        /// Type of the second tensor.
        right: DType,
    },
    /// An update is not like what it updates.
    #[error("`{op}` must answer {expected}, but answered {found}")]
    Answer {
        /// The optimizer.
        op: String,
        /// What it must answer.
        expected: String,
        /// What it answered.
        found: String,
    },
    /// An update that draws random numbers, which would be the same in every step.
    #[error(
        "`{op}` draws random numbers, which would be the same in every step; add `(stop_gradient(noise) * parameter).sum()` to the          loss, which draws anew at each step"
    )]
    Draws {
        /// The optimizer.
        op: String,
    },
    /// Wrong number of inputs.
    #[error("`{op}` takes {expected} inputs, but got {found}")]
    InputCount {
        /// Name of the operation.
        op: String,
        /// Number expected.
        expected: usize,
        /// Number found.
        found: usize,
    },
    /// The value to differentiate is not a float tensor.
    #[error("node {node} has type {dtype:?} and cannot be differentiated; only float tensors can")]
    NotDifferentiable {
        /// The node.
        node: NodeId,
        /// Its type.
        dtype: DType,
    },
    /// An input or a random draw that nothing stands for when a computation runs for many inputs.
    #[error(
        "`{op}` {node} has no image; give it one that all inputs share, or one with a leading dimension of one for each"
    )]
    NoImage {
        /// Name of the operation.
        op: String,
        /// The node.
        node: NodeId,
    },
}

crate::report::debug_as_report!(GraphError);

//! The arguments of one operation, and what can be demanded of them.

use burn::tensor::DType;

use crate::graph::{Graph, GraphError, NodeId, Op, Range};

/// The checked arguments of one operation.
pub(super) struct Arguments<'a> {
    pub(super) graph: &'a Graph,
    pub(super) op: &'a Op,
    pub(super) inputs: &'a [NodeId],
}

impl Arguments<'_> {
    pub(super) fn shape(&self, i: usize) -> Vec<usize> {
        self.graph.shape(self.inputs[i]).to_vec()
    }

    pub(super) fn dtype(&self, i: usize) -> DType {
        self.graph.dtype(self.inputs[i])
    }

    pub(super) fn count(&self, expected: usize) -> Result<(), GraphError> {
        if self.inputs.len() == expected {
            return Ok(());
        }
        Err(GraphError::InputCount { op: self.op.name(), expected, found: self.inputs.len() })
    }

    pub(super) fn invalid<T>(&self, shape: Vec<usize>, reason: impl Into<String>) -> Result<T, GraphError> {
        Err(GraphError::InvalidShape { op: self.op.name(), shape, reason: reason.into() })
    }

    pub(super) fn same_shape(&self, left: usize, right: usize) -> Result<Vec<usize>, GraphError> {
        let (left, right) = (self.shape(left), self.shape(right));
        if left == right {
            return Ok(left);
        }
        Err(GraphError::ShapeMismatch { op: self.op.name(), left, right })
    }

    pub(super) fn kind(&self, i: usize, expected: &'static str) -> Result<DType, GraphError> {
        let found = self.dtype(i);
        let fits = match expected {
            "float" => found.is_float(),
            "integer" => found.is_int() || found.is_uint(),
            "bool" => found.is_bool(),
            "discrete" => !found.is_float(),
            _ => !found.is_bool(),
        };
        if fits {
            return Ok(found);
        }
        Err(GraphError::TypeMismatch { op: self.op.name(), expected, found })
    }

    pub(super) fn same_dtype(&self, left: usize, right: usize) -> Result<DType, GraphError> {
        let (dtype, found) = (self.dtype(left), self.dtype(right));
        if dtype == found || (dtype.is_bool() && found.is_bool()) {
            return Ok(dtype);
        }
        Err(GraphError::MixedTypes { op: self.op.name(), left: dtype, right: found })
    }

    pub(super) fn axis(&self, i: usize, axis: usize) -> Result<Vec<usize>, GraphError> {
        let shape = self.shape(i);
        if axis < shape.len() {
            return Ok(shape);
        }
        self.invalid(shape, format!("there is no dimension {axis}"))
    }

    /// Checks the ranges against input `i` and gives the shape inside them.
    pub(super) fn ranges(&self, i: usize, ranges: &[Range]) -> Result<Vec<usize>, GraphError> {
        let shape = self.shape(i);
        let fit = ranges.len() == shape.len()
            && ranges.iter().zip(&shape).all(|(r, &size)| r.step > 0 && r.start <= r.end && r.end <= size);
        if fit {
            return Ok(ranges.iter().map(Range::len).collect());
        }
        self.invalid(shape, format!("ranges {ranges:?} do not fit"))
    }
}

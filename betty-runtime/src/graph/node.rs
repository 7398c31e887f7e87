//! One value of a graph, and its name.

use std::fmt;

use burn::tensor::DType;

use super::op::Op;

/// A value in a [`Graph`](super::Graph).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// Position in the graph's order; inputs of a node always come before it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// One operation with its inputs and the type of its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// From what, in the operation's order.
    pub inputs: Vec<NodeId>,
    /// Shape of the result.
    pub shape: Vec<usize>,
    /// Type of the result's elements.
    pub dtype: DType,
}

impl Node {
    /// Number of elements of the result.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

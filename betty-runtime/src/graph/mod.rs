//! Static single-assignment dataflow graphs: what a loss becomes after tracing, and what its derivatives are.
//!
//! A [`Graph`] is an append-only arena. [`Graph::push`] checks shapes and types, folds constants, applies the algebraic
//! clean-ups of [`simplify`](self) and merges equal nodes, so a graph never holds the same computation twice and a
//! derivative shares every intermediate value with the function it came from. What nobody needs is never executed:
//! dead code falls away when a [`Program`](crate::execute::Program) is planned from the nodes asked for.

mod build;
mod display;
mod error;
mod geometry;
mod infer;
mod lanes;
mod op;
mod rules;
mod scalar;
mod simplify;
mod transform;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use burn::tensor::{DType, TensorData};

pub(crate) use display::{label, type_and_shape};
pub use error::GraphError;
pub use geometry::{Convolution, Range, Window};
pub use op::{Binary, Comparison, Distribution, Op, Unary, Update, WithScalar};
pub use scalar::Scalar;
pub(crate) use transform::{Doubled, accumulator, in_f64, rounded};
pub use transform::{
    Image, Vectorized, dependents, differentiated, expand_products, for_each, jvp, products_as_given, products_in,
    reachable, replay, vectorize, vjp,
};

/// A value in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

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
#[derive(Clone, Debug, PartialEq)]
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

/// An append-only, hash-consed dataflow graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    merged: HashMap<(Op, Vec<NodeId>, Vec<usize>, DType), NodeId>,
    inputs: Vec<NodeId>,
    literals: Vec<TensorData>,
    draws: usize,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a program input of this shape and type; inputs are numbered in the order they are added.
    pub fn input(&mut self, shape: &[usize], dtype: DType) -> NodeId {
        let id = self.append(Op::Input(self.inputs.len()), Vec::new(), shape.to_vec(), dtype);
        self.inputs.push(id);
        id
    }

    /// Adds host data as a constant.
    pub fn literal(&mut self, data: TensorData) -> NodeId {
        let (shape, dtype) = (data.shape().to_vec(), data.dtype());
        let index = self.literals.len();
        self.literals.push(data);
        self.append(Op::Literal(index), Vec::new(), shape, dtype)
    }

    /// Adds a tensor filled with `value`.
    pub fn full(&mut self, shape: &[usize], dtype: DType, value: f64) -> NodeId {
        self.filled(shape, dtype, Scalar::of(dtype, value))
    }

    /// Adds a tensor filled with `value`, exact also for integers that no `f64` holds.
    pub fn filled(&mut self, shape: &[usize], dtype: DType, value: Scalar) -> NodeId {
        self.leaf(Op::Full(value.to(dtype)), shape, dtype)
    }

    /// Adds a new random draw.
    pub fn random(&mut self, shape: &[usize], dtype: DType, distribution: Distribution) -> NodeId {
        let draw = self.draws;
        self.draws += 1;
        self.append(Op::Random { draw, distribution }, Vec::new(), shape.to_vec(), dtype)
    }

    /// Adds `op` applied to `inputs`, or finds the node that already computes it.
    ///
    /// # Errors
    /// [`GraphError`] when shapes or types of the inputs do not fit the operation.
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let (shape, dtype) = infer::infer(self, &op, inputs)?;
        match simplify::simplify(self, &op, inputs, &shape, dtype)? {
            Some(simpler) => Ok(simpler),
            None => Ok(self.append(op, inputs.to_vec(), shape, dtype)),
        }
    }

    /// The node behind an identifier.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Shape of a node's result.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.node(id).shape
    }

    /// Element type of a node's result.
    pub fn dtype(&self, id: NodeId) -> DType {
        self.node(id).dtype
    }

    /// The program inputs, in order.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The host data behind [`Op::Literal`].
    pub fn literals(&self) -> &[TensorData] {
        &self.literals
    }

    /// All nodes, in the graph's order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// How many nodes the graph holds, needed or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// About how many bytes of the host's memory the graph takes.
    pub(crate) fn bytes(&self) -> usize {
        // Each node stands in the arena and, as a key, in the table that merges equal ones.
        let heap = |node: &Node| node.inputs.len() * size_of::<NodeId>() + node.shape.len() * size_of::<usize>();
        let nodes: usize = self.nodes.iter().map(|node| 2 * (size_of::<Node>() + heap(node))).sum();
        nodes + self.literals.iter().map(|data| data.as_bytes().len()).sum::<usize>()
    }

    /// Whether the graph holds no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn leaf(&mut self, op: Op, shape: &[usize], dtype: DType) -> NodeId {
        self.append(op, Vec::new(), shape.to_vec(), dtype)
    }

    fn append(&mut self, op: Op, inputs: Vec<NodeId>, shape: Vec<usize>, dtype: DType) -> NodeId {
        let key = (op, inputs, shape, dtype);
        if let Some(&known) = self.merged.get(&key) {
            return known;
        }
        let id = NodeId(self.nodes.len() as u32);
        let (op, inputs, shape, dtype) = key.clone();
        self.nodes.push(Node { op, inputs, shape, dtype });
        self.merged.insert(key, id);
        id
    }
}

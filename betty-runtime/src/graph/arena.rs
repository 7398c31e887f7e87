//! The arena that a graph is: nodes in the order in which they were added, each once.

use burn::tensor::{DType, TensorData};
use indexmap::IndexSet;

use super::node::{Node, NodeId};
use super::op::{Distribution, Op};
use super::scalar::Scalar;

/// An append-only, hash-consed dataflow graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// In the order in which they were added, each once.
    pub(super) nodes: IndexSet<Node>,
    pub(super) inputs: Vec<NodeId>,
    pub(super) literals: Vec<TensorData>,
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
        // Beside each node stand its hash, and its index in the table that finds it.
        let heap = |node: &Node| node.inputs.len() * size_of::<NodeId>() + node.shape.len() * size_of::<usize>();
        let nodes: usize = self.nodes.iter().map(|node| size_of::<(Node, usize, usize)>() + heap(node)).sum();
        nodes + self.literals.iter().map(|data| data.as_bytes().len()).sum::<usize>()
    }

    /// Whether the graph holds no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn leaf(&mut self, op: Op, shape: &[usize], dtype: DType) -> NodeId {
        self.append(op, Vec::new(), shape.to_vec(), dtype)
    }

    /// Adds a node as it is, unless it is there already.
    pub(super) fn append(&mut self, op: Op, inputs: Vec<NodeId>, shape: Vec<usize>, dtype: DType) -> NodeId {
        let (index, _) = self.nodes.insert_full(Node { op, inputs, shape, dtype });
        NodeId(index as u32)
    }
}

/// Equal node by node, in order: the order of nodes is part of what a graph is.
impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        let Graph { nodes, inputs, literals, draws } = self;
        nodes.as_slice() == other.nodes.as_slice()
            && (inputs, literals, draws) == (&other.inputs, &other.literals, &other.draws)
    }
}

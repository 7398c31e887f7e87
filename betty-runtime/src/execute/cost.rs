//! What running a program takes: kernels, floating-point operations, bytes moved, memory, and what ranks exchange for it.

use std::ops::{Add, AddAssign, Mul};

use burn::tensor::DType;

use crate::graph::{Graph, NodeId, Op};

/// Work, counted from shapes before anything runs, as if each kernel were launched by itself. On the CPU those that follow one another
/// entry by entry run in one pass, and what passes between them never reaches memory
/// ([`Program::passes`](super::Program::passes)).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Kernels launched.
    pub kernels: f64,
    /// Floating-point operations: two for each multiplication of a product, one for each entry elsewhere.
    pub operations: f64,
    /// Bytes read and written by kernels; views move nothing.
    pub bytes: f64,
    /// Sums over the ranks of a distributed run, each of which is one message and a header of 32 bytes.
    pub messages: f64,
    /// Bytes of those, without headers.
    pub sent: f64,
}

impl Cost {
    /// Nothing at all.
    pub(crate) const NONE: Cost = Cost { kernels: 0.0, operations: 0.0, bytes: 0.0, messages: 0.0, sent: 0.0 };

    /// The same without messages.
    pub(crate) fn silent(self) -> Self {
        Cost { messages: 0.0, sent: 0.0, ..self }
    }

    /// One message of these tensors, in the widest type that is among them, and no narrower than single precision.
    pub(crate) fn message(graph: &Graph, nodes: &[NodeId]) -> Self {
        let elements: usize = nodes.iter().map(|&node| graph.node(node).elements()).sum();
        let is_double = nodes.iter().any(|&node| graph.dtype(node) == DType::F64);
        Self::sent(elements * if is_double { size_of::<f64>() } else { size_of::<f32>() })
    }

    /// One message of so many bytes.
    pub(crate) fn sent(bytes: usize) -> Self {
        Cost { messages: 1.0, sent: bytes as f64, ..Cost::NONE }
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            kernels: self.kernels + other.kernels,
            operations: self.operations + other.operations,
            bytes: self.bytes + other.bytes,
            messages: self.messages + other.messages,
            sent: self.sent + other.sent,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        *self = *self + other;
    }
}

impl Mul<f64> for Cost {
    type Output = Cost;

    fn mul(self, times: f64) -> Cost {
        Cost {
            kernels: self.kernels * times,
            operations: self.operations * times,
            bytes: self.bytes * times,
            messages: self.messages * times,
            sent: self.sent * times,
        }
    }
}

/// The bytes of a node's value.
pub(super) fn size(graph: &Graph, id: NodeId) -> usize {
    graph.node(id).elements() * graph.dtype(id).size()
}

/// What computing a node takes, if it is no view.
pub(super) fn of(graph: &Graph, id: NodeId) -> Cost {
    let node = graph.node(id);
    let elements = |id: NodeId| graph.node(id).elements() as f64;
    let output = node.elements() as f64;
    let operations = match &node.op {
        Op::Input(_)
        | Op::Literal(_)
        | Op::StopGradient
        | Op::OnWhole { .. }
        | Op::Reshape(_)
        | Op::Permute(_)
        | Op::Expand(_)
        | Op::Slice(_) => return Cost::default(),
        Op::SumOverRanks(_) => return Cost::message(graph, &[id]),
        Op::MatMul => 2.0 * output * graph.shape(node.inputs[0]).last().map_or(1.0, |&inner| inner as f64),
        // Each entry of the result is a sum over one filter.
        Op::Conv(_) => {
            let weight = graph.shape(node.inputs[1]);
            2.0 * output * weight[1..].iter().product::<usize>() as f64
        }
        // The adjoints do the same multiplications as the convolution whose cotangent they are given.
        Op::ConvInput(..) => {
            let weight = graph.shape(node.inputs[0]);
            2.0 * elements(node.inputs[1]) * weight[1..].iter().product::<usize>() as f64
        }
        Op::ConvWeight(_, weight) => 2.0 * elements(node.inputs[1]) * weight[1..].iter().product::<usize>() as f64,
        // Reductions read more than they write.
        _ => node.inputs.iter().map(|&input| elements(input)).fold(output, f64::max),
    };
    let read: usize = node.inputs.iter().map(|&input| size(graph, input)).sum();
    Cost { kernels: 1.0, operations, bytes: (read + size(graph, id)) as f64, ..Cost::NONE }
}

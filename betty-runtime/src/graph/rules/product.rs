//! Products are bilinear: the derivative in one operand is a product with the other, computed in the same type.

use super::{Graph, GraphError, NodeId, Op, convolution, linear_algebra};
use crate::graph::Range;

pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Result<NodeId, GraphError> {
    let inputs = graph.node(node).inputs.clone();
    let (op, dtype) = match graph.node(node).op.clone() {
        Op::InType(dtype, op) => (*op, Some(dtype)),
        op => (op, None),
    };
    let (op, operands) = match op {
        Op::MatMul => linear_algebra::transposed(graph, &inputs, i, cotangent)?,
        op => {
            let shape = graph.shape(inputs[i]).to_vec();
            convolution::transposed(op, &inputs, i, shape, cotangent)
        }
    };
    let op = match dtype {
        Some(dtype) => Op::InType(dtype, Box::new(op)),
        None => op,
    };
    let answer = graph.push(op, &operands)?;
    // A transposed convolution whose output padding is not smaller than its stride leaves places that no input reaches.
    let within: Vec<Range> = graph.shape(inputs[i]).iter().map(|&size| Range::full(size)).collect();
    graph.slice(answer, &within)
}

//! Convolution, its adjoint in the data and its adjoint in the weight: three bilinear maps, closed under transposition.

use super::{Graph, GraphError, NodeId, Op};

pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Result<NodeId, GraphError> {
    let inputs = graph.node(node).inputs.clone();
    let shape = graph.shape(inputs[i]).to_vec();
    let (first, second) = (inputs[0], inputs[1]);
    match (graph.node(node).op.clone(), i) {
        // conv(x, weight)
        (Op::Conv(options), 0) => graph.push(Op::ConvInput(options, shape), &[second, cotangent]),
        (Op::Conv(options), _) => graph.push(Op::ConvWeight(options, shape), &[first, cotangent]),
        // conv_input(weight, c): the cotangent lives where x lives
        (Op::ConvInput(options, _), 0) => graph.push(Op::ConvWeight(options, shape), &[cotangent, second]),
        (Op::ConvInput(options, _), _) => graph.push(Op::Conv(options), &[cotangent, first]),
        // conv_weight(x, c): the cotangent lives where the weight lives
        (Op::ConvWeight(options, _), 0) => graph.push(Op::ConvInput(options, shape), &[cotangent, second]),
        (Op::ConvWeight(options, _), _) => graph.push(Op::Conv(options), &[first, cotangent]),
        _ => unreachable!("called for convolutions only"),
    }
}

//! Averages over windows are linear; maxima are a gather at the indices of each window's largest value.

use super::{Graph, GraphError, NodeId, Op};

pub(super) fn vjp(graph: &mut Graph, node: NodeId, cotangent: NodeId) -> Result<NodeId, GraphError> {
    let shape = graph.shape(graph.node(node).inputs[0]).to_vec();
    let adjoint = match graph.node(node).op.clone() {
        Op::AvgPool(window) => Op::AvgPoolAdjoint(window, shape),
        Op::AvgPoolAdjoint(window, _) => Op::AvgPool(window),
        Op::AdaptiveAvgPool(_) => Op::AdaptiveAvgPoolAdjoint(shape),
        Op::AdaptiveAvgPoolAdjoint(_) => Op::AdaptiveAvgPool(shape[2..].to_vec()),
        _ => unreachable!("called for average pools only"),
    };
    graph.push(adjoint, &[cotangent])
}

//! Sums: the transpose of adding up is repeating.

use super::{Graph, GraphError, NodeId};

pub(super) fn vjp(graph: &mut Graph, node: NodeId, cotangent: NodeId) -> Result<NodeId, GraphError> {
    let shape = graph.shape(graph.node(node).inputs[0]).to_vec();
    graph.expand(cotangent, &shape)
}

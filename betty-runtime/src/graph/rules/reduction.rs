//! Sums: the transpose of adding up is repeating, the transpose of a running sum is a running sum from the other end.

use super::{Graph, GraphError, NodeId, Op};

pub(super) fn vjp(graph: &mut Graph, node: NodeId, cotangent: NodeId) -> Result<NodeId, GraphError> {
    if let Op::CumSum(axis) = graph.node(node).op {
        let reversed = graph.push(Op::Flip(vec![axis]), &[cotangent])?;
        let sums = graph.push(Op::CumSum(axis), &[reversed])?;
        return graph.push(Op::Flip(vec![axis]), &[sums]);
    }
    let shape = graph.shape(graph.node(node).inputs[0]).to_vec();
    graph.expand(cotangent, &shape)
}

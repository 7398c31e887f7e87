//! Matrix products: `∂⟨c, A·B⟩/∂A = c·Bᵀ` and `∂⟨c, A·B⟩/∂B = Aᵀ·c`.

use super::{Graph, GraphError, NodeId};

pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Result<NodeId, GraphError> {
    let inputs = graph.node(node).inputs.clone();
    if i == 0 {
        let transposed = graph.transpose(inputs[1])?;
        graph.matmul(cotangent, transposed)
    } else {
        let transposed = graph.transpose(inputs[0])?;
        graph.matmul(transposed, cotangent)
    }
}

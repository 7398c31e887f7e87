//! Matrix products: `∂⟨c, A·B⟩/∂A = c·Bᵀ` and `∂⟨c, A·B⟩/∂B = Aᵀ·c`.

use super::answer::Product;
use super::{Graph, GraphError, NodeId, Op};

pub(super) fn transposed(graph: &mut Graph, inputs: &[NodeId], i: usize, c: NodeId) -> Result<Product, GraphError> {
    let other = graph.transpose(inputs[1 - i])?;
    Ok((Op::MatMul, if i == 0 { [c, other] } else { [other, c] }))
}

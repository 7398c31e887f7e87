//! Softmax `p` and its logarithm: `∂p = p∘(t − ⟨p, t⟩)` and `∂ log p = t − ⟨p, t⟩`, along one dimension.

use super::answer::Derivative;
use super::{Graph, NodeId, Op};

pub(super) fn jvp(graph: &mut Graph, node: NodeId, axis: usize, tangent: NodeId) -> Derivative {
    if let Op::Softmax(_) = graph.node(node).op {
        return centred(graph, node, axis, tangent);
    }
    let p = graph.exp(node)?;
    let weighted = graph.mul(p, tangent)?;
    let mean = graph.sum(weighted, &[axis])?;
    graph.sub(tangent, mean).map(Some)
}

pub(super) fn vjp(graph: &mut Graph, node: NodeId, axis: usize, cotangent: NodeId) -> Derivative {
    if let Op::Softmax(_) = graph.node(node).op {
        return centred(graph, node, axis, cotangent);
    }
    let p = graph.exp(node)?;
    let total = graph.sum(cotangent, &[axis])?;
    let share = graph.mul(p, total)?;
    graph.sub(cotangent, share).map(Some)
}

/// The Jacobian of softmax, `diag(p) − p·pᵀ`, is symmetric.
fn centred(graph: &mut Graph, p: NodeId, axis: usize, v: NodeId) -> Derivative {
    let weighted = graph.mul(p, v)?;
    let mean = graph.sum(weighted, &[axis])?;
    let centred = graph.sub(v, mean)?;
    graph.mul(p, centred).map(Some)
}

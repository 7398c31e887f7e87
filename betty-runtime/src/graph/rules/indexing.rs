//! Reading at indices and adding at indices are each other's transpose.

use super::answer::Derivative;
use super::{Graph, NodeId, Op};

pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Derivative {
    let inputs = graph.node(node).inputs.clone();
    let adjoint = match graph.node(node).op {
        Op::Gather(axis) if i == 0 => {
            let size = graph.shape(inputs[0])[axis];
            graph.push(Op::ScatterAdd { axis, size }, &[inputs[1], cotangent])?
        }
        Op::Select(axis) if i == 0 => {
            let size = graph.shape(inputs[0])[axis];
            graph.push(Op::SelectAdd { axis, size }, &[inputs[1], cotangent])?
        }
        Op::ScatterAdd { axis, .. } if i == 1 => graph.push(Op::Gather(axis), &[cotangent, inputs[0]])?,
        Op::SelectAdd { axis, .. } if i == 1 => graph.push(Op::Select(axis), &[cotangent, inputs[0]])?,
        // With respect to the indices.
        _ => return Ok(None),
    };
    Ok(Some(adjoint))
}

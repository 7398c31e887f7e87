//! Changes of sign, moved to where they cost nothing: past products, quotients and sums until a sum takes them in.
//!
//! `−x` rounds nothing, and what a product, a quotient or a sum rounds to is symmetric about zero, so all of this holds to the last bit. A
//! derivative is full of quotients, whose rules have a sign, and a change of sign is a pass over memory. Only a sum over a dimension may have
//! another zero than the sum of negatives, of which `1/x` would make another infinity: so that is for derivatives, and no loss is read so.

use super::{Binary, Graph, GraphError, NodeId, Op, Unary};

/// What `x` is the negative of.
fn negated(graph: &Graph, x: NodeId) -> Option<NodeId> {
    let node = graph.node(x);
    (node.op == Op::Unary(Unary::Neg)).then(|| node.inputs[0])
}

/// `f` of two floats of which one is a negative, with its sign elsewhere.
pub(super) fn binary(graph: &mut Graph, f: Binary, x: NodeId, y: NodeId) -> Result<Option<NodeId>, GraphError> {
    let (of_x, of_y) = (negated(graph, x), negated(graph, y));
    Ok(match (f, of_x, of_y) {
        (Binary::Add, _, Some(y)) => Some(graph.push(Op::Binary(Binary::Sub), &[x, y])?),
        (Binary::Add, Some(x), None) => Some(graph.push(Op::Binary(Binary::Sub), &[y, x])?),
        (Binary::Sub, _, Some(y)) => Some(graph.push(Op::Binary(Binary::Add), &[x, y])?),
        (Binary::Mul | Binary::Div, Some(x), Some(y)) => Some(graph.push(Op::Binary(f), &[x, y])?),
        (Binary::Mul | Binary::Div, Some(x), None) => Some(negative(graph, Op::Binary(f), &[x, y])?),
        (Binary::Mul | Binary::Div, None, Some(y)) => Some(negative(graph, Op::Binary(f), &[x, y])?),
        _ => None,
    })
}

/// Another view of a negative: the negative of the view.
pub(super) fn view(graph: &mut Graph, op: &Op, x: NodeId) -> Result<Option<NodeId>, GraphError> {
    match negated(graph, x).filter(|&of| graph.dtype(of).is_float()) {
        Some(of) => negative(graph, op.clone(), &[of]).map(Some),
        None => Ok(None),
    }
}

/// The sum of a cotangent over these dimensions: of a negative, the negative of the sum, which is smaller.
pub(super) fn sum(graph: &mut Graph, cotangent: NodeId, axes: &[usize]) -> Result<NodeId, GraphError> {
    match negated(graph, cotangent) {
        Some(of) => {
            let sum = graph.sum(of, axes)?;
            graph.neg(sum)
        }
        None => graph.sum(cotangent, axes),
    }
}

fn negative(graph: &mut Graph, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
    let positive = graph.push(op, inputs)?;
    graph.neg(positive)
}

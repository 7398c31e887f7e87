//! Vectors that are zero where a mask says so, and stay it whatever they are multiplied by.
//!
//! A branch that a mask leaves out gets zeros for its cotangent. Its slope may be no number there, as that of `exp` beyond the
//! largest one and that of a root at zero, and neither would the product be, although the loss does not read the branch. So a
//! rule is applied to what is under the mask, and the mask to what it answers: the same numbers in another order, and for
//! derivatives of any order, because those meet the same masks again.

use super::answer::Derivative;
use super::{Graph, GraphError, NodeId, Op};
use crate::graph::{Binary, Scalar, Unary, WithScalar};

/// What leaves a part of a vector standing, and makes zeros of the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mask {
    /// Where this is true.
    Kept(NodeId),
    /// Where this is false.
    LeftOut(NodeId),
    /// Where this is positive.
    Gate(NodeId),
}

impl Mask {
    fn over(self, graph: &mut Graph, v: NodeId) -> Result<NodeId, GraphError> {
        let zeros = graph.zeros_like(v);
        match self {
            Mask::Kept(mask) => graph.select_where(mask, v, zeros),
            Mask::LeftOut(mask) => graph.select_where(mask, zeros, v),
            Mask::Gate(x) => {
                let x = graph.cast(x, graph.dtype(v))?;
                graph.gate(x, v)
            }
        }
    }
}

/// How many masks above each other are looked under. Long recurrences pile them up, and each would be laid over every answer.
const NESTED: usize = 2;
/// How far is looked for a mask behind what makes zeros of zeros, or for what may overflow behind a factor.
const DEPTH: usize = 4;

/// Applies a rule that multiplies by a slope to `v`, or to what is under its masks; under those of a relu only if `gates` says so.
pub(super) fn beneath(
    graph: &mut Graph,
    v: NodeId,
    gates: bool,
    rule: &mut dyn FnMut(&mut Graph, NodeId) -> Derivative,
) -> Derivative {
    let (mut masks, mut inner) = (Vec::new(), v);
    while masks.len() < NESTED
        && let Some((mask, under)) = split(graph, inner, DEPTH)?
        && (gates || !matches!(mask, Mask::Gate(_)))
    {
        masks.push(mask);
        inner = under;
    }
    let Some(answer) = rule(graph, inner)? else { return Ok(None) };
    masks.into_iter().rev().try_fold(answer, |answer, mask| mask.over(graph, answer)).map(Some)
}

/// Whether a factor may be no number though all that the loss reads is one: whether it is made of something with a pole, or that grows
/// faster than any power, entry by entry.
pub(super) fn may_overflow(graph: &Graph, factor: NodeId) -> bool {
    looks_steep(graph, factor, DEPTH)
}

fn looks_steep(graph: &Graph, x: NodeId, depth: usize) -> bool {
    let node = graph.node(x);
    let steep = matches!(
        node.op,
        Op::Unary(
            Unary::Exp
                | Unary::Log
                | Unary::Log1p
                | Unary::Sqrt
                | Unary::Recip
                | Unary::Tan
                | Unary::Sinh
                | Unary::Cosh
                | Unary::Acosh
                | Unary::Atanh
        ) | Op::Binary(Binary::Div | Binary::Pow)
    ) || matches!(node.op, Op::WithScalar(WithScalar::Pow, number) if number.as_f64() < 1.0);
    let passes = matches!(
        node.op,
        Op::Unary(_)
            | Op::Binary(_)
            | Op::WithScalar(..)
            | Op::Cast(_)
            | Op::Reshape(_)
            | Op::Permute(_)
            | Op::Expand(_)
    );
    steep || passes && depth > 0 && node.inputs.iter().any(|&input| looks_steep(graph, input, depth - 1))
}

/// The outermost mask of a vector, and what is under it.
fn split(graph: &mut Graph, v: NodeId, depth: usize) -> Result<Option<(Mask, NodeId)>, GraphError> {
    let node = graph.node(v).clone();
    let is_zero = |graph: &Graph, x: NodeId| matches!(graph.node(x).op, Op::Full(number) if number.as_f64() == 0.0);
    Ok(match (&node.op, node.inputs.as_slice()) {
        (Op::Where, &[mask, x, y]) if is_zero(graph, y) => Some((Mask::Kept(mask), x)),
        (Op::Where, &[mask, x, y]) if is_zero(graph, x) => Some((Mask::LeftOut(mask), y)),
        (Op::Binary(Binary::Gate), &[x, y]) => Some((Mask::Gate(x), y)),
        _ if depth == 0 => None,
        // What makes zeros of zeros.
        (Op::Cast(_) | Op::Unary(Unary::Neg), &[x]) if graph.dtype(x).is_float() => under(graph, &node.op, x, depth)?,
        (Op::WithScalar(WithScalar::Mul, Scalar::Float(number)), &[x]) if number.is_finite() => {
            under(graph, &node.op, x, depth)?
        }
        (Op::Binary(Binary::Add | Binary::Sub), &[x, y]) => {
            match (split(graph, x, depth - 1)?, split(graph, y, depth - 1)?) {
                (Some((mask, x)), Some((other, y))) if mask == other => {
                    Some((mask, graph.push(node.op.clone(), &[x, y])?))
                }
                _ => None,
            }
        }
        _ => None,
    })
}

/// An operation under the mask of its operand.
fn under(graph: &mut Graph, op: &Op, x: NodeId, depth: usize) -> Result<Option<(Mask, NodeId)>, GraphError> {
    let Some((mask, inner)) = split(graph, x, depth - 1)? else { return Ok(None) };
    Ok(Some((mask, graph.push(op.clone(), &[inner])?)))
}

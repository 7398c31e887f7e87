//! Derivative rules: how a small change of one input of one operation moves its result, and the transpose of that.
//!
//! Every rule answers in graph operations, so a derivative can be differentiated again; no rule knows which order of
//! derivative it is used for. There is one file a family of operations. To add an operation: give it a shape in
//! `infer`, a place in the dispatch below, a rule in its family's file, and one line in the derivative tests.

mod answer;
mod convolution;
mod elementwise;
mod indexing;
mod linear_algebra;
mod masked;
mod normalization;
mod others;
mod pooling;
mod product;
mod ranks;
mod reduction;
mod shape;
mod softmax;
mod update;

use super::{Graph, GraphError, NodeId, Op};
use answer::Derivative;

/// `(∂out/∂input_i) · tangent`: the change of `node` when its `i`-th input changes by `tangent`.
pub(super) fn jvp(graph: &mut Graph, node: NodeId, i: usize, tangent: NodeId) -> Derivative {
    match &graph.node(node).op.clone() {
        op if is_constant(op) => Ok(None),
        op if elementwise::covers(op) => elementwise::jvp(graph, node, i, tangent),
        op if ranks::covers(op) => ranks::derivative(graph, node, i, tangent),
        Op::Softmax(axis) | Op::LogSoftmax(axis) => softmax::jvp(graph, node, *axis, tangent),
        Op::Normalize { .. } | Op::Deviation { .. } => normalization::jvp(graph, node, tangent),
        Op::Scatter { .. } => update::jvp(graph, node, i, tangent),
        op => linear(graph, op, node, i, tangent).map(Some),
    }
}

/// `(∂out/∂input_i)ᵀ · cotangent`: the transpose of [`jvp`].
pub(super) fn vjp(graph: &mut Graph, node: NodeId, i: usize, cotangent: NodeId) -> Derivative {
    match &graph.node(node).op.clone() {
        op if is_constant(op) => Ok(None),
        op if elementwise::covers(op) => elementwise::vjp(graph, node, i, cotangent),
        op if ranks::covers(op) => ranks::derivative(graph, node, i, cotangent),
        Op::Softmax(axis) | Op::LogSoftmax(axis) => softmax::vjp(graph, node, *axis, cotangent),
        Op::Normalize { .. } | Op::Deviation { .. } => normalization::vjp(graph, node, cotangent),
        Op::Scatter { .. } => update::vjp(graph, node, i, cotangent),
        Op::Sum(_) | Op::CumSum(_) => reduction::vjp(graph, node, cotangent).map(Some),
        Op::Gather(_) | Op::ScatterAdd { .. } | Op::Select(_) | Op::SelectAdd { .. } => {
            indexing::vjp(graph, node, i, cotangent)
        }
        Op::MatMul | Op::Conv(_) | Op::ConvInput(..) | Op::ConvWeight(..) | Op::InType(..) => {
            product::vjp(graph, node, i, cotangent).map(Some)
        }
        Op::AvgPool(_) | Op::AvgPoolAdjoint(..) | Op::AdaptiveAvgPool(_) | Op::AdaptiveAvgPoolAdjoint(_) => {
            pooling::vjp(graph, node, cotangent).map(Some)
        }
        _ => shape::vjp(graph, node, i, cotangent).map(Some),
    }
}

/// Leaves, and operations whose result is piecewise constant.
pub(super) fn is_constant(op: &Op) -> bool {
    matches!(
        op,
        Op::Input(_)
            | Op::Literal(_)
            | Op::Full(_)
            | Op::Random { .. }
            | Op::StopGradient
            | Op::Compare(_)
            | Op::CompareScalar(..)
            | Op::ArgMax(_)
            | Op::ArgMin(_)
            | Op::CumArgMax(_)
            | Op::CumArgMin(_)
            | Op::ArgSort { .. }
            | Op::ArgTopK { .. }
            | Op::MaxPoolIndices(_)
    )
}

/// An operation that is linear in its `i`-th input, the others fixed, is its own jvp.
fn linear(graph: &mut Graph, op: &Op, node: NodeId, i: usize, tangent: NodeId) -> Result<NodeId, GraphError> {
    let mut inputs = graph.node(node).inputs.clone();
    if matches!(op, Op::SliceAssign(_) | Op::Concat(_)) {
        // Linear in all inputs together: while one moves, the others stand still.
        for input in &mut inputs {
            *input = graph.zeros_like(*input);
        }
    }
    inputs[i] = tangent;
    graph.push(op.clone(), &inputs)
}

//! Normalisation `y = (x − E x)/σ` and its deviation `σ = √(E (x − E x)² + ε)`, along the last dimension.
//!
//! Because `E y = 0`, a change `t` of `x` moves them by `(t − E t − y·E (y∘t))/σ` and by `E (y∘t)`. The first Jacobian is
//! symmetric.

use super::answer::Derivative;
use super::{Graph, GraphError, NodeId, Op};
use crate::graph::accumulator;

pub(super) fn jvp(graph: &mut Graph, node: NodeId, tangent: NodeId) -> Derivative {
    let (x, epsilon, last) = parts(graph, node);
    if let Op::Normalize { .. } = graph.node(node).op {
        return normalized(graph, node, tangent).map(Some);
    }
    let y = graph.push(Op::Normalize { epsilon }, &[x])?;
    let weighted = graph.mul(y, tangent)?;
    mean(graph, weighted, last).map(Some)
}

pub(super) fn vjp(graph: &mut Graph, node: NodeId, cotangent: NodeId) -> Derivative {
    let (x, epsilon, last) = parts(graph, node);
    if let Op::Normalize { .. } = graph.node(node).op {
        return normalized(graph, node, cotangent).map(Some);
    }
    let y = graph.push(Op::Normalize { epsilon }, &[x])?;
    let size = graph.shape(x)[last];
    let share = graph.mul_scalar(cotangent, 1.0 / size as f64)?;
    graph.mul(y, share).map(Some)
}

/// `(v − E v − y·E (y∘v))/σ`
fn normalized(graph: &mut Graph, y: NodeId, v: NodeId) -> Result<NodeId, GraphError> {
    let (x, epsilon, last) = parts(graph, y);
    let deviation = graph.push(Op::Deviation { epsilon }, &[x])?;
    let level = mean(graph, v, last)?;
    let centred = graph.sub(v, level)?;
    let weighted = graph.mul(y, v)?;
    let correlation = mean(graph, weighted, last)?;
    let along = graph.mul(y, correlation)?;
    let across = graph.sub(centred, along)?;
    graph.div(across, deviation)
}

/// In 16 bits the sum may be beyond what the mean is far from.
fn mean(graph: &mut Graph, x: NodeId, axis: usize) -> Result<NodeId, GraphError> {
    let (size, dtype) = (graph.shape(x)[axis], graph.dtype(x));
    let wide = graph.cast(x, accumulator(dtype))?;
    let sum = graph.sum(wide, &[axis])?;
    let mean = graph.mul_scalar(sum, 1.0 / size as f64)?;
    graph.cast(mean, dtype)
}

/// The argument, `ε`, and the dimension.
fn parts(graph: &Graph, node: NodeId) -> (NodeId, crate::graph::Scalar, usize) {
    let of = graph.node(node);
    let (Op::Normalize { epsilon } | Op::Deviation { epsilon }) = of.op else {
        unreachable!("called for these two only")
    };
    (of.inputs[0], epsilon, graph.shape(of.inputs[0]).len() - 1)
}

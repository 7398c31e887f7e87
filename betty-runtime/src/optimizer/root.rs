//! Square roots that have a derivative where every gradient so far was zero.
//!
//! Adaptive optimizers divide by `√v + ε`, where `v` is made of squares of gradients. **At a zero gradient** `√v` has no
//! derivative, and the chain rule would answer `∞·0`. The step has one: `v = 0` only where all gradients so far were 0, hence
//! the numerator too, and there the quotient changes by the numerator's change over `ε`. So `v` is kept above a floor so
//! small that `√v + ε` rounds to the same number, and the derivative of a value at its floor is 0. Where `ε` is so small
//! that the float type has no such floor, the root of 0 is a constant instead.

use crate::graph::{Comparison, Graph, GraphError, NodeId, Op, Scalar, WithScalar};

/// `√max(v, floor)`, where `√floor` is the rounding unit times the smallest `epsilon` that is ever added to it.
pub(super) fn root(graph: &mut Graph, v: NodeId, epsilon: f64) -> Result<NodeId, GraphError> {
    let dtype = graph.dtype(v);
    let (unit, smallest) =
        dtype.finfo().map_or((f64::EPSILON, f64::MIN_POSITIVE), |info| (info.epsilon, info.min_positive));
    let floor = (unit * epsilon).powi(2);
    if floor < smallest {
        return root_of_positive(graph, v);
    }
    let above = graph.push(Op::WithScalar(WithScalar::ClampMin, Scalar::of(dtype, floor)), &[v])?;
    graph.sqrt(above)
}

/// `√v` where `v > 0`, and the constant 0 where not.
fn root_of_positive(graph: &mut Graph, v: NodeId) -> Result<NodeId, GraphError> {
    let zero = Scalar::of(graph.dtype(v), 0.0);
    let vanishes = graph.push(Op::CompareScalar(Comparison::LowerEqual, zero), &[v])?;
    let (ones, zeros) = (graph.full_like(v, 1.0), graph.zeros_like(v));
    let positive = graph.select_where(vanishes, ones, v)?;
    let root = graph.sqrt(positive)?;
    graph.select_where(vanishes, zeros, root)
}

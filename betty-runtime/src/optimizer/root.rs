//! Square roots that have a derivative where every gradient so far was zero.
//!
//! Adaptive optimizers divide by `√v + ε`, where `v` is made of squares of gradients. **At a zero gradient** `√v` has no
//! derivative, and the chain rule would answer `∞·0`. The step has one: `v = 0` only where all gradients so far were 0, hence
//! the numerator too, and there the quotient changes by the numerator's change over `ε`. So `v` is kept above a floor so
//! small that `√v + ε` rounds to the same number, and the derivative of a value at its floor is 0.

use crate::graph::{Graph, GraphError, NodeId, Op, Scalar, WithScalar};

/// `√max(v, floor)`, where `√floor` is the rounding unit times the smallest `epsilon` that is ever added to it.
pub(super) fn root(graph: &mut Graph, v: NodeId, epsilon: f64) -> Result<NodeId, GraphError> {
    let dtype = graph.dtype(v);
    let unit = dtype.finfo().map_or(f64::EPSILON, |info| info.epsilon);
    let floor = (unit * epsilon).powi(2);
    let above = graph.push(Op::WithScalar(WithScalar::ClampMin, Scalar::of(dtype, floor)), &[v])?;
    graph.sqrt(above)
}

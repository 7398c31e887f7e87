//! What rounding does to a result, made large enough to be seen.
//!
//! Every intermediate value is multiplied by `1 + ε·r` with a random `r` of its own in `[−1, 1)`, as rounding does with an `ε`
//! of 1e-16. How far the result moves, divided by `ε`, is the size of the terms that it is the sum of, however little is left
//! of them: a stochastic form of running error analysis (Parker, *Monte Carlo Arithmetic*, 1997). It needs no rule for any
//! operation, and follows cancellation through products, convolutions and divisions alike.

use crate::graph::{Binary, Distribution, Graph, GraphError, NodeId, Op, Unary};

/// Builds `outputs` again with every float rounded by up to `relative` of itself.
///
/// What a computation decides is decided by the values without it: indices, comparisons, signs, whole numbers, and which side
/// of a kink a derivative is on.
///
/// # Errors
/// [`GraphError`] as for [`Graph::push`].
pub(crate) fn rounded(graph: &mut Graph, outputs: &[NodeId], relative: f64) -> Result<Vec<NodeId>, GraphError> {
    let needed = super::reachable(graph, outputs);
    let mut image: Vec<NodeId> = graph.ids().collect();
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let node = graph.node(id).clone();
        if !node.dtype.is_float() || decides(&node.op) {
            continue;
        }
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|input| image[input.index()]).collect();
        if node.op == Op::Binary(Binary::Gate) {
            inputs[0] = node.inputs[0];
        }
        let exact = match &node.op {
            Op::Full(_) => continue,
            Op::Input(_) | Op::Literal(_) | Op::Random { .. } => id,
            op => graph.push(op.clone(), &inputs)?,
        };
        image[id.index()] = if moves_only(&node.op) {
            exact
        } else {
            let factor = Distribution::Uniform(1.0 - relative, 1.0 + relative);
            let factor = graph.random(&node.shape, node.dtype, factor);
            graph.mul(exact, factor)?
        };
    }
    Ok(outputs.iter().map(|output| image[output.index()]).collect())
}

/// Whether it answers with one of few values, between which it jumps.
fn decides(op: &Op) -> bool {
    matches!(op, Op::Unary(Unary::Sign | Unary::Round | Unary::Floor | Unary::Ceil | Unary::Trunc))
}

/// Whether it computes nothing: its entries are entries of its inputs.
fn moves_only(op: &Op) -> bool {
    matches!(
        op,
        Op::StopGradient
            | Op::Where
            | Op::Reshape(_)
            | Op::Permute(_)
            | Op::Expand(_)
            | Op::Slice(_)
            | Op::SliceAssign(_)
            | Op::Flip(_)
            | Op::Concat(_)
            | Op::Gather(_)
            | Op::Select(_)
    )
}

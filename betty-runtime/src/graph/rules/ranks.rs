//! What ranks have together: a part stands for its whole, and a sum over ranks is linear.

use super::answer::Derivative;
use super::{Graph, NodeId, Op};

pub(super) fn covers(op: &Op) -> bool {
    matches!(op, Op::OnWhole { .. } | Op::SumOverRanks(_))
}

/// Serves as jvp and as vjp. The sum `S = Σᵣ xᵣ` moves by the sum of what its parts move by. And `xₛ` of a rank moves `S` on all ranks,
/// so that the cotangent of `xₛ` is the sum of what all ranks have for theirs of `S`.
pub(super) fn derivative(graph: &mut Graph, node: NodeId, i: usize, vector: NodeId) -> Derivative {
    match graph.node(node).op.clone() {
        Op::OnWhole { .. } => Ok((i == 0).then_some(vector)),
        sum => graph.push(sum, &[vector]).map(Some),
    }
}

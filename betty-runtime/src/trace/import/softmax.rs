//! Softmax and its logarithm, recognised in the pieces that Burn records.

use super::Importer;
use crate::graph::{Binary, NodeId, Op, Unary};

impl Importer<'_> {
    /// Burn records softmax and its logarithm in pieces; the whole has a shorter derivative and a fused kernel.
    ///
    /// With `s = x − max x`: `s − log Σ exp s` is the logarithm, `exp s / Σ exp s` the softmax.
    pub(super) fn as_softmax(&self, f: Binary, x: NodeId, y: NodeId) -> Option<(Op, NodeId)> {
        let (exponential, shifted, sum) = match f {
            Binary::Sub => {
                let log = self.through(y, |op| matches!(op, Op::Expand(_)))?;
                let sum = self.through(log, |op| *op == Op::Unary(Unary::Log))?;
                (None, x, sum)
            }
            Binary::Div => {
                let shifted = self.through(x, |op| *op == Op::Unary(Unary::Exp))?;
                let sum = self.through(y, |op| matches!(op, Op::Expand(_)))?;
                (Some(x), shifted, sum)
            }
            _ => return None,
        };
        let Op::Sum(axes) = &self.graph.node(sum).op else { return None };
        let [axis] = axes[..] else { return None };
        let summed = self.graph.node(sum).inputs[0];
        let of_shifted = self.through(summed, |op| *op == Op::Unary(Unary::Exp))? == shifted;
        if !of_shifted || exponential.is_some_and(|exponential| exponential != summed) {
            return None;
        }
        let node = self.graph.node(shifted);
        let (Op::Binary(Binary::Sub), [source, max]) = (&node.op, node.inputs.as_slice()) else { return None };
        let gathered = self.graph.node(self.through(*max, |op| matches!(op, Op::Expand(_)))?);
        let indices = gathered.inputs.get(1)?;
        let is_max = gathered.op == Op::Gather(axis)
            && gathered.inputs[0] == *source
            && self.graph.node(*indices).op == Op::ArgMax(axis)
            && self.graph.node(*indices).inputs == [*source];
        let op = if exponential.is_some() { Op::Softmax(axis) } else { Op::LogSoftmax(axis) };
        is_max.then_some((op, *source))
    }

    /// The input of a node whose operation satisfies the predicate.
    fn through(&self, node: NodeId, is: impl Fn(&Op) -> bool) -> Option<NodeId> {
        let node = self.graph.node(node);
        if is(&node.op) { node.inputs.first().copied() } else { None }
    }
}

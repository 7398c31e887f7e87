//! Softmax, its logarithm and normalisation, recognised in the pieces that Burn records.

use super::Importer;
use crate::graph::{Binary, NodeId, Op, Unary, WithScalar};

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

    /// Burn records layer norm in pieces. With `c = x − E x`: `c / √(E c² + ε)` along the last dimension.
    pub(super) fn as_normalization(&self, f: Binary, x: NodeId, y: NodeId) -> Option<(Op, NodeId)> {
        let centred = self.graph.node(x);
        let (Binary::Div, Op::Binary(Binary::Sub), [source, mean]) = (f, &centred.op, centred.inputs.as_slice()) else {
            return None;
        };
        let spread = |op: &Op| matches!(op, Op::Expand(_));
        if self.mean_of_last(self.through(*mean, spread)?)? != *source {
            return None;
        }
        let shifted = self.through(self.through(y, spread)?, |op| *op == Op::Unary(Unary::Sqrt))?;
        let Op::WithScalar(WithScalar::Add, epsilon) = self.graph.node(shifted).op else { return None };
        let square = self.mean_of_last(self.graph.node(shifted).inputs[0])?;
        let is_square =
            self.graph.node(square).op == Op::Binary(Binary::Mul) && self.graph.node(square).inputs == [x, x];
        is_square.then_some((Op::Normalize { epsilon }, *source))
    }

    /// What a node is the mean of, along the last dimension.
    fn mean_of_last(&self, mean: NodeId) -> Option<NodeId> {
        let Op::WithScalar(WithScalar::Mul, factor) = self.graph.node(mean).op else { return None };
        let sum = self.graph.node(mean).inputs[0];
        let source = self.through(sum, |op| matches!(op, Op::Sum(_)))?;
        let (shape, last) = (self.graph.shape(source), self.graph.shape(source).len().checked_sub(1)?);
        let is_mean = self.graph.node(sum).op == Op::Sum(vec![last]) && factor.as_f64() == 1.0 / shape[last] as f64;
        is_mean.then_some(source)
    }

    /// The input of a node whose operation satisfies the predicate.
    fn through(&self, node: NodeId, is: impl Fn(&Op) -> bool) -> Option<NodeId> {
        let node = self.graph.node(node);
        if is(&node.op) { node.inputs.first().copied() } else { None }
    }
}

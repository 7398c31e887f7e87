//! Softmax, its logarithm, its quiet sister and normalisation, recognised in the pieces that Burn records.

use super::{Imported, Importer};
use crate::graph::{Binary, NodeId, Op, Unary, WithScalar, accumulator};

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

    /// Burn records quiet softmax in pieces, with a shift `m` by a maximum that it detaches, which leaves no trace:
    /// `exp(x − m) / (Σ exp(x − m) + exp(−m))`. Answers the same with `m` stopped, as the whole does not depend on it.
    ///
    /// Where all of `x` is far below 0, as in a row that is masked out, `exp(−m)` is infinite, and the derivatives through
    /// `m` would be `0·∞` where they should cancel.
    pub(super) fn as_quiet_softmax(&mut self, f: Binary, x: NodeId, y: NodeId) -> Imported<Option<NodeId>> {
        let Some((axes, source, shift)) = self.quiet_softmax(f, x, y) else { return Ok(None) };
        let shift = self.graph.push(Op::StopGradient, &[shift])?;
        let shifted = self.graph.sub(source, shift)?;
        let exponentials = self.graph.exp(shifted)?;
        let sum = if axes.is_empty() { exponentials } else { self.graph.sum(exponentials, &axes)? };
        let negative = self.graph.neg(shift)?;
        let rest = self.graph.exp(negative)?;
        let total = self.graph.add(sum, rest)?;
        Ok(Some(self.graph.div(exponentials, total)?))
    }

    /// The dimension, `x` and `m` of a quiet softmax; no dimension where each entry is a row of its own.
    fn quiet_softmax(&self, f: Binary, x: NodeId, y: NodeId) -> Option<(Vec<usize>, NodeId, NodeId)> {
        let shifted = self.graph.node(self.through(x, |op| f == Binary::Div && *op == Op::Unary(Unary::Exp))?);
        let (Op::Binary(Binary::Sub), [source, shift]) = (&shifted.op, shifted.inputs.as_slice()) else { return None };
        let shift = self.unspread(*shift);
        let total = self.graph.node(self.unspread(y));
        let (Op::Binary(Binary::Add), [left, right]) = (&total.op, total.inputs.as_slice()) else { return None };
        let is_rest = |node: NodeId| {
            let negative = self.through(node, |op| *op == Op::Unary(Unary::Exp));
            negative.and_then(|negative| self.through(negative, |op| *op == Op::Unary(Unary::Neg))) == Some(shift)
        };
        let sum = if is_rest(*right) { *left } else { is_rest(*left).then_some(*right)? };
        let axes = match &self.graph.node(sum).op {
            _ if sum == x => Vec::new(),
            Op::Sum(axes) if self.graph.node(sum).inputs == [x] => axes.clone(),
            _ => return None,
        };
        axes.iter().all(|&axis| self.graph.shape(shift)[axis] == 1).then_some((axes, *source, shift))
    }

    /// What a node spreads over a larger shape, or the node itself.
    fn unspread(&self, node: NodeId) -> NodeId {
        self.through(node, |op| matches!(op, Op::Expand(_))).unwrap_or(node)
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

    /// What a node is the mean of, along the last dimension, if it is formed in the type that the kernel forms it in: a sum of 16
    /// bits has a type of its own, and one that is cast to another says how exact it is to be.
    fn mean_of_last(&self, mean: NodeId) -> Option<NodeId> {
        let uncast = |node: NodeId| self.through(node, |op| matches!(op, Op::Cast(_))).unwrap_or(node);
        let quotient = self.graph.node(uncast(mean));
        let Op::WithScalar(WithScalar::Div, count) = quotient.op else { return None };
        let sum = quotient.inputs[0];
        let source = uncast(self.through(sum, |op| matches!(op, Op::Sum(_)))?);
        let (shape, last) = (self.graph.shape(source), self.graph.shape(source).len().checked_sub(1)?);
        let is_mean = self.graph.node(sum).op == Op::Sum(vec![last]) && count.as_f64() == shape[last] as f64;
        let dtype = self.graph.dtype(source);
        (is_mean && self.graph.dtype(mean) == dtype && self.graph.dtype(sum) == accumulator(dtype)).then_some(source)
    }

    /// The input of a node whose operation satisfies the predicate.
    fn through(&self, node: NodeId, is: impl Fn(&Op) -> bool) -> Option<NodeId> {
        let node = self.graph.node(node);
        if is(&node.op) { node.inputs.first().copied() } else { None }
    }
}

//! A rank's share of a loss whose examples are divided among ranks.
//!
//! The loss of the whole batch is the sum of shares: the losses of the ranks, each times its part of all examples. What a loss marks as a
//! part of something that ranks have together is formed by all of them while they compute, derivatives included, so that the derivatives
//! of the shares add up to that of the whole.

use std::rc::Rc;

use burn::tensor::DType;

use super::loss::Loss;
use crate::distributed::Ranks;
use crate::graph::{GraphError, Group, NodeId, Op, Whole, over_ranks, reachable, shared};
use crate::trace::{LossInput, Trace};

/// Makes a loss and its metrics this rank's shares of them, where it has the part `share` of all examples.
///
/// # Errors
/// [`GraphError`] if the loss cannot be built again.
pub(super) fn share(trace: &mut Trace, ranks: &Rc<Ranks>, share: NodeId) -> Result<(), GraphError> {
    let Trace { graph, loss, metrics, advances, .. } = trace;
    let (metrics, advances) = (metrics.iter_mut().map(|(_, node)| node), advances.iter_mut().map(|(_, node)| node));
    let mut values: Vec<&mut NodeId> = std::iter::once(loss).chain(metrics).collect();
    let count = values.len();
    values.extend(advances);
    let nodes: Vec<NodeId> = values.iter().map(|node| **node).collect();
    let nodes = over_ranks(graph, &nodes, &Group(Rc::clone(ranks) as _), share)?;
    for (index, (value, node)) in values.into_iter().zip(nodes).enumerate() {
        *value = if index < count { shared(graph, node, share)? } else { node };
    }
    Ok(())
}

impl Loss {
    /// This rank's share of a loss whose examples are divided among ranks; its part of them is value number `part` of the batch. What
    /// gradient programs answer is then summed over ranks.
    ///
    /// # Errors
    /// [`GraphError`] if the loss cannot be built again.
    pub(crate) fn shared(mut self, ranks: Rc<Ranks>, part: usize, dtype: DType) -> Result<Self, GraphError> {
        self.sums = self.forms_sums();
        let node = self.trace.graph.input(&[1], dtype);
        self.trace.inputs.push((LossInput::Batch { index: part }, node));
        share(&mut self.trace, &ranks, node)?;
        (self.ranks, self.part) = (Some(ranks), Some(part));
        Ok(self)
    }

    /// Whether the loss or a metric marks a sum as one over all examples.
    fn forms_sums(&self) -> bool {
        let Trace { graph, loss, metrics, .. } = &self.trace;
        let outputs: Vec<NodeId> = std::iter::once(*loss).chain(metrics.iter().map(|&(_, node)| node)).collect();
        let needed = reachable(graph, &outputs);
        let is_sum = |id: &NodeId| matches!(graph.node(*id).op, Op::OnWhole { whole: Whole::Sum, .. });
        graph.ids().filter(|id| needed[id.index()]).any(|id| is_sum(&id))
    }

    /// Whether it or a metric is formed of sums over the examples of all ranks, which a rank alone does not have.
    pub(crate) fn sums(&self) -> bool {
        self.sums
    }

    /// A function that all ranks have of the same batch.
    pub(crate) fn known_to(mut self, ranks: Option<Rc<Ranks>>) -> Self {
        self.ranks = ranks;
        self
    }

    /// Whether those that share its examples are at work each by itself.
    pub(crate) fn is_apart(&self) -> bool {
        self.ranks.as_ref().is_some_and(|ranks| ranks.is_apart())
    }

    /// Those that share its examples, or have the same ones, if there are others.
    pub(super) fn group(&self) -> Option<Group> {
        self.ranks.as_ref().map(|ranks| Group(Rc::clone(ranks) as _))
    }

    /// Whether it moves running statistics to something that each rank has of its own: of its batch, or drawn, and not put together by
    /// all of them.
    pub(crate) fn moves_apart(&self) -> bool {
        let Trace { graph, inputs, advances, .. } = &self.trace;
        let mut own = vec![false; graph.len()];
        for &(source, node) in inputs {
            own[node.index()] = matches!(source, LossInput::Batch { .. });
        }
        for id in graph.ids() {
            let node = graph.node(id);
            own[id.index()] |= match node.op {
                Op::Random { .. } => true,
                Op::SumOverRanks(_) => false,
                _ => node.inputs.iter().any(|input| own[input.index()]),
            };
        }
        advances.iter().any(|(_, next)| own[next.index()])
    }
}

//! What a comparison of gradients is made of.

use crate::graph::NodeId;

/// Nodes of a recorded loss, and of Burn's backward pass.
pub(super) struct Roots {
    pub(super) loss: NodeId,
    pub(super) with_respect_to: Vec<NodeId>,
    /// What Burn's backward pass recorded.
    pub(super) burn: Vec<NodeId>,
    /// What derivatives inside of the loss answer, …
    pub(super) answers: Vec<NodeId>,
    /// … and Burn's gradients by it.
    pub(super) in_answers: Vec<NodeId>,
}

impl Roots {
    /// All of them in one list.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        let Roots { loss, with_respect_to, burn, answers, in_answers } = self;
        [[*loss].as_slice(), with_respect_to, burn, answers, in_answers].concat()
    }

    /// The same roots in another graph, given what stands there for [`nodes`](Self::nodes).
    pub(super) fn at(&self, nodes: &[NodeId]) -> Self {
        let mut rest = nodes.iter().copied();
        let mut next = |like: &[NodeId]| -> Vec<NodeId> { rest.by_ref().take(like.len()).collect() };
        Roots {
            loss: next(&[self.loss])[0],
            with_respect_to: next(&self.with_respect_to),
            burn: next(&self.burn),
            answers: next(&self.answers),
            in_answers: next(&self.in_answers),
        }
    }
}

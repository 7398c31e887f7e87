//! A recorded loss: its graph, and what the inputs of that stand for.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::graph::{Graph, NodeId, dependents};

/// What an input of a recorded loss stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossInput {
    /// A tensor of a level's module.
    Leaf {
        /// The level.
        level: usize,
        /// Which tensor, in the module's order.
        index: usize,
    },
    /// A tensor that a level's module holds as a plain field.
    Constant {
        /// The level.
        level: usize,
        /// Which of them, in the module's order.
        index: usize,
    },
    /// A tensor of the batch.
    Batch {
        /// Which tensor, in the batch's order.
        index: usize,
    },
}

/// A loss as a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The forward pass, and Burn's recorded backward pass beside it.
    pub graph: Graph,
    /// The loss, of shape `[1]`.
    pub loss: NodeId,
    /// Numbers that the loss function reports beside the loss.
    pub metrics: Vec<(Rc<str>, NodeId)>,
    /// All inputs of the graph and what they stand for, in the graph's order.
    pub inputs: Vec<(LossInput, NodeId)>,
    /// Burn's own gradients: `∂loss/∂input` as Burn computes it, for every float of a module, with gradients taken inside of the loss
    /// held constant.
    pub burn_gradients: Vec<(NodeId, NodeId)>,
    /// Gradients taken inside of the loss that Burn finds a way to, and `∂loss/∂` of each as Burn computes it, where it is a variable.
    pub burn_answers: Vec<(NodeId, NodeId)>,
    /// Whether terms of Burn's gradients may be rounded to single precision: Burn's backward pass of `x / number` multiplies by
    /// `1 / number` so, and the loss multiplies by the same number elsewhere.
    pub is_coarse: bool,
    /// What Burn recorded, its backward pass included, by the names in `docs/operations.md`.
    pub operations: BTreeSet<&'static str>,
    /// Running statistics and what the forward pass turns them into: the tensor of a module, and its next value.
    pub advances: Vec<(LossInput, NodeId)>,
    /// Tensors of modules that are running states of Burn's (`RunningState`) and that the forward pass updates, the first of each
    /// module: what becomes of them is no part of the graph.
    pub updates: Vec<LossInput>,
    /// What the loss marks as the output of a model; of the map of a fixed point, the parameters that it returns.
    pub outputs: Vec<NodeId>,
    /// Whether a derivative leads from the loss back to a parameter, as far as Burn's tape and gradients taken inside of the
    /// loss tell. An accuracy reads parameters and has none.
    pub differentiable: bool,
}

impl Trace {
    /// The node of `input`, if the loss was given it.
    pub fn input(&self, input: LossInput) -> Option<NodeId> {
        self.inputs.iter().find(|(of, _)| *of == input).map(|&(_, node)| node)
    }

    /// Whether the loss depends on any of these tensors of a level's module.
    pub fn depends_on(&self, level: usize, leaves: &[usize]) -> bool {
        let leaves: Vec<NodeId> =
            leaves.iter().filter_map(|&index| self.input(LossInput::Leaf { level, index })).collect();
        dependents(&self.graph, &leaves)[self.loss.index()]
    }
}

//! What a function of the program's own makes of a level's parameters after each step, as a part of the step's graph.

use std::collections::HashMap;

use burn::tensor::TensorData;

use crate::graph::{Comparison, Graph, GraphError, Leads, NodeId, Op, Scalar, replay};
use crate::optimizer::spread_like;

/// A recorded function of a level's parameters, and of what else it reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AfterStep {
    pub(crate) graph: Graph,
    /// What each input of the graph stands for.
    pub(crate) inputs: Vec<(NodeId, Seen)>,
    /// What becomes of each parameter.
    pub(crate) next: Vec<NodeId>,
}

/// What the function sees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// A parameter of the level, by its number.
    Parameter(usize),
    /// Another tensor of a module, by its number among the [sources](super::LearnedNumbers::sources) of the step.
    Source(usize),
    /// A tensor that a module holds as a plain field.
    Constant(TensorData),
}

impl AfterStep {
    /// Which parameters of the level it makes those of, at these places, that a step moves.
    pub(super) fn reads(&self, moved: &[usize], leads: Leads) -> Vec<bool> {
        let outputs: Vec<NodeId> = moved.iter().map(|&index| self.next[index]).collect();
        let led = leads(&self.graph, &outputs);
        let mut reads = vec![false; self.next.len()];
        for (node, seen) in &self.inputs {
            if let Seen::Parameter(index) = *seen {
                reads[index] |= led[node.index()];
            }
        }
        reads
    }

    /// Adds what becomes of the parameters `moved` by a step from `thetas`. Where the number of a parameter in `moves` is not 1, the
    /// step leaves it alone, and the function sees it as it was.
    pub(super) fn apply(
        &self,
        graph: &mut Graph,
        moved: &[NodeId],
        thetas: &[NodeId],
        moves: &[NodeId],
        sources: &[NodeId],
    ) -> Result<Vec<NodeId>, GraphError> {
        let mut images = HashMap::new();
        for (node, seen) in &self.inputs {
            let image = match seen {
                Seen::Parameter(index) => seen_of(graph, moved[*index], thetas[*index], moves[*index])?,
                Seen::Source(index) => sources[*index],
                Seen::Constant(data) => graph.literal(data.clone()),
            };
            images.insert(*node, image);
        }
        replay(graph, &self.graph, &self.next, &images)
    }
}

/// A parameter after a step that moves it, or as it was.
fn seen_of(graph: &mut Graph, moved: NodeId, theta: NodeId, moves: NodeId) -> Result<NodeId, GraphError> {
    let moves = spread_like(graph, moves, moved)?;
    let half = Scalar::of(graph.dtype(moves), 0.5);
    let is_moved = graph.push(Op::CompareScalar(Comparison::Greater, half), &[moves])?;
    graph.select_where(is_moved, moved, theta)
}

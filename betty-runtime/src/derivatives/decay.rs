//! What an optimizer's weight decay makes of a level's answer: the loss is smallest there together with a penalty.
//!
//! Steps along `g + δθ` come to rest where that vanishes, and not where the gradient `g` does. So the condition of the level is the
//! gradient of `ℓ + ½Σδθ²`, whose Hessian has `δ` on its diagonal, and which depends on the levels that `δ` is learned by.

use std::collections::HashMap;

use burn::tensor::DType;

use super::lagrangian::{Input, Lagrangian, Variable};
use super::loss::Loss;
use super::steps::LevelAbove;
use crate::graph::{Graph, GraphError, NodeId, Op, replay};

/// The penalty of the parameters of a level, as a graph.
#[derive(Clone, Debug)]
pub struct Decay<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Its inputs that are the parameters of the level, all of them.
    pub parameters: &'a [NodeId],
    /// Its inputs that are parameters of other levels, of which factors of the penalty are made.
    pub learned: Vec<(Input, NodeId)>,
    /// The levels that those belong to.
    pub above: Vec<&'a LevelAbove>,
    /// `½Σδθ²`
    pub penalty: NodeId,
}

impl Lagrangian {
    /// With the penalty of the parameters of a level with this loss, of which each of the ranks that share it has its part. What is
    /// not `moved` is left alone by every step: it is held where it stands.
    ///
    /// # Errors
    /// [`GraphError`] if it cannot be built.
    pub fn with_decay(
        mut self,
        level: usize,
        loss: &Loss,
        decay: &Decay<'_>,
        moved: &[bool],
    ) -> Result<Self, GraphError> {
        let parameters = self.variables.get(&Variable::Level(level)).into_iter().flatten();
        let mut images: HashMap<NodeId, NodeId> = decay.parameters.iter().copied().zip(parameters.copied()).collect();
        for &(input, like) in &decay.learned {
            images.insert(like, self.input(input, decay.graph.shape(like), decay.graph.dtype(like)));
        }
        for (parameter, _) in decay.parameters.iter().zip(moved).filter(|(_, is_moved)| !**is_moved) {
            if let Some(theta) = images.get_mut(parameter) {
                let still = self.graph.push(Op::StopGradient, &[*theta])?;
                *theta = self.graph.sub(*theta, still)?;
            }
        }
        for LevelAbove { level, parameters } in &decay.above {
            let leaf = |(index, shape, dtype): &(usize, Vec<usize>, DType)| {
                self.input(Input::Leaf { level: *level, index: *index }, shape, *dtype)
            };
            let leaves: Vec<NodeId> = parameters.iter().map(leaf).collect();
            self.variables.entry(Variable::Level(*level)).or_insert(leaves);
        }
        let mut penalty = replay(&mut self.graph, decay.graph, &[decay.penalty], &images)?[0];
        penalty = self.graph.cast(penalty, self.graph.dtype(self.value))?;
        if let Some(part) = loss.part {
            // Derivatives are summed over ranks, which all have the same parameters, and whose parts add up to one.
            let share = self.input(Input::Batch { level, index: part }, &[1], self.graph.dtype(self.value));
            penalty = self.graph.mul(penalty, share)?;
        }
        self.value = self.graph.add(self.value, penalty)?;
        Ok(self)
    }

    /// The input, which is added if it is new.
    fn input(&mut self, input: Input, shape: &[usize], dtype: DType) -> NodeId {
        let known = self.inputs.iter().find(|(known, _)| *known == input).map(|&(_, node)| node);
        known.unwrap_or_else(|| {
            let node = self.graph.input(shape, dtype);
            self.inputs.push((input, node));
            node
        })
    }
}

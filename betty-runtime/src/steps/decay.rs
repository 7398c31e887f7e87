//! The penalty that the weight decay of a level's optimizers is, where the level comes to rest.

use burn::tensor::Device;

use super::groups::Groups;
use super::learned::LearnedNumbers;
use crate::derivatives::{Decay, Input, LevelAbove};
use crate::execute::{Program, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, accumulator};
use crate::optimizer::{Coefficient, UpdateInputs};
use crate::trace::Leaf;

/// `½Σδθ²` over the parameters of a level, and its gradient `δθ`.
pub(crate) struct WeightDecay {
    graph: Graph,
    parameters: Vec<NodeId>,
    /// What the factors that are learned are made of: the number of each among all sources, and its input.
    sources: Vec<(usize, NodeId)>,
    penalty: NodeId,
    gradient: Program,
}

impl WeightDecay {
    /// Plans it for these parameters; nothing if none of them decays.
    ///
    /// # Errors
    /// [`GraphError`] if it cannot be built.
    pub(super) fn new(
        parameters: &[&Leaf],
        groups: &Groups,
        learned: &LearnedNumbers,
        device: &Device,
    ) -> Result<Option<Self>, GraphError> {
        let mut graph = Graph::new();
        let like = |graph: &mut Graph, leaf: &Leaf| graph.input(&leaf.value.shape(), leaf.value.dtype());
        let thetas: Vec<NodeId> = parameters.iter().map(|leaf| like(&mut graph, leaf)).collect();
        let sources: Vec<NodeId> = learned.like().map(|(shape, dtype)| graph.input(shape, dtype)).collect();
        let mut used = vec![false; sources.len()];
        let (mut penalty, mut gradient) = (None, Vec::new());
        for (i, &theta) in thetas.iter().enumerate() {
            let (group, place) = (groups.number(i), groups.place(i));
            let decay = groups.of(i).optimizer.decay();
            let wide = graph.cast(theta, accumulator(graph.dtype(theta)))?;
            let number = match decay {
                Coefficient::Constant(_) => None,
                Coefficient::Learned(index) => learned.one_of(&mut graph, &sources, group, place, index)?,
            };
            let factor = match (decay, number) {
                (Coefficient::Learned(_), Some((source, number))) => {
                    used[source] = true;
                    Some((Coefficient::Learned(0), vec![number]))
                }
                (Coefficient::Constant(_), _) if !decay.is_zero() => Some((decay, Vec::new())),
                _ => None,
            };
            let Some((factor, learned)) = factor else {
                gradient.push(graph.zeros_like(theta));
                continue;
            };
            // Nothing but the factor is read of these.
            let [parameter, learning_rate] = [wide; 2];
            let inputs =
                UpdateInputs { parameter, gradient: wide, states: &[], learning_rate, scalars: &[], learned: &learned };
            let product = factor.times(&mut graph, &inputs, wide)?;
            gradient.push(graph.cast(product, graph.dtype(theta))?);
            let half = graph.mul_scalar(product, 0.5)?;
            let term = graph.dot(half, wide)?;
            penalty = Some(match penalty {
                None => term,
                Some(sum) => {
                    let term = graph.cast(term, graph.dtype(sum))?;
                    graph.add(sum, term)?
                }
            });
        }
        let Some(penalty) = penalty else { return Ok(None) };
        let inputs = [thetas.as_slice(), &sources].concat();
        let gradient = Program::new(&graph, &inputs, &gradient, device);
        let sources = sources.into_iter().enumerate().filter(|&(number, _)| used[number]).collect();
        Ok(Some(WeightDecay { graph, parameters: thetas, sources, penalty, gradient }))
    }

    /// The numbers of the sources that factors are made of.
    pub(super) fn sources(&self) -> impl Iterator<Item = usize> {
        self.sources.iter().map(|&(number, _)| number)
    }

    /// The penalty as a graph; `learned` are the numbers that it was planned with.
    pub(super) fn graph<'a>(&'a self, learned: &'a LearnedNumbers) -> Decay<'a> {
        let inputs: Vec<Input> = learned.inputs().collect();
        let of: Vec<(Input, NodeId)> = self.sources.iter().map(|&(number, node)| (inputs[number], node)).collect();
        let is_used = |above: &&LevelAbove| {
            of.iter().any(|(input, _)| matches!(input, Input::Leaf { level, .. } if *level == above.level))
        };
        let above = learned.levels().iter().filter(is_used).collect();
        Decay { graph: &self.graph, parameters: &self.parameters, learned: of, above, penalty: self.penalty }
    }

    /// `δθ` at these parameters, and at these tensors of other levels that numbers of the optimizers are made of.
    pub(crate) fn gradient(&self, parameters: &Vector, learned: Vec<Value>) -> Vector {
        Vector(self.gradient.run(parameters.0.iter().cloned().chain(learned), 0))
    }
}

//! The Lagrangian of a level whose parameters are what its steps made of them.
//!
//! Let `Θ(w)` be where the steps of a level lead, as a function of what they read: parameters of levels above, and where
//! they began if that is another level. The loss
//!
//! ```text
//! ½‖θ‖² − ⟨θ, Θ(w)⟩
//! ```
//!
//! is stationary exactly at `θ = Θ(w)`, and its Hessian is the identity, whatever the steps were. So differentiated steps
//! are a best response like any other, and nest in the Lagrangians of the levels above to any order. The price is that all
//! steps are one graph, whose values are held at once.

use std::collections::HashMap;

use burn::tensor::DType;

use super::lagrangian::{Build, Input, Lagrangian, StepInput, Variable};
use super::loss::{Loss, gradient_nodes};
use crate::graph::{Graph, GraphError, NodeId, Op, replay};
use crate::trace::Source;

/// What one step does to the parameters of a level, as a graph.
#[derive(Clone, Debug)]
pub struct StepGraph<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Its inputs: all parameters, then all gradients, then all states of the optimizer.
    pub tensors: &'a [NodeId],
    /// Inputs that are numbers of the step.
    pub numbers: &'a [NodeId],
    /// Inputs that are parameters of other levels, of which further numbers are made.
    pub learned: Vec<(Input, NodeId)>,
    /// The levels that those belong to.
    pub above: &'a [LevelAbove],
    /// All parameters after the step, then all states.
    pub moved: &'a [NodeId],
}

/// A level whose parameters are numbers of another level's steps.
#[derive(Clone, Debug)]
pub struct LevelAbove {
    /// The level.
    pub level: usize,
    /// All its parameters: which tensor of the module, its shape and type.
    pub parameters: Vec<(usize, Vec<usize>, DType)>,
}

impl Lagrangian {
    /// The Lagrangian of `level`, whose parameters `steps` led to; each step has the losses whose gradients it averaged, in
    /// order. The level's tensors number `trainable` are its parameters. The first step began at the parameters of level
    /// `from` if there is one, else at constants.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub fn of_steps(
        level: usize,
        trainable: &[usize],
        steps: &[Vec<&Loss>],
        update: &StepGraph<'_>,
        from: Option<usize>,
    ) -> Result<Self, GraphError> {
        let mut unrolling = Unrolling { level, trainable, build: Build::default(), gradients: Vec::new() };
        let (parameters, states) = (trainable.len(), update.moved.len() - trainable.len());
        let mut at = unrolling.start(update, from);
        for (index, losses) in steps.iter().enumerate() {
            let gradient = unrolling.mean_gradient(index, &at[..parameters], losses)?;
            let mut images: HashMap<NodeId, NodeId> = HashMap::new();
            let tensors = [&at[..parameters], &gradient, &at[parameters..]].concat();
            debug_assert_eq!(tensors.len(), 2 * parameters + states);
            images.extend(update.tensors.iter().copied().zip(tensors));
            for (number, &like) in update.numbers.iter().enumerate() {
                let of = StepInput::Number(number);
                images.insert(like, unrolling.step_input(index, of, update.graph, like));
            }
            for &(input, like) in &update.learned {
                let (shape, dtype) = (update.graph.shape(like), update.graph.dtype(like));
                images.insert(like, unrolling.build.input(input, shape, dtype));
            }
            at = replay(&mut unrolling.build.graph, update.graph, update.moved, &images)?;
        }
        for LevelAbove { level, parameters } in update.above {
            let leaves = parameters.iter().map(|(index, shape, dtype)| {
                unrolling.build.input(Input::Leaf { level: *level, index: *index }, shape, *dtype)
            });
            let leaves = leaves.collect();
            unrolling.build.variables.entry(Variable::Level(*level)).or_insert(leaves);
        }
        unrolling.finish(&at[..parameters], from)
    }
}

/// Steps on their way into one graph.
struct Unrolling<'a> {
    level: usize,
    trainable: &'a [usize],
    build: Build,
    /// The gradients of losses that have been differentiated: equal losses are one.
    gradients: Vec<(*const Loss, Graph, Vec<NodeId>)>,
}

impl Unrolling<'_> {
    fn step_input(&mut self, step: usize, of: StepInput, graph: &Graph, like: NodeId) -> NodeId {
        let input = Input::Step { level: self.level, step, of };
        self.build.input(input, graph.shape(like), graph.dtype(like))
    }

    /// Parameters and states before the first step.
    fn start(&mut self, update: &StepGraph<'_>, from: Option<usize>) -> Vec<NodeId> {
        let parameters = self.trainable.len();
        let mut at = Vec::with_capacity(update.moved.len());
        for (i, &like) in update.tensors[..parameters].iter().enumerate() {
            at.push(match from {
                Some(from) => {
                    let leaf = Input::Leaf { level: from, index: self.trainable[i] };
                    self.build.input(leaf, update.graph.shape(like), update.graph.dtype(like))
                }
                None => self.step_input(0, StepInput::Parameter(i), update.graph, like),
            });
        }
        for (i, &like) in update.tensors[2 * parameters..].iter().enumerate() {
            at.push(self.step_input(0, StepInput::State(i), update.graph, like));
        }
        at
    }

    /// The mean of the gradients of several losses at these parameters.
    fn mean_gradient(&mut self, step: usize, at: &[NodeId], losses: &[&Loss]) -> Result<Vec<NodeId>, GraphError> {
        let mut mean: Vec<NodeId> = Vec::new();
        for (evaluation, &loss) in losses.iter().enumerate() {
            let gradient = self.gradient(step, evaluation, at, loss)?;
            mean = match mean.len() {
                0 => gradient,
                _ => {
                    let pairs = mean.into_iter().zip(gradient);
                    pairs.map(|(sum, part)| self.build.graph.add(sum, part)).collect::<Result<_, _>>()?
                }
            };
        }
        if losses.len() > 1 {
            let scaled = mean.into_iter().map(|sum| self.build.graph.mul_scalar(sum, 1.0 / losses.len() as f64));
            mean = scaled.collect::<Result<_, _>>()?;
        }
        Ok(mean)
    }

    /// The gradient of one loss at these parameters.
    fn gradient(
        &mut self,
        step: usize,
        evaluation: usize,
        at: &[NodeId],
        loss: &Loss,
    ) -> Result<Vec<NodeId>, GraphError> {
        let known = match self.gradients.iter().position(|&(of, ..)| std::ptr::eq(of, loss)) {
            Some(known) => known,
            None => {
                let mut graph = loss.trace().graph.clone();
                let own = [loss.parameters(self.level)].into_iter();
                let gradient = gradient_nodes(&mut graph, loss.trace().loss, own)?.concat();
                self.gradients.push((loss, graph, gradient));
                self.gradients.len() - 1
            }
        };
        let (of, graph, gradient) = self.gradients.swap_remove(known);
        let mut images = HashMap::new();
        for (input, &(source, node)) in loss.trace().inputs.iter().enumerate() {
            let own = match source {
                Source::Leaf { level, index } if level == self.level => {
                    self.trainable.iter().position(|&parameter| parameter == index)
                }
                _ => None,
            };
            let image = match (own, source) {
                (Some(own), _) => at[own],
                (None, Source::Leaf { level, index }) if level != self.level => {
                    self.build.input(Input::Leaf { level, index }, graph.shape(node), graph.dtype(node))
                }
                _ => self.step_input(step, StepInput::Loss { evaluation, input }, &graph, node),
            };
            images.insert(node, image);
        }
        for id in graph.ids() {
            if let Op::Random { draw, distribution } = graph.node(id).op {
                let of = StepInput::Draw { evaluation, draw, distribution };
                images.insert(id, self.step_input(step, of, &graph, id));
            }
        }
        for (level, nodes) in loss.levels().filter(|&(level, _)| level != self.level) {
            let nodes = nodes.iter().map(|node| images[node]).collect();
            self.build.variables.entry(Variable::Level(level)).or_insert(nodes);
        }
        let found = replay(&mut self.build.graph, &graph, &gradient, &images);
        self.gradients.push((of, graph, gradient));
        found
    }

    /// The Lagrangian of parameters that the steps led to `reached`.
    fn finish(mut self, reached: &[NodeId], from: Option<usize>) -> Result<Lagrangian, GraphError> {
        let graph = &mut self.build.graph;
        let dtype = graph.dtype(reached[0]);
        let mut value = graph.full(&[1], dtype, 0.0);
        let mut parameters = Vec::with_capacity(reached.len());
        for (&reached, &index) in reached.iter().zip(self.trainable) {
            let theta = self.build.input_like(Input::Leaf { level: self.level, index }, reached);
            let graph = &mut self.build.graph;
            // ½⟨θ, θ⟩ − ⟨θ, Θ⟩ = ⟨θ, ½θ − Θ⟩
            let half = graph.mul_scalar(theta, 0.5)?;
            let gap = graph.sub(half, reached)?;
            let term = graph.dot(theta, gap)?;
            let term = graph.cast(term, dtype)?;
            value = graph.add(value, term)?;
            parameters.push(theta);
        }
        let own = Variable::Level(self.level);
        self.build.variables.insert(own, parameters);
        if let Some(from) = from {
            let leaf = |&index: &usize| self.build.nodes[&Input::Leaf { level: from, index }];
            let began = self.trainable.iter().map(leaf).collect();
            self.build.variables.entry(Variable::Level(from)).or_insert(began);
        }
        let Build { graph, inputs, variables, .. } = self.build;
        Ok(Lagrangian { graph, value, inputs, variables, own: vec![own] })
    }
}

//! The steps of a level as one function.
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
//!
//! Where ranks share the examples of the losses, the gradient of each step is summed over them inside of the graph, so that `Θ(w)` is the
//! same on all. Each rank has an equal share of the loss above, and derivatives of all shares add up to that of the whole.

use std::collections::HashMap;

use burn::tensor::DType;

use super::lagrangian::{Build, Input, Lagrangian, StepInput, Variable};
use super::loss::{Loss, gradient_nodes};
use crate::graph::{Graph, GraphError, Group, NodeId, Op, accumulator, replay, summed_over_ranks};
use crate::trace::LossInput;

/// The steps of one level, to be written down one after the other.
#[derive(Clone)]
pub struct UnrolledSteps<'a> {
    /// The level.
    pub level: usize,
    /// Which tensors of its module are its parameters.
    pub trainable: &'a [usize],
    /// For every step the losses whose gradients it averaged, in order.
    pub losses: Vec<Vec<&'a Loss>>,
    /// What a step does.
    pub update: StepGraph<'a>,
    /// The level at whose parameters the first step began; none for constants.
    pub from: Option<usize>,
}

impl UnrolledSteps<'_> {
    /// The ranks that share the examples of its losses, if there are others.
    fn group(&self) -> Option<Group> {
        self.losses.iter().flatten().find_map(|loss| loss.group())
    }

    /// Which of the parameters and states a step on these losses leaves alone: those of parameters that no loss depends on.
    fn still(&self, losses: &[&Loss]) -> Vec<usize> {
        let parameters = self.trainable.len();
        let is_read = |index: usize| losses.iter().any(|loss| loss.reached_in(self.level)[index]);
        let mut still = Vec::new();
        let mut first = parameters;
        for (index, &states) in self.update.states.iter().enumerate() {
            if !is_read(index) {
                still.extend((first..first + states).chain([index]));
            }
            first += states;
        }
        still
    }
}

/// What one step does to the parameters of a level, as a graph.
#[derive(Clone, Debug)]
pub struct StepGraph<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Its inputs: all parameters, then all gradients, then all states of the optimizer.
    pub tensors: &'a [NodeId],
    /// How many states each parameter has.
    pub states: Vec<usize>,
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

/// Where steps lead.
pub(super) struct Unrolled {
    /// All parameters, then all states of the optimizer.
    pub(super) reached: Vec<NodeId>,
    /// Every step, in order.
    pub(super) taken: Vec<Taken>,
}

/// How a step came about.
pub(super) struct Taken {
    /// For each loss: its value, and then its metrics.
    pub(super) values: Vec<Vec<NodeId>>,
    /// The mean of the gradients.
    pub(super) gradient: Vec<NodeId>,
}

impl Lagrangian {
    /// The Lagrangian of a level whose parameters are where its steps lead.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub fn of_steps(steps: &UnrolledSteps<'_>) -> Result<Self, GraphError> {
        let mut build = Build::default();
        let mut reached = unroll(&mut build, steps)?.reached;
        reached.truncate(steps.trainable.len());
        let dtype = build.graph.dtype(reached[0]);
        let mut value = build.graph.full(&[1], dtype, 0.0);
        let mut parameters = Vec::with_capacity(reached.len());
        for (reached, &index) in reached.into_iter().zip(steps.trainable) {
            let theta = build.input_like(Input::Leaf { level: steps.level, index }, reached);
            // ½⟨θ, θ⟩ − ⟨θ, Θ⟩ = ⟨θ, ½θ − Θ⟩
            let half = build.graph.mul_scalar(theta, 0.5)?;
            let gap = build.graph.sub(half, reached)?;
            let term = build.graph.dot(theta, gap)?;
            let term = build.graph.cast(term, dtype)?;
            value = build.graph.add(value, term)?;
            parameters.push(theta);
        }
        if let Some(group) = steps.group() {
            value = build.graph.mul_scalar(value, 1.0 / group.0.count() as f64)?;
        }
        let own = Variable::Level(steps.level);
        build.variables.insert(own, parameters);
        let Build { graph, inputs, variables, .. } = build;
        Ok(Lagrangian { graph, value, inputs, variables, own: vec![own] })
    }
}

/// Adds the steps of a level to a graph.
pub(super) fn unroll(build: &mut Build, steps: &UnrolledSteps<'_>) -> Result<Unrolled, GraphError> {
    let mut unrolling = Unrolling { steps, build, differentiated: Vec::new() };
    let parameters = steps.trainable.len();
    let update = &steps.update;
    let mut at = unrolling.start();
    let mut taken = Vec::with_capacity(steps.losses.len());
    for (step, losses) in steps.losses.iter().enumerate() {
        let evaluated = unrolling.evaluate(step, &at[..parameters], losses)?;
        let tensors = [&at[..parameters], &evaluated.gradient, &at[parameters..]].concat();
        let mut images: HashMap<NodeId, NodeId> = update.tensors.iter().copied().zip(tensors).collect();
        for (number, &like) in update.numbers.iter().enumerate() {
            images.insert(like, unrolling.input(step, StepInput::Number(number), update.graph, like));
        }
        for &(input, like) in &update.learned {
            images.insert(like, unrolling.build.input(input, update.graph.shape(like), update.graph.dtype(like)));
        }
        let before = at;
        at = replay(&mut unrolling.build.graph, update.graph, update.moved, &images)?;
        for still in steps.still(losses) {
            at[still] = before[still];
        }
        taken.push(evaluated);
    }
    for LevelAbove { level, parameters } in update.above {
        let leaf = |(index, shape, dtype): &(usize, Vec<usize>, DType)| {
            unrolling.build.input(Input::Leaf { level: *level, index: *index }, shape, *dtype)
        };
        let leaves = parameters.iter().map(leaf).collect();
        unrolling.build.variables.entry(Variable::Level(*level)).or_insert(leaves);
    }
    Ok(Unrolled { reached: at, taken })
}

/// Steps on their way into one graph.
struct Unrolling<'a> {
    steps: &'a UnrolledSteps<'a>,
    build: &'a mut Build,
    differentiated: Vec<Differentiated>,
}

/// A loss with its gradient; equal losses are differentiated once.
struct Differentiated {
    loss: *const Loss,
    graph: Graph,
    /// The loss, its metrics, and the gradient.
    outputs: Vec<NodeId>,
}

impl Unrolling<'_> {
    fn input(&mut self, step: usize, of: StepInput, graph: &Graph, like: NodeId) -> NodeId {
        let input = Input::Step { level: self.steps.level, step, of };
        self.build.input(input, graph.shape(like), graph.dtype(like))
    }

    /// Parameters and states before the first step.
    fn start(&mut self) -> Vec<NodeId> {
        let UnrolledSteps { trainable, ref update, from, .. } = *self.steps;
        let (parameters, states) = (&update.tensors[..trainable.len()], &update.tensors[2 * trainable.len()..]);
        let mut at = Vec::with_capacity(parameters.len() + states.len());
        for (i, &like) in parameters.iter().enumerate() {
            at.push(match from {
                Some(level) => {
                    let leaf = Input::Leaf { level, index: trainable[i] };
                    self.build.input(leaf, update.graph.shape(like), update.graph.dtype(like))
                }
                None => self.input(0, StepInput::Parameter(i), update.graph, like),
            });
        }
        if let Some(from) = from {
            self.build.variables.entry(Variable::Level(from)).or_insert_with(|| at.clone());
        }
        for (i, &like) in states.iter().enumerate() {
            at.push(self.input(0, StepInput::State(i), update.graph, like));
        }
        if from.is_none() {
            self.build.variables.insert(Variable::Begun(self.steps.level), at.clone());
        }
        at
    }

    /// Several losses at these parameters, and the mean of their gradients.
    fn evaluate(&mut self, step: usize, at: &[NodeId], losses: &[&Loss]) -> Result<Taken, GraphError> {
        let mut taken = Taken { values: Vec::new(), gradient: Vec::new() };
        for (evaluation, &loss) in losses.iter().enumerate() {
            let mut found = self.differentiate(step, evaluation, at, loss)?;
            let gradient = found.split_off(found.len() - at.len());
            taken.values.push(found);
            taken.gradient = match taken.gradient.len() {
                0 => gradient,
                _ => {
                    let pairs = taken.gradient.into_iter().zip(gradient);
                    pairs.map(|(sum, part)| self.added(sum, part)).collect::<Result<_, _>>()?
                }
            };
        }
        if losses.len() > 1 {
            let share = 1.0 / losses.len() as f64;
            let graph = &mut self.build.graph;
            let means = taken.gradient.into_iter().zip(at).map(|(sum, &parameter)| {
                let mean = graph.mul_scalar(sum, share)?;
                graph.cast(mean, graph.dtype(parameter))
            });
            taken.gradient = means.collect::<Result<_, _>>()?;
        }
        if let Some(group) = self.steps.group() {
            taken.gradient = summed_over_ranks(&mut self.build.graph, &taken.gradient, &group)?;
        }
        Ok(taken)
    }

    /// The sum in a type that is wide enough: in 16 bits it stands still once it is some hundred terms long.
    fn added(&mut self, sum: NodeId, part: NodeId) -> Result<NodeId, GraphError> {
        let graph = &mut self.build.graph;
        let wide = accumulator(graph.dtype(part));
        let (sum, part) = (graph.cast(sum, wide)?, graph.cast(part, wide)?);
        graph.add(sum, part)
    }

    /// One loss at these parameters, its metrics, and its gradient.
    fn differentiate(
        &mut self,
        step: usize,
        evaluation: usize,
        at: &[NodeId],
        loss: &Loss,
    ) -> Result<Vec<NodeId>, GraphError> {
        let known = self.differentiated.iter().position(|known| std::ptr::eq(known.loss, loss));
        let known = match known {
            Some(known) => self.differentiated.swap_remove(known),
            None => Differentiated::new(loss, self.steps.level)?,
        };
        let graph = &known.graph;
        let mut images = HashMap::new();
        for (input, &(source, node)) in loss.trace().inputs.iter().enumerate() {
            let of_loss = StepInput::Loss { evaluation, input };
            let image = match source {
                LossInput::Leaf { level, index } if level == self.steps.level => {
                    match self.steps.trainable.iter().position(|&parameter| parameter == index) {
                        Some(parameter) => at[parameter],
                        // Running statistics differ from step to step.
                        None if loss.moves_statistics() => self.input(step, of_loss, graph, node),
                        None => self.build.input(Input::Leaf { level, index }, graph.shape(node), graph.dtype(node)),
                    }
                }
                LossInput::Leaf { level, .. } | LossInput::Constant { level, .. } => {
                    self.build.input(Input::of_loss(level, source), graph.shape(node), graph.dtype(node))
                }
                LossInput::Batch { .. } => self.input(step, of_loss, graph, node),
            };
            images.insert(node, image);
        }
        for id in graph.ids() {
            if let Op::Random { draw, distribution } = graph.node(id).op {
                let of = StepInput::Draw { evaluation, draw, distribution };
                images.insert(id, self.input(step, of, graph, id));
            }
        }
        for (level, nodes) in loss.levels().filter(|&(level, _)| level != self.steps.level) {
            let nodes = nodes.iter().map(|node| images[node]).collect();
            self.build.variables.entry(Variable::Level(level)).or_insert(nodes);
        }
        let found = replay(&mut self.build.graph, graph, &known.outputs, &images);
        self.differentiated.push(known);
        found
    }
}

impl Differentiated {
    fn new(loss: &Loss, level: usize) -> Result<Self, GraphError> {
        let trace = loss.trace();
        let mut graph = trace.graph.clone();
        let gradient = gradient_nodes(&mut graph, trace.loss, [loss.parameters(level)].into_iter())?.concat();
        let metrics = trace.metrics.iter().map(|&(_, metric)| metric);
        let outputs = std::iter::once(trace.loss).chain(metrics).chain(gradient).collect();
        Ok(Differentiated { loss, graph, outputs })
    }
}

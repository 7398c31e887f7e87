//! One optimizer step of one level as a program, clipping before and projection after it included.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::rc::Rc;

use burn::tensor::DType;

use super::learned::LearnedNumbers;
use super::rates::LearningRates;
use crate::config::{Clip, LevelConfig};
use crate::derivatives::StepGraph;
use crate::execute::{Cost, Program, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, Vectorized, WithScalar, accumulator, for_each, jvp, vjp};
use crate::hypergradient::{NextStep, ProductError};
use crate::linalg::InnerProductSpace;
use crate::optimizer::{Optimizer, UpdateInputs, bound, norm_ball};
use crate::trace::Leaf;

/// The planned update of a level's parameters.
pub(super) struct Update {
    optimizer: Box<dyn Optimizer>,
    graph: Graph,
    /// All parameters, all gradients, all states, all tensors of learned numbers.
    tensors: Vec<NodeId>,
    /// The learning rate of each parameter, unless it is learned, and the optimizer's other numbers.
    numbers: Vec<NodeId>,
    /// All parameters after the step, all states after it.
    moved: Vec<NodeId>,
    program: Program,
    /// Products with the derivative of the step, for so many tangents at once.
    forward: RefCell<HashMap<usize, Program>>,
    reverse: OnceCell<Program>,
    parameters: usize,
    learned: LearnedNumbers,
    dtype: DType,
}

/// What an update is computed from.
#[derive(Clone)]
pub(super) struct Before {
    pub(super) parameters: Vector,
    pub(super) gradient: Vector,
    pub(super) states: Vec<Value>,
    /// The tensors of other levels that numbers of the optimizer are made of.
    pub(super) learned: Vec<Value>,
}

impl Update {
    /// Plans the update of these parameters. It is computed, and its states are kept, in 32 bits at least.
    pub(super) fn new(parameters: &[&Leaf], config: &LevelConfig, learned: LearnedNumbers) -> Result<Self, GraphError> {
        let optimizer = config.optimizer.build();
        let mut graph = Graph::new();
        let like = |graph: &mut Graph, leaf: &Leaf| graph.input(&leaf.value.shape(), leaf.value.dtype());
        let state = |graph: &mut Graph, leaf: &Leaf| graph.input(&leaf.value.shape(), accumulator(leaf.value.dtype()));
        let thetas: Vec<NodeId> = parameters.iter().map(|leaf| like(&mut graph, leaf)).collect();
        let gradients: Vec<NodeId> = parameters.iter().map(|leaf| like(&mut graph, leaf)).collect();
        let per_parameter = optimizer.states();
        let repeated = parameters.iter().flat_map(|leaf| std::iter::repeat_n(leaf, per_parameter));
        let states: Vec<NodeId> = repeated.map(|leaf| state(&mut graph, leaf)).collect();
        let dtype = accumulator(parameters[0].value.dtype());
        let sources: Vec<NodeId> = learned.like().map(|(shape, dtype)| graph.input(shape, dtype)).collect();
        let fixed_rates = if learned.learning_rate().is_some() { 0 } else { parameters.len() };
        let rates: Vec<NodeId> = (0..fixed_rates).map(|_| graph.input(&[1], dtype)).collect();
        let scalars: Vec<NodeId> = optimizer.scalars(1).iter().map(|_| graph.input(&[1], dtype)).collect();

        let wide = |graph: &mut Graph, nodes: &[NodeId]| -> Result<Vec<NodeId>, GraphError> {
            nodes.iter().map(|&node| graph.cast(node, accumulator(graph.dtype(node)))).collect()
        };
        let gradients_wide = wide(&mut graph, &gradients)?;
        let clipped = clip(&mut graph, &gradients_wide, config.clip)?;
        let (mut moved, mut kept) = (Vec::new(), Vec::new());
        for (i, (parameter, &gradient)) in wide(&mut graph, &thetas)?.into_iter().zip(&clipped).enumerate() {
            let states = &states[i * per_parameter..(i + 1) * per_parameter];
            let numbers = learned.of_parameter(&mut graph, &sources, i)?;
            let learning_rate = learned.learning_rate().map_or_else(|| rates[i], |number| numbers[number]);
            let (scalars, learned) = (&scalars, &numbers);
            let inputs = UpdateInputs { parameter, gradient, states, learning_rate, scalars, learned };
            let updated = optimizer.update(&mut graph, &inputs)?;
            moved.push(updated.parameter);
            kept.extend(updated.states);
        }
        if let Some(set) = &config.project {
            moved = set.project(&mut graph, &moved)?;
        }
        for (moved, &theta) in moved.iter_mut().zip(&thetas) {
            *moved = graph.cast(*moved, graph.dtype(theta))?;
        }
        moved.extend(kept);
        let tensors = [thetas, gradients, states, sources].concat();
        let numbers = [rates, scalars].concat();
        let inputs = [tensors.as_slice(), &numbers].concat();
        let program = Program::new(&graph, &inputs, &moved, &parameters[0].value.device());
        let (forward, reverse) = (RefCell::default(), OnceCell::new());
        let parameters = parameters.len();
        Ok(Update { optimizer, graph, tensors, numbers, moved, program, forward, reverse, parameters, learned, dtype })
    }

    /// How many parameters there are.
    pub(super) fn parameters(&self) -> usize {
        self.parameters
    }

    /// What one update takes.
    pub(super) fn cost(&self) -> Cost {
        self.program.cost()
    }

    /// The most bytes that one update holds at once.
    pub(super) fn peak(&self) -> usize {
        self.program.peak()
    }

    /// The numbers of the optimizer that other levels learn.
    pub(super) fn learned(&self) -> &LearnedNumbers {
        &self.learned
    }

    /// Zeros for every state of every parameter.
    pub(super) fn initial_states<'a>(&self, parameters: impl Iterator<Item = &'a Value>) -> Vec<Value> {
        let per_parameter = self.optimizer.states();
        let zeros =
            |parameter: &Value| Value::zeros(&parameter.shape(), accumulator(parameter.dtype()), self.program.device());
        parameters.flat_map(|parameter| std::iter::repeat_n(zeros(parameter), per_parameter)).collect()
    }

    /// The parameters and states after step number `step` (counted from 1). Memory of the arguments is reused.
    pub(super) fn run(&self, before: Before, rates: &LearningRates, step: u64) -> (Vector, Vec<Value>) {
        let inputs = before.into_tensors().chain(self.numbers(rates, step));
        let mut moved = self.program.run(inputs, 0);
        let states = moved.split_off(self.parameters);
        (Vector(moved), states)
    }

    /// The transpose of the step's derivative, times cotangents of the parameters and states after it: what it adds to the
    /// parameters, the gradient, the states and the learned numbers before it.
    pub(super) fn pull_back(
        &self,
        before: Before,
        rates: &LearningRates,
        step: u64,
        parameters: Vector,
        states: Vec<Value>,
    ) -> Result<Before, GraphError> {
        let program = match self.reverse.get() {
            Some(program) => program,
            None => {
                let program = self.reversed()?;
                self.reverse.get_or_init(|| program)
            }
        };
        let (states_count, learned_count) = (states.len(), before.learned.len());
        let inputs = before.into_tensors().chain(self.numbers(rates, step));
        let mut found = program.run(inputs.chain(parameters.0).chain(states), 0);
        let learned = found.split_off(found.len() - learned_count);
        let states = found.split_off(found.len() - states_count);
        let gradient = Vector(found.split_off(self.parameters));
        Ok(Before { parameters: Vector(found), gradient, states, learned })
    }

    /// The step's derivative, times `count` tangents of what it is taken from, which they have along a leading dimension: how
    /// the parameters and states after it move.
    pub(super) fn push_forward(
        &self,
        before: Before,
        rates: &LearningRates,
        step: u64,
        tangents: Before,
        count: usize,
    ) -> Result<(Vector, Vec<Value>), GraphError> {
        let mut programs = self.forward.borrow_mut();
        let program = match programs.entry(count) {
            Entry::Occupied(program) => program.into_mut(),
            Entry::Vacant(place) => place.insert(self.forwarded(count)?),
        };
        let inputs = before.into_tensors().chain(self.numbers(rates, step));
        let mut moved = program.run(inputs.chain(tangents.into_tensors()), 0);
        let states = moved.split_off(self.parameters);
        Ok((Vector(moved), states))
    }

    fn forwarded(&self, count: usize) -> Result<Program, GraphError> {
        let mut graph = self.graph.clone();
        let tangents = inputs_like(&mut graph, &self.tensors);
        let moves: Vec<(NodeId, NodeId)> = self.tensors.iter().copied().zip(tangents.iter().copied()).collect();
        let found = jvp(&mut graph, &self.moved, &moves)?;
        let pushed = found.into_iter().zip(&self.moved);
        let pushed: Vec<NodeId> = pushed.map(|(node, &of)| node.unwrap_or_else(|| graph.zeros_like(of))).collect();
        let shared = [self.tensors.as_slice(), &self.numbers].concat();
        let Vectorized { graph, inputs, outputs } = for_each(&graph, &shared, &tangents, &pushed, count)?;
        Ok(Program::new(&graph, &inputs, &outputs, self.program.device()))
    }

    fn reversed(&self) -> Result<Program, GraphError> {
        let mut graph = self.graph.clone();
        let cotangents = inputs_like(&mut graph, &self.moved);
        let outputs: Vec<(NodeId, NodeId)> = self.moved.iter().copied().zip(cotangents.iter().copied()).collect();
        let found = vjp(&mut graph, &outputs, &self.tensors)?;
        let pulled = found.into_iter().zip(&self.tensors);
        let pulled: Vec<NodeId> = pulled.map(|(node, &of)| node.unwrap_or_else(|| graph.zeros_like(of))).collect();
        let inputs = [self.tensors.as_slice(), &self.numbers, &cotangents].concat();
        Ok(Program::new(&graph, &inputs, &pulled, self.program.device()))
    }

    /// The step as a graph.
    pub(super) fn graph(&self) -> StepGraph<'_> {
        let (tensors, sources) = self.tensors.split_at(self.tensors.len() - self.learned.like().count());
        let learned = self.learned.inputs().zip(sources.iter().copied()).collect();
        let above = self.learned.levels();
        StepGraph { graph: &self.graph, tensors, numbers: &self.numbers, learned, above, moved: &self.moved }
    }

    /// The learning rate of each parameter, unless it is learned, and the optimizer's other numbers. Equal rates share one
    /// tensor.
    pub(super) fn numbers(&self, rates: &LearningRates, step: u64) -> impl Iterator<Item = Value> {
        let scalar = |number| Value::scalar(number, self.dtype, self.program.device());
        let mut numbers: Vec<Value> = Vec::with_capacity(rates.each.len());
        for (i, &rate) in rates.each.iter().enumerate() {
            let known = rates.each[..i].iter().position(|earlier| *earlier == rate);
            numbers.push(known.map_or_else(|| scalar(rate), |known| numbers[known].clone()));
        }
        numbers.extend(self.optimizer.scalars(step).into_iter().map(scalar));
        numbers.into_iter()
    }
}

/// A step that a level could take.
pub(super) struct ComingStep {
    pub(super) update: Rc<Update>,
    pub(super) before: Before,
    pub(super) rates: LearningRates,
    pub(super) number: u64,
}

impl NextStep for ComingStep {
    fn pull_back(&self, v: &Vector) -> Result<Vector, ProductError> {
        let states = Vector(self.before.states.clone()).zero().0;
        let pulled = self.update.pull_back(self.before.clone(), &self.rates, self.number, v.clone(), states)?;
        Ok(pulled.gradient.scaled(-1.0))
    }
}

impl fmt::Debug for ComingStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComingStep").field("number", &self.number).field("rates", &self.rates).finish_non_exhaustive()
    }
}

impl Before {
    fn into_tensors(self) -> impl Iterator<Item = Value> {
        self.parameters.0.into_iter().chain(self.gradient.0).chain(self.states).chain(self.learned)
    }
}

/// One input for each node, of its shape and type.
fn inputs_like(graph: &mut Graph, nodes: &[NodeId]) -> Vec<NodeId> {
    let like = |&node: &NodeId| {
        let (shape, dtype) = (graph.shape(node).to_vec(), graph.dtype(node));
        graph.input(&shape, dtype)
    };
    nodes.iter().map(like).collect()
}

/// Gradients limited by value, or all together by their common norm: `g · min(1, limit / ‖g‖)`.
fn clip(graph: &mut Graph, gradients: &[NodeId], clip: Option<Clip>) -> Result<Vec<NodeId>, GraphError> {
    match clip {
        None => Ok(gradients.to_vec()),
        Some(Clip::Norm(limit)) => norm_ball(graph, gradients, limit),
        Some(Clip::Value(limit)) => gradients
            .iter()
            .map(|&gradient| {
                let above = bound(graph, gradient, WithScalar::ClampMin, -limit)?;
                bound(graph, above, WithScalar::ClampMax, limit)
            })
            .collect(),
    }
}

//! One optimizer step of one level as a program, clipping before it, and projection and what else follows after it included.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use burn::tensor::DType;

use super::after_step::AfterStep;
use super::decay::WeightDecay;
use super::groups::Groups;
use super::learned::LearnedNumbers;
use super::rates::LearningRates;
use crate::config::{Clip, ProjectionConfig};
use crate::derivatives::{Decay, StepGraph};
use crate::execute::{Cost, Program, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, Vectorized, WithScalar, accumulator, for_each, jvp, vjp};
use crate::optimizer::{UpdateInputs, bound, norm_ball};
use crate::trace::Leaf;

/// The planned update of a level's parameters.
pub(crate) struct Update {
    pub(super) groups: Groups,
    pub(super) graph: Graph,
    /// All parameters, all gradients, all states, all tensors of learned numbers.
    pub(super) tensors: Vec<NodeId>,
    /// The learning rate of each parameter, unless it is learned, the optimizer's other numbers, and the step's row of learned
    /// ones.
    numbers: Vec<NodeId>,
    /// All parameters after the step, all states after it.
    pub(super) moved: Vec<NodeId>,
    program: Program,
    /// Products with the derivative of the step, for so many tangents at once.
    forward: RefCell<HashMap<usize, Program>>,
    reverse: OnceCell<Program>,
    pub(super) parameters: usize,
    pub(super) learned: LearnedNumbers,
    pub(super) after: Option<AfterStep>,
    pub(super) decay: Option<WeightDecay>,
    dtype: DType,
}

/// What an update is computed from.
#[derive(Clone)]
pub(crate) struct Before {
    pub(crate) parameters: Vector,
    pub(crate) gradient: Vector,
    pub(crate) states: Vec<Value>,
    /// The tensors that numbers of the optimizer are made of, and those that the function after the step reads.
    pub(crate) learned: Vec<Value>,
}

impl Update {
    /// Plans the update of these parameters. It is computed, and its states are kept, in 32 bits at least.
    pub(crate) fn new(
        parameters: &[&Leaf],
        groups: Groups,
        learned: LearnedNumbers,
        after: Option<AfterStep>,
    ) -> Result<Self, GraphError> {
        let mut graph = Graph::new();
        let like = |graph: &mut Graph, leaf: &Leaf| graph.input(&leaf.value.shape(), leaf.value.dtype());
        let state = |graph: &mut Graph, leaf: &Leaf| graph.input(&leaf.value.shape(), accumulator(leaf.value.dtype()));
        let thetas: Vec<NodeId> = parameters.iter().map(|leaf| like(&mut graph, leaf)).collect();
        let gradients: Vec<NodeId> = parameters.iter().map(|leaf| like(&mut graph, leaf)).collect();
        let places = || 0..parameters.len();
        let repeated = places().flat_map(|i| std::iter::repeat_n(parameters[i], groups.states(i).len()));
        let states: Vec<NodeId> = repeated.map(|leaf| state(&mut graph, leaf)).collect();
        let dtype = accumulator(parameters[0].value.dtype());
        let sources: Vec<NodeId> = learned.like().map(|(shape, dtype)| graph.input(shape, dtype)).collect();
        let mut number = || graph.input(&[1], dtype);
        let rate = |i: usize| learned.learning_rate(groups.number(i)).is_none();
        let rates: Vec<Option<NodeId>> = places().map(|i| rate(i).then(&mut number)).collect();
        let scalars_of = |i: usize| 0..groups.of(i).optimizer.scalars(1).len();
        let scalars: Vec<Vec<NodeId>> = places().map(|i| scalars_of(i).map(|_| number()).collect()).collect();
        let is_told = |i: usize| after.is_some() || groups.of(i).is_joint();
        let shares: Vec<Option<NodeId>> = places().map(|i| is_told(i).then(&mut number)).collect();

        let row = learned.differ_by_step().then(|| graph.input(&[1], DType::I64));

        let wide = |graph: &mut Graph, nodes: &[NodeId]| -> Result<Vec<NodeId>, GraphError> {
            nodes.iter().map(|&node| graph.cast(node, accumulator(graph.dtype(node)))).collect()
        };
        let gradients_wide = wide(&mut graph, &gradients)?;
        let mut clipped = gradients_wide.clone();
        for group in groups.iter() {
            group.put(clip(&mut graph, &group.of(&gradients_wide), group.clip)?, &mut clipped);
        }
        let (mut moved, mut kept) = (Vec::new(), Vec::new());
        for (i, (parameter, &gradient)) in wide(&mut graph, &thetas)?.into_iter().zip(&clipped).enumerate() {
            let (states, optimizer) = (&states[groups.states(i)], &*groups.of(i).optimizer);
            let (group, place) = (groups.number(i), groups.place(i));
            let numbers = learned.of_parameter(&mut graph, &sources, row, group, place)?;
            let learned_rate = learned.learning_rate(group).map(|number| numbers[number]);
            let learning_rate = rates[i].or(learned_rate).expect("a rate is a number, or learned");
            let (scalars, learned) = (&scalars[i], &numbers);
            let inputs = UpdateInputs { parameter, gradient, states, learning_rate, scalars, learned };
            let updated = optimizer.update(&mut graph, &inputs)?;
            inputs.check_updated(&graph, optimizer, &updated)?;
            moved.push(updated.parameter);
            kept.extend(updated.states);
        }
        for group in groups.iter() {
            let members = group.of(&moved);
            let projected = match &group.project {
                None => members,
                Some(ProjectionConfig::NormBall(ball)) => {
                    let shares: Vec<NodeId> = group.of(&shares).into_iter().flatten().collect();
                    norm_ball(&mut graph, &members, &shares, ball.radius)?
                }
                Some(set) => set.project(&mut graph, &members)?,
            };
            group.put(projected, &mut moved);
        }
        for (moved, &theta) in moved.iter_mut().zip(&thetas) {
            *moved = graph.cast(*moved, graph.dtype(theta))?;
        }
        if let Some(after) = &after {
            let moves: Vec<NodeId> = shares.iter().flatten().copied().collect();
            moved = after.apply(&mut graph, &moved, &thetas, &moves, &sources)?;
        }
        moved.extend(kept);
        let tensors = [thetas, gradients, states, sources].concat();
        let optional = |nodes: Vec<Option<NodeId>>| nodes.into_iter().flatten();
        let numbers: Vec<NodeId> =
            optional(rates).chain(scalars.into_iter().flatten()).chain(optional(shares)).chain(row).collect();
        let inputs = [tensors.as_slice(), &numbers].concat();
        let device = parameters[0].value.device();
        let program = Program::new(&graph, &inputs, &moved, &device);
        let decay = WeightDecay::new(parameters, &groups, &learned, &device)?;
        let (forward, reverse) = (RefCell::default(), OnceCell::new());
        let parameters = parameters.len();
        Ok(Update {
            groups,
            graph,
            tensors,
            numbers,
            moved,
            program,
            forward,
            reverse,
            parameters,
            learned,
            after,
            decay,
            dtype,
        })
    }

    /// In which groups the parameters are stepped.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// How many parameters there are.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters
    }

    /// What follows each step, if anything does.
    pub(crate) fn after_step(&self) -> Option<&AfterStep> {
        self.after.as_ref()
    }

    /// Whether what was compiled of this step serves the other one as well.
    pub(crate) fn is_compiled_as(&self, other: &Update) -> bool {
        self.graph == other.graph
    }

    /// What one update takes.
    pub(crate) fn cost(&self) -> Cost {
        self.program.cost()
    }

    /// The most bytes that one update holds at once.
    pub(crate) fn peak(&self) -> usize {
        self.program.peak()
    }

    /// The numbers of the optimizer that other levels learn.
    pub(crate) fn learned(&self) -> &LearnedNumbers {
        &self.learned
    }

    /// The penalty with which the loss is smallest where the steps come to rest, if there is one.
    pub(crate) fn decay(&self) -> Option<Decay<'_>> {
        self.decay.as_ref().map(|decay| decay.graph(&self.learned))
    }

    /// The gradient of that penalty at these parameters.
    pub(crate) fn decay_gradient(&self, parameters: &Vector, learned: Vec<Value>) -> Option<Vector> {
        self.decay.as_ref().map(|decay| decay.gradient(parameters, learned))
    }

    /// Zeros for every state of every parameter.
    pub(crate) fn initial_states<'a>(&self, parameters: impl Iterator<Item = &'a Value>) -> Vec<Value> {
        let zeros =
            |parameter: &Value| Value::zeros(&parameter.shape(), accumulator(parameter.dtype()), self.program.device());
        let count = |index: usize| self.groups.states(index).len();
        let states = |(index, parameter): (usize, &Value)| std::iter::repeat_n(zeros(parameter), count(index));
        parameters.enumerate().flat_map(states).collect()
    }

    /// The parameters and states after a step. Memory of the arguments is reused.
    pub(crate) fn run(&self, before: Before, rates: &LearningRates, moves: &[Option<u64>]) -> (Vector, Vec<Value>) {
        let stay: Vec<(usize, Value)> = self.still(moves).map(|at| (at, self.at(&before, at).clone())).collect();
        let inputs = before.into_tensors().chain(self.numbers(rates, moves));
        let mut moved = self.program.run(inputs, 0);
        stay.into_iter().for_each(|(at, value)| moved[at] = value);
        let states = moved.split_off(self.parameters);
        (Vector(moved), states)
    }

    /// Which of the tensors after a step are those before it: parameters that the step does not move, and their states.
    fn still(&self, moves: &[Option<u64>]) -> impl Iterator<Item = usize> {
        let parameters = self.parameters;
        let still: Vec<usize> = (0..parameters).filter(|&index| moves[index].is_none()).collect();
        let states = move |index: usize| self.groups.states(index).map(move |state| parameters + state);
        still.into_iter().flat_map(move |index| states(index).chain([index]))
    }

    /// The tensor before a step that has this place after it.
    fn at<'b>(&self, before: &'b Before, at: usize) -> &'b Value {
        before.parameters.0.get(at).unwrap_or_else(|| &before.states[at - self.parameters])
    }

    /// The transpose of the step's derivative, times cotangents of the parameters and states after it: what it adds to the
    /// parameters, the gradient, the states and the learned numbers before it.
    pub(crate) fn pull_back(
        &self,
        before: Before,
        rates: &LearningRates,
        moves: &[Option<u64>],
        cotangents: (Vector, Vec<Value>),
    ) -> Result<Before, GraphError> {
        let program = match self.reverse.get() {
            Some(program) => program,
            None => {
                let program = self.reversed()?;
                self.reverse.get_or_init(|| program)
            }
        };
        let (Vector(mut after), states) = cotangents;
        let (states_count, learned_count) = (states.len(), before.learned.len());
        after.extend(states);
        // What a step leaves alone has the cotangent that it has after it, and sends none to anything else. The function after the
        // step still reads it, and so do other parameters through that.
        let zeros = |like: &Value| Value::zeros(&like.shape(), like.dtype(), self.program.device());
        let mut still: Vec<(usize, Value)> = Vec::new();
        for at in self.still(moves) {
            let nothing = zeros(&after[at]);
            still.push((at, std::mem::replace(&mut after[at], nothing)));
        }
        let inputs = before.into_tensors().chain(self.numbers(rates, moves));
        let mut found = program.run(inputs.chain(after), 0);
        let learned = found.split_off(found.len() - learned_count);
        let mut states = found.split_off(found.len() - states_count);
        let mut gradient = Vector(found.split_off(self.parameters));
        for (at, cotangent) in still {
            match at.checked_sub(self.parameters) {
                Some(state) => states[state] = cotangent,
                None => {
                    gradient.0[at] = zeros(&gradient.0[at]);
                    let mut whole = Vector(vec![cotangent]);
                    if self.after.is_some() {
                        whole.add_scaled(1.0, &Vector(vec![found[at].clone()]));
                    }
                    found[at] = whole.0.remove(0);
                }
            }
        }
        Ok(Before { parameters: Vector(found), gradient, states, learned })
    }

    /// The step's derivative, times `count` tangents of what it is taken from, which they have along a leading dimension: how
    /// the parameters and states after it move.
    pub(crate) fn push_forward(
        &self,
        before: Before,
        rates: &LearningRates,
        moves: &[Option<u64>],
        tangents: Before,
        count: usize,
    ) -> Result<(Vector, Vec<Value>), GraphError> {
        let mut programs = self.forward.borrow_mut();
        let program = match programs.entry(count) {
            Entry::Occupied(program) => program.into_mut(),
            Entry::Vacant(place) => place.insert(self.forwarded(count)?),
        };
        let stay: Vec<(usize, Value)> = self.still(moves).map(|at| (at, self.at(&tangents, at).clone())).collect();
        let inputs = before.into_tensors().chain(self.numbers(rates, moves));
        let mut moved = program.run(inputs.chain(tangents.into_tensors()), 0);
        stay.into_iter().for_each(|(at, tangent)| moved[at] = tangent);
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
    pub(crate) fn graph(&self) -> StepGraph<'_> {
        let (tensors, sources) = self.tensors.split_at(self.tensors.len() - self.learned.like().count());
        let learned = self.learned.inputs().zip(sources.iter().copied()).collect();
        let above = self.learned.levels();
        let states = (0..self.parameters).map(|parameter| self.groups.states(parameter).len()).collect();
        StepGraph { graph: &self.graph, tensors, states, numbers: &self.numbers, learned, above, moved: &self.moved }
    }

    /// The learning rate of each parameter, unless it is learned, and its optimizer's other numbers; where parameters are
    /// projected together, or a function follows the step, 1 for those that are and 0 for the others. Equal numbers share one tensor. Last of all the row, where
    /// learned numbers differ by step.
    pub(crate) fn numbers(&self, rates: &LearningRates, moves: &[Option<u64>]) -> impl Iterator<Item = Value> {
        let optimizer = |index: usize| &self.groups.of(index).optimizer;
        let scalars = moves.iter().enumerate().flat_map(|(index, of)| optimizer(index).scalars(of.unwrap_or(1)));
        let is_told = |index: usize| self.after.is_some() || self.groups.of(index).is_joint();
        let joint = moves.iter().enumerate().filter(|&(index, _)| is_told(index));
        let shares = joint.map(|(_, moves)| f64::from(u8::from(moves.is_some())));
        let mut known: Vec<(f64, Value)> = Vec::new();
        let mut tensor = |number: f64| match known.iter().find(|(of, _)| of.to_bits() == number.to_bits()) {
            Some((_, tensor)) => tensor.clone(),
            None => {
                let tensor = Value::scalar(number, self.dtype, self.program.device());
                known.push((number, tensor.clone()));
                tensor
            }
        };
        let mut numbers: Vec<Value> =
            rates.each.iter().copied().chain(scalars).chain(shares).map(&mut tensor).collect();
        if self.learned.differ_by_step() {
            numbers.push(Value::scalar(rates.row as f64, DType::I64, self.program.device()));
        }
        numbers.into_iter()
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
        Some(Clip::Norm(limit)) => norm_ball(graph, gradients, &[], limit),
        Some(Clip::Value(limit)) => gradients
            .iter()
            .map(|&gradient| {
                let above = bound(graph, gradient, WithScalar::ClampMin, -limit)?;
                bound(graph, above, WithScalar::ClampMax, limit)
            })
            .collect(),
    }
}

//! The steps of several tasks, the losses after them and the mean of their gradients, as one program.
//!
//! A task is one round of steps of the levels below and one loss of the level above, on batches of its own. All tasks are
//! the same computation on other data, so it is written down once and vectorized: every kernel works on all tasks.

mod above;
mod found;

use std::collections::HashMap;
use std::rc::Rc;

use burn::tensor::Device;

use super::lagrangian::{Build, Input, StepInput};
use super::loss::{Loss, gradient_nodes};
use super::square_norm::{of_entries, square_norm};
use super::steps::{UnrolledSteps, unroll};
use crate::execute::{Cost, Origin, Program, ReadError, Unread, Value, Vector};
use crate::graph::{Graph, GraphError, Image, Node, NodeId, Op, accumulator, summed_over_ranks, vectorize};
use above::above;
pub use found::{LossFound, StepFound, TaskFound, TasksFound};

/// What one level below does in every task.
#[derive(Clone)]
pub struct TaskSteps<'a> {
    /// Its steps.
    pub steps: UnrolledSteps<'a>,
    /// Whether the numbers of a step differ from task to task.
    pub numbers_differ: bool,
    /// Whether the parameters that the steps begin at do.
    pub starts_differ: bool,
}

/// The planned tasks of one step.
pub struct Tasks {
    program: Program,
    /// What the program's inputs stand for; with the task, for what tasks do not share.
    inputs: Vec<(Input, Option<usize>, Node)>,
    count: usize,
    /// Names of what the loss above reports.
    upper: Rc<[Rc<str>]>,
    lower: Vec<Layout>,
    parameters: usize,
}

/// What is found for one level below.
struct Layout {
    /// For every step and every loss in it: names of what it reports.
    steps: Vec<Vec<Rc<[Rc<str>]>>>,
    parameters: usize,
    states: usize,
}

impl Tasks {
    /// Plans `count` tasks of `level`, whose loss after the steps of the levels below is `loss`.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub fn new(
        level: usize,
        loss: &Loss,
        lower: &[TaskSteps<'_>],
        count: usize,
        device: &Device,
    ) -> Result<Self, GraphError> {
        let mut build = Build::default();
        let unrolled = lower.iter().map(|lower| Ok((&lower.steps, unroll(&mut build, &lower.steps)?)));
        let unrolled = unrolled.collect::<Result<Vec<_>, GraphError>>()?;
        let above = above(&mut build, level, loss, &unrolled)?;
        let mut columns = above.values.clone();
        // Those that are formed of gradients, which are the same on all ranks.
        let mut is_whole = vec![false; columns.len()];
        for step in unrolled.iter().flat_map(|(_, unrolled)| &unrolled.taken) {
            columns.extend(step.values.iter().flatten());
            let dtype = accumulator(build.graph.dtype(above.values[0]));
            let square_norm = square_norm(&mut build.graph, &step.gradient, dtype)?;
            is_whole.resize(columns.len(), false);
            columns.push(square_norm);
            is_whole.push(true);
        }
        let reached = unrolled.iter().flat_map(|(_, unrolled)| unrolled.reached.iter().copied());
        let outputs: Vec<NodeId> = columns.iter().copied().chain(reached).collect();

        let mut together = Together { graph: Graph::new(), inputs: Vec::new(), images: HashMap::new(), count };
        for &(input, node) in &build.inputs {
            together.add(input, build.graph.node(node), node, lower)?;
        }
        let own: Vec<NodeId> =
            above.parameters.iter().filter_map(|parameter| together.images[parameter].shared()).collect();
        let Together { mut graph, inputs, images, .. } = together;
        let mut found = vectorize(&mut graph, &build.graph, &outputs, &images, count)?;
        let reached = found.split_off(columns.len());
        let mut columns: Vec<NodeId> =
            found.into_iter().map(|image| of_each(&mut graph, image, count)).collect::<Result<_, _>>()?;
        let mean = graph.sum_all(columns[0])?;
        let mean = graph.mul_scalar(mean, 1.0 / count as f64)?;
        let mut gradient = gradient_nodes(&mut graph, mean, [own.as_slice()].into_iter())?.concat();
        if let Some(group) = loss.group() {
            let shares =
                columns.iter_mut().zip(is_whole).filter_map(|(column, is_whole)| (!is_whole).then_some(column));
            let mut shares: Vec<&mut NodeId> = gradient.iter_mut().chain(shares).collect();
            let parts: Vec<NodeId> = shares.iter().map(|share| **share).collect();
            let sums = summed_over_ranks(&mut graph, &parts, &group)?;
            shares.iter_mut().zip(sums).for_each(|(share, sum)| **share = sum);
        }
        let status = status(&mut graph, &columns, &gradient)?;
        let last = reached.into_iter().map(|image| last(&mut graph, image)).collect::<Result<Vec<_>, _>>()?;
        let outputs = [&[status], gradient.as_slice(), &last].concat();
        let nodes: Vec<NodeId> = graph.inputs().to_vec();
        let program = Program::new(&graph, &nodes, &outputs, device);
        let names =
            |loss: &Loss| -> Rc<[Rc<str>]> { loss.trace().metrics.iter().map(|(name, _)| Rc::clone(name)).collect() };
        let layout = |lower: &TaskSteps<'_>| Layout {
            steps: lower.steps.losses.iter().map(|losses| losses.iter().map(|&loss| names(loss)).collect()).collect(),
            parameters: lower.steps.trainable.len(),
            states: lower.steps.update.moved.len() - lower.steps.trainable.len(),
        };
        let layouts = lower.iter().map(layout).collect();
        Ok(Tasks { program, inputs, count, upper: names(loss), lower: layouts, parameters: gradient.len() })
    }

    /// What the inputs of the program stand for, in order, with the task for what tasks do not share, and what they look
    /// like.
    pub fn inputs(&self) -> impl Iterator<Item = (Input, Option<usize>, &Node)> {
        self.inputs.iter().map(|(input, task, node)| (*input, *task, node))
    }

    /// About how many bytes the plan takes.
    pub(crate) fn bytes(&self) -> usize {
        self.program.bytes()
    }

    /// What all tasks take, and the bytes that they hold at once.
    pub fn cost(&self) -> (Cost, usize) {
        (self.program.cost(), self.program.peak())
    }

    /// Runs all tasks; reads some lists of other numbers in the same transfer.
    ///
    /// # Errors
    /// [`ReadError`] if the losses cannot be read back.
    pub(crate) fn run(
        &self,
        inputs: impl IntoIterator<Item = Value>,
        others: Vec<Vec<Unread>>,
    ) -> Result<TasksFound, ReadError> {
        // Draws are inputs, so that the seed means nothing here.
        let mut outputs = self.program.run(inputs, 0).into_iter();
        let status = outputs.next().map_or_else(|| Unread::Known(Vec::new()), Unread::OnDevice);
        let gradient = Vector(outputs.by_ref().take(self.parameters).collect());
        let mut reached: Vec<(Vector, Vec<Value>)> = Vec::with_capacity(self.lower.len());
        for lower in &self.lower {
            let parameters = Vector(outputs.by_ref().take(lower.parameters).collect());
            reached.push((parameters, outputs.by_ref().take(lower.states).collect()));
        }
        let all_reached = reached.iter().flat_map(|(parameters, states)| parameters.0.iter().chain(states));
        let lengths: Vec<usize> = others.iter().map(Vec::len).collect();
        let unread = [status, Unread::finiteness(all_reached)].into_iter().chain(others.into_iter().flatten());
        let mut read = Unread::read_all(unread.collect())?.into_iter();
        let [numbers, finiteness] = std::array::from_fn(|_| read.next().unwrap_or_default());
        let beside = lengths.into_iter().map(|length| read.by_ref().take(length).collect()).collect();
        let mut numbers = numbers.into_iter();
        let mut square_norm = numbers.next().unwrap_or(f64::NAN);
        if !square_norm.is_finite() {
            square_norm = of_entries([&gradient])?;
        }
        let tasks = (0..self.count).map(|_| self.task(&mut numbers)).collect();
        let finiteness = finiteness.iter().sum();
        Ok(TasksFound { gradient, square_norm, tasks, reached, finiteness, beside })
    }

    /// Where a number that is not finite comes from, on the same inputs.
    pub(crate) fn origin(&self, inputs: &[Value]) -> Result<Option<Origin>, ReadError> {
        self.program.origin(inputs, 0)
    }

    /// Takes the numbers of one task off the front.
    fn task(&self, numbers: &mut impl Iterator<Item = f64>) -> TaskFound {
        let upper = LossFound::take(&self.upper, numbers);
        let mut step = |losses: &Vec<Rc<[Rc<str>]>>| {
            let losses = losses.iter().map(|names| LossFound::take(names, numbers)).collect();
            StepFound { losses, square_norm: numbers.next().unwrap_or(f64::NAN) }
        };
        let lower = self.lower.iter().map(|lower| lower.steps.iter().map(&mut step).collect()).collect();
        TaskFound { upper, lower }
    }
}

/// The graph of all tasks while it is made.
struct Together {
    graph: Graph,
    inputs: Vec<(Input, Option<usize>, Node)>,
    /// What stands for the inputs of one task.
    images: HashMap<NodeId, Image>,
    count: usize,
}

impl Together {
    /// Adds an input: once if tasks share it, else once for each of them.
    fn add(&mut self, input: Input, like: &Node, node: NodeId, lower: &[TaskSteps<'_>]) -> Result<(), GraphError> {
        let any = |level: usize, differs: fn(&TaskSteps<'_>) -> bool| {
            lower.iter().any(|lower| lower.steps.level == level && differs(lower))
        };
        let is_shared = match input {
            Input::Leaf { .. } | Input::Constant { .. } | Input::Multiplier { .. } => true,
            Input::Step { of: StepInput::State(_), .. } => true,
            Input::Step { level, of: StepInput::Parameter(_), .. } => !any(level, |lower| lower.starts_differ),
            Input::Step { level, of: StepInput::Number(_), .. } => !any(level, |lower| lower.numbers_differ),
            Input::Step { .. } | Input::Batch { .. } | Input::Draw { .. } => false,
        };
        let image = if is_shared {
            self.inputs.push((input, None, like.clone()));
            Image::Shared(self.graph.input(&like.shape, like.dtype))
        } else {
            let one = [&[1], like.shape.as_slice()].concat();
            let mut parts = Vec::with_capacity(self.count);
            for task in 0..self.count {
                self.inputs.push((input, Some(task), like.clone()));
                let part = self.graph.input(&like.shape, like.dtype);
                parts.push(self.graph.reshape(part, &one)?);
            }
            Image::Each(self.graph.push(Op::Concat(0), &parts)?)
        };
        self.images.insert(node, image);
        Ok(())
    }
}

/// One number for each task, of shape `[count, 1]`.
fn of_each(graph: &mut Graph, image: Image, count: usize) -> Result<NodeId, GraphError> {
    match image {
        Image::Each(node) => graph.reshape(node, &[count, 1]),
        Image::Shared(node) => {
            let one = graph.reshape(node, &[1, 1])?;
            graph.expand(one, &[count, 1])
        }
    }
}

/// What the last task has.
fn last(graph: &mut Graph, image: Image) -> Result<NodeId, GraphError> {
    match image {
        Image::Shared(node) => Ok(node),
        Image::Each(node) => {
            let shape = graph.shape(node).to_vec();
            let last = graph.narrow(node, 0, shape[0] - 1, shape[0])?;
            graph.reshape(last, &shape[1..])
        }
    }
}

/// The sum of squares of the gradient, and all numbers of the first task, of the second, and so on: one transfer tells
/// them all.
fn status(graph: &mut Graph, columns: &[NodeId], gradient: &[NodeId]) -> Result<NodeId, GraphError> {
    let dtype = accumulator(graph.dtype(columns[0]));
    let total = square_norm(graph, gradient, dtype)?;
    let columns = columns.iter().map(|&column| graph.cast(column, dtype)).collect::<Result<Vec<_>, _>>()?;
    let rows = graph.push(Op::Concat(1), &columns)?;
    let numbers = graph.node(rows).elements();
    let rows = graph.reshape(rows, &[numbers])?;
    graph.push(Op::Concat(0), &[total, rows])
}

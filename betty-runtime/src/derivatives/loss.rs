//! A traced loss on a device, with its gradient programs.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use burn::tensor::{DType, Device};

use super::square_norm::{of_entries, square_norm};
use super::{LossError, Verification};
use crate::distributed::{DistributedError, Ranks};
use crate::execute::{Cost, Origin, Program, ReadError, Unread, Value, Vector, not_computed};
use crate::graph::{
    Graph, GraphError, NodeId, Op, accumulator, differentiated, products_as_given, products_in, reachable, vjp,
};
use crate::trace::{LossInput, Trace};

/// A traced loss with everything compiled from it so far.
pub struct Loss {
    pub(super) trace: Trace,
    pub(super) device: Device,
    /// For each level the loss reads: its trainable leaves.
    parameters: BTreeMap<usize, Vec<NodeId>>,
    /// For each of these whether a derivative leads to it.
    reached: BTreeMap<usize, Vec<bool>>,
    gradients: HashMap<Vec<usize>, Rc<GradientProgram>>,
    /// What is left of the condition, if the recording is the map of a fixed point.
    pub(super) gap: Option<Program>,
    /// What measures the terms of its gradient, once that was asked for.
    pub(super) measure: OnceCell<Verification>,
    /// Those that share its examples, if there are others.
    pub(super) ranks: Option<Rc<Ranks>>,
    /// Which value of a batch is the part of all examples that this rank has, if others have the rest.
    pub(super) part: Option<usize>,
    /// See [`sums`](Self::sums).
    pub(super) sums: bool,
}

/// Computes a loss and its gradients with respect to the parameters of some levels.
pub struct GradientProgram {
    program: Program,
    /// How many parameter tensors each level has.
    counts: Vec<usize>,
    /// Names of the metrics.
    metrics: Vec<Rc<str>>,
    /// The running statistics that the loss moves.
    advances: Vec<LossInput>,
    /// For each level that the loss is given: which of its parameters the gradients depend on.
    depends: BTreeMap<usize, Vec<bool>>,
    ranks: Option<Rc<Ranks>>,
    /// What is summed over ranks, if there are others.
    sent: Cost,
}

/// A loss and its gradients at one point.
pub struct Gradients {
    /// The loss.
    pub loss: f64,
    /// The sum of squares of all gradients: finite exactly if every gradient is.
    pub square_norm: f64,
    /// What the loss function reports beside the loss.
    pub metrics: Vec<(Rc<str>, f64)>,
    /// One gradient for each level asked for.
    pub of: Vec<Vector>,
    /// The running statistics that the loss moves, with their next values.
    pub advances: Vec<(LossInput, Value)>,
}

/// A loss and its gradients at one point, with numbers that nobody has read yet.
pub(crate) struct Launched {
    /// The loss, the sum of squares of all gradients, and the metrics.
    pub(crate) status: Unread,
    /// One gradient for each level asked for.
    pub(crate) of: Vec<Vector>,
    /// The running statistics that the loss moves, with their next values.
    pub(crate) advances: Vec<(LossInput, Value)>,
}

impl Loss {
    /// Prepares a trace for `device`. `trainable` lists, for a level, which of its leaves are parameters.
    pub fn new(trace: Trace, trainable: impl Fn(usize) -> Vec<usize>, device: &Device) -> Self {
        let mut parameters: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
        for (source, _) in &trace.inputs {
            if let LossInput::Leaf { level, .. } = *source {
                parameters.entry(level).or_insert_with(|| {
                    let leaves = trainable(level).into_iter();
                    leaves.filter_map(|index| trace.input(LossInput::Leaf { level, index })).collect()
                });
            }
        }
        let led = differentiated(&trace.graph, &[trace.loss]);
        let read = |nodes: &Vec<NodeId>| nodes.iter().map(|node| led[node.index()]).collect();
        let reached = parameters.iter().map(|(&level, nodes)| (level, read(nodes))).collect();
        let (gradients, measure) = (HashMap::new(), OnceCell::new());
        Loss {
            trace,
            device: device.clone(),
            parameters,
            reached,
            gradients,
            gap: None,
            measure,
            ranks: None,
            part: None,
            sums: false,
        }
    }

    /// The same loss with its matrix products and convolutions, and those of all its derivatives, computed in `dtype`; of the map of
    /// a fixed point, what it returns.
    ///
    /// What Burn's gradients are compared with stays in the types of the recording.
    ///
    /// # Errors
    /// [`GraphError`] if the loss cannot be built again.
    pub fn with_products_in(mut self, dtype: DType) -> Result<Self, GraphError> {
        let Trace { graph, loss, metrics, advances, outputs, .. } = &mut self.trace;
        let metric_nodes = metrics.iter_mut().map(|(_, node)| node);
        let advance_nodes = advances.iter_mut().map(|(_, node)| node);
        let places = std::iter::once(loss).chain(metric_nodes).chain(advance_nodes).chain(outputs);
        let mut places: Vec<&mut NodeId> = places.collect();
        let nodes: Vec<NodeId> = places.iter().map(|node| **node).collect();
        for (place, node) in places.iter_mut().zip(products_in(graph, &nodes, dtype)?) {
            **place = node;
        }
        Ok(self)
    }

    /// The gradient in every float leaf, with products as the loss computes them, and as they are in the recording.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub(crate) fn rounding(&self) -> Result<Program, GraphError> {
        let mut graph = self.trace.graph.clone();
        let leaves: Vec<NodeId> = self.trace.burn_gradients.iter().map(|&(input, _)| input).collect();
        let mut outputs = Vec::with_capacity(2 * leaves.len());
        for loss in [self.trace.loss, products_as_given(&mut graph, &[self.trace.loss])?[0]] {
            outputs.extend(gradient_nodes(&mut graph, loss, [leaves.as_slice()].into_iter())?.concat());
        }
        Ok(Program::new(&graph, &self.input_nodes(), &outputs, &self.device))
    }

    /// A type in which it computes and its device does not.
    pub(crate) fn not_computed(&self) -> Option<DType> {
        let Trace { graph, loss, metrics, advances, outputs, .. } = &self.trace;
        let others = metrics.iter().map(|(_, node)| node).chain(advances.iter().map(|(_, node)| node)).chain(outputs);
        let all: Vec<NodeId> = std::iter::once(loss).chain(others).copied().collect();
        not_computed(graph, &all, &self.device)
    }

    /// The traced loss.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The graph inputs that are parameters of `level`.
    pub fn parameters(&self, level: usize) -> &[NodeId] {
        self.parameters.get(&level).map_or(&[], Vec::as_slice)
    }

    /// The levels of whose modules the loss depends on any tensor.
    pub(crate) fn reads(&self) -> BTreeSet<usize> {
        let leaf = |&(source, node): &(LossInput, NodeId)| match source {
            LossInput::Leaf { level, .. } | LossInput::Constant { level, .. } => Some((level, node)),
            LossInput::Batch { .. } => None,
        };
        let needed = reachable(&self.trace.graph, &[self.trace.loss]);
        let leaves = self.trace.inputs.iter().filter_map(leaf);
        leaves.filter(|(_, node)| needed[node.index()]).map(|(level, _)| level).collect()
    }

    /// The levels on whose parameters the loss depends.
    pub(crate) fn depends_on(&self) -> BTreeSet<usize> {
        let needed = reachable(&self.trace.graph, &[self.trace.loss]);
        let is_needed = |nodes: &[NodeId]| nodes.iter().any(|node| needed[node.index()]);
        self.levels().filter(|(_, nodes)| is_needed(nodes)).map(|(level, _)| level).collect()
    }

    /// Whether derivatives of the loss leave out what it depends on because the user says so, or cannot be taken at all.
    pub(crate) fn holds_constant(&self) -> bool {
        let needed = reachable(&self.trace.graph, &[self.trace.loss]);
        let stops = |id: NodeId| needed[id.index()] && self.trace.graph.node(id).op == Op::StopGradient;
        !self.trace.differentiable || self.trace.graph.ids().any(stops)
    }

    /// The most bytes that one of its programs holds at once.
    pub(crate) fn peak(&self) -> usize {
        self.gradients.values().map(|of| of.program.peak()).max().unwrap_or(0)
    }

    /// About how many bytes the trace and its programs so far take.
    pub(crate) fn bytes(&self) -> usize {
        self.trace.graph.bytes() + self.gradients.values().map(|gradient| gradient.program.bytes()).sum::<usize>()
    }

    /// For each level that the loss is given, whether a derivative of the loss leads to each of the level's parameters. Where
    /// none does there is no gradient, as Burn has none there.
    pub fn reached(&self) -> impl Iterator<Item = (usize, &[bool])> {
        self.reached.iter().map(|(&level, read)| (level, read.as_slice()))
    }

    /// As [`reached`](Self::reached), of one level that the loss is given.
    pub fn reached_in(&self, level: usize) -> &[bool] {
        self.reached.get(&level).map_or(&[], Vec::as_slice)
    }

    /// Whether a forward pass moves running statistics.
    pub fn moves_statistics(&self) -> bool {
        !self.trace.advances.is_empty() || !self.trace.updates.is_empty()
    }

    /// The levels whose modules the loss is given, with the graph inputs that are their parameters.
    pub(super) fn levels(&self) -> impl Iterator<Item = (usize, &[NodeId])> {
        self.parameters.iter().map(|(&level, nodes)| (level, nodes.as_slice()))
    }

    /// The program for the loss and its gradients with respect to `levels`.
    ///
    /// # Errors
    /// [`GraphError`] if a derivative cannot be built.
    pub fn gradient(&mut self, levels: &[usize]) -> Result<Rc<GradientProgram>, GraphError> {
        if let Some(program) = self.gradients.get(levels) {
            return Ok(Rc::clone(program));
        }
        let program = Rc::new(self.build_gradient(levels)?);
        self.gradients.insert(levels.to_vec(), Rc::clone(&program));
        Ok(program)
    }

    fn build_gradient(&self, levels: &[usize]) -> Result<GradientProgram, GraphError> {
        let mut graph = self.trace.graph.clone();
        let gradients =
            gradient_nodes(&mut graph, self.trace.loss, levels.iter().map(|&level| self.parameters(level)))?;
        let flat: Vec<NodeId> = gradients.iter().flatten().copied().collect();
        let needed = reachable(&graph, &flat);
        let of_level = |nodes: &[NodeId]| nodes.iter().map(|node| needed[node.index()]).collect();
        let depends = self.levels().map(|(level, nodes)| (level, of_level(nodes))).collect();
        let (metrics, measured): (Vec<Rc<str>>, Vec<NodeId>) = self.trace.metrics.iter().cloned().unzip();
        let status = status(&mut graph, self.trace.loss, &flat, &measured)?;
        let (advances, moved): (Vec<LossInput>, Vec<NodeId>) = self.trace.advances.iter().copied().unzip();
        let numbers = flat.len();
        let outputs: Vec<NodeId> = std::iter::once(status).chain(flat).chain(moved).collect();
        let program = Program::new(&graph, &self.input_nodes(), &outputs, &self.device);
        let (counts, ranks) = (gradients.iter().map(Vec::len).collect(), self.ranks.clone());
        let sent = ranks.as_ref().map_or(Cost::NONE, |_| Cost::message(&graph, &outputs[..=numbers]));
        Ok(GradientProgram { program, counts, metrics, advances, depends, ranks, sent })
    }

    /// The graph's inputs, in order.
    pub(super) fn input_nodes(&self) -> Vec<NodeId> {
        self.trace.inputs.iter().map(|&(_, node)| node).collect()
    }
}

impl GradientProgram {
    /// Runs the program on all inputs of the loss, in the trace's order.
    ///
    /// # Errors
    /// [`LossError`] if the loss cannot be read back, or other ranks do not give their share.
    pub fn run(&self, inputs: impl IntoIterator<Item = Value>, seed: u64) -> Result<Gradients, LossError> {
        let Launched { status, of, advances } = self.launch(inputs, seed)?;
        let [status] = Unread::read([status])?;
        let metrics = self.metrics(&status);
        let (loss, mut square_norm) = (loss_in(&status), square_norm_in(&status));
        if loss.is_finite() && !square_norm.is_finite() {
            square_norm = of_entries(&of)?;
        }
        Ok(Gradients { loss, square_norm, metrics, of, advances })
    }

    /// As [`run`](Self::run), with numbers that are to be read.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn launch(&self, inputs: impl IntoIterator<Item = Value>, seed: u64) -> Result<Launched, LossError> {
        let mut outputs = self.program.run(inputs, seed).into_iter();
        let status = outputs.next().map_or_else(|| Unread::Known(Vec::new()), Unread::OnDevice);
        let of = self.counts.iter().map(|&count| Vector(outputs.by_ref().take(count).collect())).collect();
        let mut launched = Launched { status, of, advances: self.advances.iter().copied().zip(outputs).collect() };
        if let Some(ranks) = self.ranks.as_ref().filter(|ranks| !ranks.is_apart()) {
            launched.sum(ranks)?;
        }
        Ok(launched)
    }

    /// The seed that all ranks go by for what they draw together, such as directions; draws of losses are each rank's own.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn common(&self, seed: u64) -> Result<u64, DistributedError> {
        let Some(ranks) = self.ranks.as_ref().filter(|ranks| !ranks.is_apart()) else { return Ok(seed) };
        let mut bytes = seed.to_le_bytes();
        ranks.broadcast(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The metrics among the numbers of a status.
    pub(crate) fn metrics(&self, status: &[f64]) -> Vec<(Rc<str>, f64)> {
        self.metrics.iter().cloned().zip(status.iter().skip(2).copied().chain(std::iter::repeat(f64::NAN))).collect()
    }

    /// Where a loss or gradient that is not finite comes from, on the same inputs.
    pub(crate) fn origin(&self, inputs: &[Value], seed: u64) -> Result<Option<Origin>, ReadError> {
        self.program.origin(inputs, seed)
    }

    /// The gradients alone, on the same inputs: nothing is read from the device, if there are no other ranks.
    ///
    /// # Errors
    /// [`DistributedError`] if other ranks do not give their share.
    pub fn gradients(
        &self,
        inputs: impl IntoIterator<Item = Value>,
        seed: u64,
    ) -> Result<Vec<Vector>, DistributedError> {
        let mut outputs = self.program.run(inputs, seed).into_iter().skip(1);
        let mut of: Vec<Vector> =
            self.counts.iter().map(|&count| Vector(outputs.by_ref().take(count).collect())).collect();
        if let Some(ranks) = &self.ranks {
            ranks.sum(&mut of, &mut [])?;
        }
        Ok(of)
    }

    /// The levels whose parameters move any of the gradients, be it without a derivative.
    pub fn depends_on(&self) -> impl Iterator<Item = usize> {
        self.depends.iter().filter(|(_, moving)| moving.contains(&true)).map(|(&level, _)| level)
    }

    /// For each level that the loss is given, which of its parameters move any of the gradients, be it without a derivative.
    pub(crate) fn moved_by(&self) -> impl Iterator<Item = (usize, &[bool])> {
        self.depends.iter().map(|(&level, moving)| (level, moving.as_slice()))
    }

    /// What one run takes, with what is summed over ranks.
    pub fn cost(&self) -> Cost {
        self.program.cost() + self.sent
    }

    /// The planned program.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl Launched {
    /// Sums everything over ranks; the square of the norm is that of the sum.
    fn sum(&mut self, ranks: &Ranks) -> Result<(), LossError> {
        let [mut status] = Unread::read([self.status.clone()])?;
        ranks.sum(&mut self.of, &mut status)?;
        let all = self.of.iter().flat_map(|gradient| gradient.0.iter().cloned()).collect();
        let [square] = Unread::read([Unread::square_norm(&Vector(all))])?;
        if let (Some(place), Some(&square)) = (status.get_mut(1), square.first()) {
            *place = square;
        }
        self.status = Unread::Known(status);
        Ok(())
    }
}

/// The loss among the numbers of a status.
pub(crate) fn loss_in(status: &[f64]) -> f64 {
    status.first().copied().unwrap_or(f64::NAN)
}

/// The sum of squares of all gradients among the numbers of a status.
pub(crate) fn square_norm_in(status: &[f64]) -> f64 {
    status.get(1).copied().unwrap_or(f64::NAN)
}

/// Adds the gradients of `loss` with respect to several groups of nodes; zeros where it does not depend on a node.
pub(super) fn gradient_nodes<'a>(
    graph: &mut Graph,
    loss: NodeId,
    groups: impl Iterator<Item = &'a [NodeId]>,
) -> Result<Vec<Vec<NodeId>>, GraphError> {
    let groups: Vec<&[NodeId]> = groups.collect();
    let all: Vec<NodeId> = groups.iter().flat_map(|group| group.iter().copied()).collect();
    let seed = graph.full_like(loss, 1.0);
    let mut found = vjp(graph, &[(loss, seed)], &all)?.into_iter();
    let mut gradients = Vec::with_capacity(groups.len());
    for group in groups {
        let of_group = group.iter().zip(found.by_ref());
        gradients.push(of_group.map(|(&node, gradient)| gradient.unwrap_or_else(|| graph.zeros_like(node))).collect());
    }
    Ok(gradients)
}

/// The loss, the sum of squares of all gradients and the metrics in one tensor: one transfer tells them all.
fn status(graph: &mut Graph, loss: NodeId, gradients: &[NodeId], metrics: &[NodeId]) -> Result<NodeId, GraphError> {
    let dtype = accumulator(graph.dtype(loss));
    let loss = graph.cast(loss, dtype)?;
    let total = square_norm(graph, gradients, dtype)?;
    let mut numbers = vec![graph.reshape(loss, &[1])?, total];
    for &metric in metrics {
        numbers.push(graph.cast(metric, dtype)?);
    }
    graph.push(Op::Concat(0), &numbers)
}

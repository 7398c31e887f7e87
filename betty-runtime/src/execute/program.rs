//! Planning a graph into a list of kernels with known lifetimes, and running it.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use burn::tensor::{Device, DispatchTensor};
use burn_dispatch::DispatchDevice;
use rayon::prelude::*;

use super::chain::{Group, Stage, chained, stages};
use super::cost::{self, Cost};
use super::kernel::{Kernel, Run, product};
use super::launched;
use super::stages::{Instruction, SMALL, staged};
use super::stored::Stored;
use super::value::{Value, uploaded};
use crate::graph::{Graph, NodeId, Op, Scalar, Unary, lowered, reachable};
use crate::panic;

/// Is shown the slot and the value of every result.
type See<'a> = &'a mut dyn FnMut(usize, &DispatchTensor);

/// A planned graph: what to run, in which order, and when each value dies.
#[derive(Debug)]
pub struct Program {
    device: Device,
    stored: Stored,
    instructions: Vec<Instruction>,
    /// What runs at once, one after the other.
    stages: Vec<Stage>,
    slots: usize,
    /// Slot of each program input, or `None` if nothing needs it.
    inputs: Vec<Option<usize>>,
    constants: Vec<(usize, Value)>,
    outputs: Vec<usize>,
    cost: Cost,
    peak: usize,
}

impl Program {
    /// Plans the computation of `outputs` from `inputs`, which may be any nodes; everything behind them is cut off.
    ///
    /// Host data of the graph are uploaded once, here.
    pub fn new(graph: &Graph, inputs: &[NodeId], outputs: &[NodeId], device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let stored = Stored::on(&device);
        Self::storing(graph, inputs, outputs, device, stored)
    }

    /// As [`new`](Self::new), with the types that the device has for masks and positions.
    pub(super) fn storing(
        graph: &Graph,
        inputs: &[NodeId],
        outputs: &[NodeId],
        device: Device,
        stored: Stored,
    ) -> Self {
        let (graph, outputs) = expanded(graph, inputs, outputs);
        let (graph, outputs) = (graph.as_ref(), outputs.as_ref());
        let needed = needed(graph, inputs, outputs);
        let mut slot = vec![usize::MAX; graph.len()];
        let mut slots = 0;
        let mut assign = |node: NodeId| {
            if slot[node.index()] == usize::MAX {
                slot[node.index()] = slots;
                slots += 1;
            }
            slot[node.index()]
        };
        let input_slots: Vec<Option<usize>> =
            inputs.iter().map(|&input| needed[input.index()].then(|| assign(input))).collect();
        let mut constants = Vec::new();
        let mut instructions: Vec<Instruction> = Vec::new();
        for node in graph.ids().filter(|id| needed[id.index()] && !inputs.contains(id)) {
            match &graph.node(node).op {
                Op::Literal(index) => {
                    let data = stored.data(graph.literals()[*index].clone());
                    let value = Value(uploaded(data, device.as_dispatch()));
                    constants.push((assign(node), value));
                }
                _ => {
                    let (kernel, operands) = lower(graph, node, inputs);
                    let inputs: Vec<usize> = operands.iter().map(|&operand| assign(operand)).collect();
                    let last = vec![false; inputs.len()];
                    instructions.push(Instruction { kernel, inputs, last, output: assign(node) });
                }
            }
        }
        let outputs: Vec<usize> = outputs.iter().map(|&output| assign(output)).collect();
        let mut nodes = vec![None; slots];
        graph.ids().filter(|id| slot[id.index()] != usize::MAX).for_each(|id| nodes[slot[id.index()]] = Some(id));
        let is_host = matches!(device.as_dispatch(), DispatchDevice::Flex(_));
        let (instructions, counts) = staged(drop_unused(instructions, &outputs, slots), |instruction| {
            let product = nodes[instruction.output].filter(|&node| is_host && graph.node(node).op == Op::MatMul);
            product.is_some_and(|node| SMALL.contains(&cost::of(graph, node).operations))
        });
        let (instructions, groups) = match is_host {
            true => chained(instructions, &counts, slots),
            false => (instructions, counts.into_iter().map(Group::Kernels).collect()),
        };
        let instructions = mark_last_uses(instructions, &outputs, slots);
        let stages = stages(groups, &instructions);
        let size = |slot: usize| nodes[slot].map_or(0, |node| cost::size(graph, node));
        let cost = instructions.iter().filter_map(|instruction| nodes[instruction.output]);
        let cost = cost.fold(Cost::NONE, |sum, node| sum + cost::of(graph, node));
        let inputs = input_slots;
        let mut program =
            Program { device, stored, instructions, stages, slots, inputs, constants, outputs, cost, peak: 0 };
        program.peak = program.held(size);
        program
    }

    /// Runs the program. Inputs that are not shared elsewhere are overwritten in place where possible.
    ///
    /// `seed` decides every random draw. Inputs come in the order given when planning, with the shapes and types of their
    /// nodes.
    ///
    /// # Panics
    /// When inputs that are needed are missing, or Burn finds that their shapes do not fit.
    pub fn run(&self, inputs: impl IntoIterator<Item = Value>, seed: u64) -> Vec<Value> {
        self.run_seeing(inputs, seed, None)
    }

    /// As [`run`](Self::run), one kernel after the other if there is somebody who is shown results.
    pub(super) fn run_seeing(
        &self,
        inputs: impl IntoIterator<Item = Value>,
        seed: u64,
        mut see: Option<See<'_>>,
    ) -> Vec<Value> {
        let mut slots: Vec<Option<Value>> = vec![None; self.slots];
        for (slot, value) in self.inputs.iter().zip(inputs) {
            if let Some(slot) = slot {
                slots[*slot] = Some(value);
            }
        }
        for (slot, value) in &self.constants {
            slots[*slot] = Some(value.clone());
        }
        let run = Run { device: self.device.as_dispatch(), stored: self.stored, seed };
        let (mut operands, mut results) = (Vec::with_capacity(3), Vec::with_capacity(1));
        let current = Cell::new(0);
        let compute = || {
            for (members, stage) in self.staged() {
                current.set(members.start);
                let together = match stage {
                    Stage::Chain(chain) if see.is_none() && chain.run(&mut slots) => continue,
                    Stage::Chain(_) => 1,
                    Stage::Kernels(count) => *count,
                };
                for first in members.step_by(together) {
                    current.set(first);
                    let together = &self.instructions[first..first + together];
                    for instruction in together {
                        operands.extend(instruction.inputs.iter().zip(&instruction.last).map(|(&slot, &last)| {
                            let value = if last { slots[slot].take() } else { slots[slot].clone() };
                            value.expect("a value lives until its last use").0
                        }));
                    }
                    match together {
                        [instruction] => results.push(run.execute(&instruction.kernel, &mut operands)),
                        _ => side_by_side(&mut operands, &mut results),
                    }
                    for (instruction, result) in together.iter().zip(results.drain(..)) {
                        if let Some(see) = &mut see {
                            see(instruction.output, &result);
                        }
                        slots[instruction.output] = Some(Value(result));
                    }
                    operands.clear();
                }
            }
        };
        launched::count(self.cost);
        // Burn reports what it cannot compute by a panic, which says nothing of the operation.
        panic::named(compute, || self.instructions[current.get()].kernel.to_string());
        let outputs = self.outputs.iter().map(|&slot| slots[slot].clone());
        outputs.map(|value| value.expect("an output is computed or given")).collect()
    }

    /// How many values there are.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// The slot of each input, where it is needed.
    pub(super) fn input_slots(&self) -> impl Iterator<Item = Option<usize>> {
        self.inputs.iter().copied()
    }

    /// The slot of each output.
    pub(super) fn output_slots(&self) -> &[usize] {
        &self.outputs
    }

    /// The kernel that computes the value of a slot, and the slots that it reads.
    pub(super) fn maker(&self, slot: usize) -> Option<(&Kernel, &[usize])> {
        let made = self.instructions.iter().find(|instruction| instruction.output == slot);
        made.map(|instruction| (&instruction.kernel, instruction.inputs.as_slice()))
    }

    /// The device the program runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How many kernels one run computes.
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// How often one run goes over memory: once for each kernel that is no view, or for all those of a chain together.
    pub fn passes(&self) -> usize {
        let chains = self.stages.iter().filter(|stage| matches!(stage, Stage::Chain(_)));
        let saved: usize = chains.map(|chain| chain.count() - 1).sum();
        self.cost.kernels as usize - saved
    }

    /// The stages, with the numbers of their instructions.
    fn staged(&self) -> impl Iterator<Item = (Range<usize>, &Stage)> {
        self.stages.iter().scan(0, |first, stage| {
            let start = *first;
            *first += stage.count();
            Some((start..*first, stage))
        })
    }

    /// What one run takes.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The most bytes that one run holds at once, inputs included. A view counts as a copy, and what is overwritten in place
    /// as two values, so this is an upper bound.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// About how many bytes the plan takes, constants on the device included.
    pub(crate) fn bytes(&self) -> usize {
        let constant = |value: &Value| value.shape().iter().product::<usize>() * value.dtype().size();
        let constants: usize = self.constants.iter().map(|(_, value)| constant(value)).sum();
        self.instructions.len() * 2 * size_of::<Instruction>() + constants
    }

    /// The most bytes alive at once, given those of the value of a slot.
    fn held(&self, size: impl Fn(usize) -> usize) -> usize {
        let mut alive: usize = self.inputs.iter().flatten().map(|&slot| size(slot)).sum();
        let mut peak = alive;
        for (members, stage) in self.staged() {
            if let Stage::Chain(chain) = stage {
                alive += chain.outputs().iter().map(|&slot| size(slot)).sum::<usize>();
                peak = peak.max(alive);
                alive -= chain.ends().map(&size).sum::<usize>().min(alive);
            } else {
                for member in &self.instructions[members] {
                    alive += size(member.output);
                    peak = peak.max(alive);
                    let dead = member.inputs.iter().zip(&member.last).filter(|(_, last)| **last);
                    alive -= dead.map(|(&slot, _)| size(slot)).sum::<usize>().min(alive);
                }
            }
        }
        peak
    }

    /// Whether the program computes nothing.
    pub fn is_empty(&self) -> bool {
        self.instructions.is_empty()
    }
}

/// The graph with every product that is needed in the type of its operands, and with products of a batch and one matrix as one.
fn expanded<'a>(graph: &'a Graph, inputs: &[NodeId], outputs: &'a [NodeId]) -> (Cow<'a, Graph>, Cow<'a, [NodeId]>) {
    let needed = needed(graph, inputs, outputs);
    let is_product = |id: NodeId| {
        let node = graph.node(id);
        matches!(node.op, Op::InType(..)) || node.op == Op::MatMul && node.shape.len() > 2
    };
    if !graph.ids().any(|id| needed[id.index()] && is_product(id) && !inputs.contains(&id)) {
        return (Cow::Borrowed(graph), Cow::Borrowed(outputs));
    }
    let mut graph = graph.clone();
    let outputs = lowered(&mut graph, outputs, inputs).expect("casts and rows of a batch fit wherever a product did");
    (Cow::Owned(graph), Cow::Owned(outputs))
}

/// What `outputs` need, not looking behind `inputs`.
fn needed(graph: &Graph, inputs: &[NodeId], outputs: &[NodeId]) -> Vec<bool> {
    if inputs.iter().all(|&input| matches!(graph.node(input).op, Op::Input(_))) {
        return reachable(graph, outputs);
    }
    let mut needed = vec![false; graph.len()];
    for output in outputs {
        needed[output.index()] = true;
    }
    let given: std::collections::HashSet<NodeId> = inputs.iter().copied().collect();
    for id in graph.ids().rev() {
        if needed[id.index()] && !given.contains(&id) {
            for input in &graph.node(id).inputs {
                needed[input.index()] = true;
            }
        }
    }
    needed
}

/// The kernel for a node, with constants folded into it where the backend has a shorter form; nothing behind what is `given` is
/// there.
fn lower(graph: &Graph, id: NodeId, given: &[NodeId]) -> (Kernel, Vec<NodeId>) {
    let node = graph.node(id);
    let filled = |x: NodeId| match graph.node(x).op {
        Op::Full(value) => Some(value),
        _ => None,
    };
    match node.op {
        Op::Where => {
            let (mask, x, y) = (node.inputs[0], node.inputs[1], node.inputs[2]);
            if let Some(value) = filled(x) {
                return (Kernel::MaskFill(value), vec![y, mask]);
            }
            if let (Some(value), Op::Unary(Unary::Not), false) =
                (filled(y), &graph.node(mask).op, given.contains(&mask))
            {
                return (Kernel::MaskFill(value), vec![x, graph.node(mask).inputs[0]]);
            }
        }
        Op::CompareScalar(relation, Scalar::Bool(_)) if graph.dtype(node.inputs[0]).is_bool() => {
            return (
                Kernel::CompareBool(relation, matches!(node.op, Op::CompareScalar(_, Scalar::Bool(true)))),
                node.inputs.clone(),
            );
        }
        _ => {}
    }
    (Kernel::node(node), node.inputs.clone())
}

/// Appends the products of these pairs of operands, each computed by a thread of its own if there are as many.
fn side_by_side(operands: &mut Vec<DispatchTensor>, results: &mut Vec<DispatchTensor>) {
    let mut pairs = Vec::with_capacity(operands.len() / 2);
    let mut operands = operands.drain(..);
    while let (Some(x), Some(y)) = (operands.next(), operands.next()) {
        pairs.push((x, y));
    }
    results.par_extend(pairs.into_par_iter().map(|(x, y)| product(x, y)));
}

/// Folding constants into kernels can leave nodes without a reader.
fn drop_unused(instructions: Vec<Instruction>, outputs: &[usize], slots: usize) -> Vec<Instruction> {
    let mut read = vec![false; slots];
    for &output in outputs {
        read[output] = true;
    }
    let mut kept: Vec<Instruction> = Vec::with_capacity(instructions.len());
    for instruction in instructions.into_iter().rev() {
        if read[instruction.output] {
            for &input in &instruction.inputs {
                read[input] = true;
            }
            kept.push(instruction);
        }
    }
    kept.reverse();
    kept
}

fn mark_last_uses(mut instructions: Vec<Instruction>, outputs: &[usize], slots: usize) -> Vec<Instruction> {
    let mut read_later = vec![false; slots];
    for &output in outputs {
        read_later[output] = true;
    }
    for instruction in instructions.iter_mut().rev() {
        for i in (0..instruction.inputs.len()).rev() {
            let slot = instruction.inputs[i];
            instruction.last[i] = !read_later[slot];
            read_later[slot] = true;
        }
    }
    instructions
}

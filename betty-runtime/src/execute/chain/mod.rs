//! Operations entry by entry that follow one another, in one pass over host memory.
//!
//! Between two products of a network stand scales, shifts, masks and their derivatives, each of which reads and writes a whole tensor.
//! On the CPU they are computed tile by tile instead, all of them for one tile before the next, and what nobody outside reads is never
//! written to memory. Numbers are the same bits as one by one.

mod planned;
#[cfg(test)]
mod tests;

use betty_kernels::chain::{self, Input, Step, Value as Place};
use burn::tensor::{DType, DispatchTensor, TensorData};
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps as _;
use burn_dispatch::{BackendTensor, Dispatch, DispatchTensorKind};

use super::host::Plain;
use super::kernel::{Kernel, step};
use super::stages::Instruction;
use super::value::Value;

pub(super) use planned::{Group, chained};

/// Copies a view of which a dimension runs backwards, also for those who read it later: the plan counts a view as a copy.
fn turn(value: &mut Option<Value>) {
    if let Some(Value(tensor)) = value
        && let DispatchTensorKind::Flex(BackendTensor::Float(x)) = &mut tensor.kind
        && x.layout().strides().iter().any(|&stride| stride < 0)
    {
        *x = x.to_contiguous();
    }
}

/// Kernels that run at once.
#[derive(Debug)]
pub(super) enum Stage {
    /// So many, each by itself, side by side.
    Kernels(usize),
    /// All of a chain.
    Chain(Box<Chain>),
}

impl Stage {
    /// How many kernels it has.
    pub(super) fn count(&self) -> usize {
        match self {
            Stage::Kernels(count) => *count,
            Stage::Chain(chain) => chain.members,
        }
    }
}

/// The stages that these groups are, of kernels in the order in which they run, whose last uses are marked.
pub(super) fn stages(groups: Vec<Group>, instructions: &[Instruction]) -> Vec<Stage> {
    let mut rest = instructions;
    let stage = |group| match group {
        Group::Kernels(count) => {
            rest = &rest[count..];
            Stage::Kernels(count)
        }
        Group::Chain(count) => {
            let (members, later) = rest.split_at(count);
            rest = later;
            Stage::Chain(Box::new(Chain::of(members).expect("a chain was made of what can be steps of one")))
        }
    };
    groups.into_iter().map(stage).collect()
}

/// A planned chain.
#[derive(Debug)]
pub(super) struct Chain {
    /// How many kernels it is.
    members: usize,
    kernel: chain::Chain,
    shape: Vec<usize>,
    dtype: DType,
    /// The slots that it reads, and whether nobody reads them again.
    inputs: Vec<(usize, bool)>,
    /// The slots of what others read.
    outputs: Vec<usize>,
}

impl Chain {
    /// The chain of these kernels, whose uses are marked.
    fn of(members: &[Instruction]) -> Option<Self> {
        let made: Vec<usize> = members.iter().map(|member| member.output).collect();
        let mut inputs: Vec<(usize, bool)> = Vec::new();
        let mut is_inside = vec![false; made.len()];
        for (&slot, &last) in members.iter().flat_map(|member| member.inputs.iter().zip(&member.last)) {
            if let Some(member) = made.iter().position(|&output| output == slot) {
                is_inside[member] |= last;
            } else if let Some((_, is_last)) = inputs.iter_mut().find(|(known, _)| *known == slot) {
                *is_last |= last;
            } else {
                inputs.push((slot, last));
            }
        }
        let value = |slot: &usize| {
            let given = inputs.iter().position(|(input, _)| input == slot);
            given.or_else(|| made.iter().position(|output| output == slot).map(|member| inputs.len() + member))
        };
        let of = |member: &Instruction| {
            let values: Vec<Place> = member.inputs.iter().map(value).collect::<Option<_>>()?;
            let Kernel::Node { op, .. } = &member.kernel else { return None };
            step(op, &values)
        };
        let steps: Vec<Step> = members.iter().map(of).collect::<Option<_>>()?;
        let Kernel::Node { shape, dtype, .. } = &members.first()?.kernel else { return None };
        let leaving = || (0..made.len()).filter(|&member| !is_inside[member]);
        let results = leaving().map(|member| inputs.len() + member).collect();
        let outputs = leaving().map(|member| made[member]).collect();
        let kernel = chain::Chain::new(inputs.len(), steps, results);
        Some(Chain { members: members.len(), kernel, shape: shape.clone(), dtype: *dtype, inputs, outputs })
    }

    /// The slots that nobody reads again.
    pub(super) fn ends(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().filter(|(_, last)| *last).map(|&(slot, _)| slot)
    }

    /// The slots that it writes.
    pub(super) fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Runs it; false, with nothing changed, if a tensor is not as it lies in host memory.
    pub(super) fn run(&self, slots: &mut [Option<Value>]) -> bool {
        let fits = |&(slot, _): &(usize, bool)| {
            slots[slot].as_ref().is_some_and(|value| match &value.0.kind {
                DispatchTensorKind::Flex(BackendTensor::Float(x)) => {
                    x.dtype() == self.dtype && x.layout().shape().as_slice() == self.shape
                }
                _ => false,
            })
        };
        if !self.inputs.iter().all(fits) {
            return false;
        }
        self.inputs.iter().for_each(|&(slot, _)| turn(&mut slots[slot]));
        let take = |&(slot, last): &(usize, bool)| {
            let value = if last { slots[slot].take() } else { slots[slot].clone() };
            value.expect("a value lives until its last use").0
        };
        let operands: Vec<DispatchTensor> = self.inputs.iter().map(take).collect();
        let results = match self.dtype {
            DType::F64 => self.results::<f64>(operands),
            _ => self.results::<f32>(operands),
        };
        for (&slot, result) in self.outputs.iter().zip(results) {
            slots[slot] = Some(Value(result));
        }
        true
    }

    fn results<T: Plain>(&self, mut operands: Vec<DispatchTensor>) -> Vec<DispatchTensor> {
        let over = self.replaced::<T>(&mut operands);
        let mut outputs: Vec<Option<&mut [T]>> = Vec::new();
        outputs.resize_with(over.len(), || None);
        let mut inputs = Vec::with_capacity(operands.len());
        for (number, operand) in operands.iter_mut().enumerate() {
            let output = over.iter().position(|&over| over == Some(number));
            inputs.push(match output {
                Some(output) => {
                    outputs[output] = T::whole(operand);
                    Input::Output(output)
                }
                None => T::input(operand),
            });
        }
        let mut fresh = self.kernel.run(&self.shape, &inputs, outputs).into_iter();
        let device = operands[0].device();
        let result = |over: Option<usize>| match over {
            Some(number) => operands[number].clone(),
            None => {
                let made = fresh.next().expect("there is one for each output that is written over nothing");
                Dispatch::float_from_data(TensorData::new(made, self.shape.clone()), &device)
            }
        };
        over.into_iter().map(result).collect()
    }

    /// The operand that each output is written over: one that is whole, and that nobody else has.
    fn replaced<T: Plain>(&self, operands: &mut [DispatchTensor]) -> Vec<Option<usize>> {
        let mut is_free: Vec<bool> = operands.iter_mut().map(|operand| T::whole(operand).is_some()).collect();
        let over = |output: usize| {
            let fits = |&number: &usize| is_free[number] && self.kernel.may_replace(number, output);
            let number = (0..is_free.len()).find(fits)?;
            is_free[number] = false;
            Some(number)
        };
        (0..self.outputs.len()).map(over).collect()
    }
}

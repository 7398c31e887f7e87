//! Which kernels make a chain.
//!
//! A chain runs where the first kernel outside of it reads what it makes, and so all that can join until then does: operations entry by
//! entry on tensors of one shape, whatever stands between them in the plan.

use std::collections::BTreeSet;

use betty_kernels::chain::Chain;
use burn::tensor::DType;

use crate::execute::kernel::{Kernel, step};
use crate::execute::stages::Instruction;

/// How many kernels a chain waits for another one that joins: what it reads takes memory meanwhile.
const WINDOW: usize = 64;

/// Entries below which a kernel by itself is as fast: in the second cache, where nothing is allocated for it.
const LEAST: usize = 1 << 14;

/// Kernels in the order in which they run, and what of them runs at once, one after the other.
pub(in crate::execute) fn chained(
    instructions: Vec<Instruction>,
    stages: &[usize],
    slots: usize,
) -> (Vec<Instruction>, Vec<Group>) {
    let mut plan = Plan { ordered: Vec::new(), groups: Vec::new(), open: Vec::new(), owner: vec![None; slots] };
    let mut waiting = instructions.into_iter();
    for (now, &count) in stages.iter().enumerate() {
        let stage: Vec<Instruction> = waiting.by_ref().take(count).collect();
        plan.add(stage, now);
    }
    (0..plan.open.len()).for_each(|chain| plan.close(chain));
    (plan.ordered, plan.groups)
}

/// Neighbours in a plan that run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::execute) enum Group {
    /// So many kernels, each by itself, side by side.
    Kernels(usize),
    /// So many kernels, in one pass over memory.
    Chain(usize),
}

/// A chain that others can join.
struct Open {
    shape: Vec<usize>,
    dtype: DType,
    members: Vec<Instruction>,
    reads: BTreeSet<usize>,
    /// When one joined.
    joined: usize,
}

struct Plan {
    ordered: Vec<Instruction>,
    groups: Vec<Group>,
    open: Vec<Option<Open>>,
    /// The open chain that makes the value of a slot.
    owner: Vec<Option<usize>>,
}

impl Plan {
    fn add(&mut self, stage: Vec<Instruction>, now: usize) {
        for chain in 0..self.open.len() {
            if self.open[chain].as_ref().is_some_and(|open| now > open.joined + WINDOW) {
                self.close(chain);
            }
        }
        let home = match stage.as_slice() {
            [one] => look(&one.kernel).map(|look| self.home(one, look, now)),
            _ => None,
        };
        for input in stage.iter().flat_map(|instruction| &instruction.inputs) {
            if let Some(owner) = self.owner[*input].filter(|&owner| Some(owner) != home) {
                self.close(owner);
            }
        }
        match (home, home.and_then(|home| self.open[home].as_mut())) {
            (Some(home), Some(open)) => {
                for instruction in stage {
                    self.owner[instruction.output] = Some(home);
                    open.reads.extend(&instruction.inputs);
                    open.joined = now;
                    open.members.push(instruction);
                }
            }
            _ => {
                self.groups.push(Group::Kernels(stage.len()));
                self.ordered.extend(stage);
            }
        }
    }

    /// The open chain that a kernel joins, which begins one where there is none, or no place in it.
    fn home(&mut self, one: &Instruction, (shape, dtype): (&[usize], DType), now: usize) -> usize {
        let is_like =
            |open: &Option<Open>| open.as_ref().is_some_and(|open| open.shape == shape && open.dtype == dtype);
        if let Some(chain) = self.open.iter().position(is_like) {
            let has_place = self.open[chain].as_ref().is_some_and(|open| {
                let more = one.inputs.iter().filter(|input| !open.reads.contains(input)).count();
                open.members.len() < Chain::MOST && open.reads.len() + more <= Chain::MOST
            });
            if has_place {
                return chain;
            }
            self.close(chain);
        }
        let (members, reads) = (Vec::new(), BTreeSet::new());
        let open = Open { shape: shape.to_vec(), dtype, members, reads, joined: now };
        let chain = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
        match self.open.get_mut(chain) {
            Some(place) => *place = Some(open),
            None => self.open.push(Some(open)),
        }
        chain
    }

    /// Lets a chain run here.
    fn close(&mut self, chain: usize) {
        let Some(open) = self.open[chain].take() else { return };
        open.members.iter().for_each(|member| self.owner[member.output] = None);
        self.groups.push(match open.members.len() {
            1 => Group::Kernels(1),
            count => Group::Chain(count),
        });
        self.ordered.extend(open.members);
    }
}

/// Shape and type of what a kernel makes, if it can be a part of a chain.
fn look(kernel: &Kernel) -> Option<(&[usize], DType)> {
    match kernel {
        Kernel::Node { op, shape, dtype }
            if matches!(dtype, DType::F32 | DType::F64) && shape.iter().product::<usize>() >= LEAST =>
        {
            step(op, &[0, 0]).map(|_| (shape.as_slice(), *dtype))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Binary, Op, Unary};

    /// A kernel that reads and writes these slots.
    fn of(op: Op, inputs: &[usize], output: usize) -> Instruction {
        let kernel = Kernel::Node { op, shape: vec![LEAST / 8, 8], dtype: DType::F32 };
        Instruction { kernel, inputs: inputs.to_vec(), last: vec![false; inputs.len()], output }
    }

    #[test]
    fn a_chain_takes_all_until_it_is_read() {
        let add = || Op::Binary(Binary::Add);
        let plan = vec![
            of(add(), &[0, 1], 10),
            of(Op::MatMul, &[0, 1], 11),
            of(Op::Unary(Unary::Relu), &[10], 12),
            of(add(), &[12, 11], 13),
            of(Op::MatMul, &[13, 0], 14),
            of(Op::Unary(Unary::Exp), &[14], 15),
            of(add(), &[15, 10], 16),
        ];
        let (ordered, stages) = chained(plan, &[1; 7], 17);
        let outputs: Vec<usize> = ordered.iter().map(|instruction| instruction.output).collect();
        assert_eq!(outputs, [11, 10, 12, 13, 14, 15, 16]);
        assert_eq!(stages, [Group::Kernels(1), Group::Chain(3), Group::Kernels(1), Group::Chain(2)]);
    }

    #[test]
    fn small_tensors_are_left_alone() {
        let small = |output: usize| {
            let kernel = Kernel::Node { op: Op::Unary(Unary::Relu), shape: vec![LEAST - 1], dtype: DType::F32 };
            Instruction { kernel, inputs: vec![output - 1], last: vec![false], output }
        };
        let (_, stages) = chained(vec![small(1), small(2)], &[1; 2], 3);
        assert_eq!(stages, [Group::Kernels(1), Group::Kernels(1)]);
    }

    #[test]
    fn what_stands_alone_or_side_by_side_is_no_chain() {
        let plan = vec![
            of(Op::MatMul, &[0, 1], 10),
            of(Op::MatMul, &[0, 2], 11),
            of(Op::Unary(Unary::Relu), &[10], 12),
            of(Op::MatMul, &[12, 2], 13),
        ];
        let (ordered, stages) = chained(plan, &[2, 1, 1], 14);
        let outputs: Vec<usize> = ordered.iter().map(|instruction| instruction.output).collect();
        assert_eq!(outputs, [10, 11, 12, 13]);
        assert_eq!(stages, [Group::Kernels(2), Group::Kernels(1), Group::Kernels(1)]);
    }
}

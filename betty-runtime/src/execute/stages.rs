//! Which kernels run side by side.
//!
//! A product of small matrices takes one thread, and many do not wait for each other: queries, keys and values of attention, the two
//! adjoints of a layer. On the CPU those that stand near each other in a plan are computed at the same time. Each of them is computed
//! as if it were alone, so that results do not depend on it.

use std::collections::HashSet;
use std::ops::Range;

use super::kernel::Kernel;

/// A kernel with the slots it reads and writes. `last` marks inputs that nobody reads again.
#[derive(Debug)]
pub(super) struct Instruction {
    pub(super) kernel: Kernel,
    pub(super) inputs: Vec<usize>,
    pub(super) last: Vec<bool>,
    pub(super) output: usize,
}

/// Operations of a product that Burn computes on one thread, and that takes much longer than waking another.
pub(super) const SMALL: Range<f64> = 4e6..1.4e7;

/// How far to look for products, and how many to compute at once: what is computed early takes memory early.
const WINDOW: usize = 32;
const MOST: usize = 8;

/// Instructions in the order in which they run, and how many of them run at the same time, one after the other.
pub(super) fn staged(
    instructions: Vec<Instruction>,
    is_small_product: impl Fn(&Instruction) -> bool,
) -> (Vec<Instruction>, Vec<usize>) {
    let mut waiting: Vec<Option<Instruction>> = instructions.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    let mut stages = Vec::with_capacity(waiting.len());
    for first in 0..waiting.len() {
        let Some(instruction) = waiting[first].take() else { continue };
        let mut count = 1;
        if is_small_product(&instruction) {
            // What is not known yet when the stage begins.
            let mut later = HashSet::from([instruction.output]);
            ordered.push(instruction);
            let end = waiting.len().min(first + WINDOW);
            for place in &mut waiting[first + 1..end] {
                let Some(candidate) = place else { continue };
                let is_ready = candidate.inputs.iter().all(|input| !later.contains(input));
                later.insert(candidate.output);
                if count < MOST && is_ready && is_small_product(candidate) {
                    ordered.extend(place.take());
                    count += 1;
                }
            }
        } else {
            ordered.push(instruction);
        }
        stages.push(count);
    }
    (ordered, stages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Op;

    /// An instruction that reads and writes these slots.
    fn of(op: Op, inputs: &[usize], output: usize) -> Instruction {
        let kernel = Kernel::Node { op, shape: Vec::new(), dtype: burn::tensor::DType::F32 };
        Instruction { kernel, inputs: inputs.to_vec(), last: vec![false; inputs.len()], output }
    }

    #[test]
    fn products_that_do_not_wait_for_each_other_run_together() {
        let view = || Op::Reshape(Vec::new());
        let plan = vec![
            of(Op::MatMul, &[0, 1], 10),
            of(view(), &[10], 11),
            of(Op::MatMul, &[0, 2], 12),
            of(Op::MatMul, &[11, 2], 13),
            of(view(), &[12], 14),
            of(Op::MatMul, &[0, 3], 15),
        ];
        let is_product = |of: &Instruction| matches!(of.kernel, Kernel::Node { op: Op::MatMul, .. });
        let (ordered, stages) = staged(plan, is_product);
        let outputs: Vec<usize> = ordered.iter().map(|instruction| instruction.output).collect();
        assert_eq!((outputs, stages), (vec![10, 12, 15, 11, 13, 14], vec![3, 1, 1, 1]));
    }
}

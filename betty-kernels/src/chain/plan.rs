//! What a chain computes, and where it keeps values meanwhile.

use super::step::{Step, Value};

/// Steps, and which of their values are results.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(super) inputs: usize,
    pub(super) steps: Vec<Step>,
    pub(super) outputs: Vec<Value>,
    /// Which result each step makes.
    pub(super) results: Vec<Option<usize>>,
    /// Where each step writes what is no result.
    pub(super) registers: Vec<usize>,
    /// How many of those there are.
    pub(super) width: usize,
}

impl Chain {
    /// The most steps, and the most inputs, of a chain.
    pub const MOST: usize = 24;

    /// A chain of these steps, at most [`MOST`](Self::MOST), each of which reads inputs and what steps before it make.
    pub fn new(inputs: usize, steps: Vec<Step>, outputs: Vec<Value>) -> Self {
        let last = |value| last_read(&steps, value);
        let mut free: Vec<usize> = Vec::new();
        let mut registers: Vec<usize> = Vec::with_capacity(steps.len());
        let mut width = 0;
        for (number, step) in steps.iter().enumerate() {
            registers.push(free.pop().unwrap_or_else(|| {
                width += 1;
                width - 1
            }));
            // What is read for the last time makes room for the next step: a step does not write over what it reads.
            let mut over: Vec<Value> = step.reads().filter(|&read| last(read) == Some(number)).collect();
            over.dedup();
            free.extend(over.into_iter().filter(|&value| value >= inputs).map(|value| registers[value - inputs]));
        }
        let result = |step: usize| outputs.iter().position(|&value| value == inputs + step);
        let results = (0..steps.len()).map(result).collect();
        Chain { inputs, steps, outputs, results, registers, width }
    }

    /// Whether an output may be written over an input: nothing reads that any more once it is made.
    pub fn may_replace(&self, input: Value, output: usize) -> bool {
        last_read(&self.steps, input).is_none_or(|step| self.inputs + step <= self.outputs[output])
    }
}

/// The last step that reads a value.
fn last_read(steps: &[Step], value: Value) -> Option<usize> {
    steps.iter().rposition(|step| step.reads().any(|read| read == value))
}

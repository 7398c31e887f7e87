//! Where a number that is not finite comes from: a program is run again, and followed back from what came out.

use std::fmt::{self, Display, Formatter};

use burn::tensor::DispatchTensor;

use super::kernel::Kernel;
use super::program::Program;
use super::value::{ReadError, Value};
use crate::graph::Op;

/// What made the first number that is not finite.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// It was given: the position of the input.
    Input(usize),
    /// An operation made it.
    Operation {
        /// The operation, with type and shape of its result.
        operation: String,
        /// The smallest and the largest entry of each of its float operands.
        operands: Vec<(f64, f64)>,
    },
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Input(index) => write!(f, "input {index} of the program has it"),
            Origin::Operation { operation, operands } => {
                write!(f, "{operation} made it")?;
                for (place, (low, high)) in operands.iter().filter(|(low, high)| low <= high).enumerate() {
                    f.write_str(if place == 0 { " of " } else { " and " })?;
                    if low == high {
                        write!(f, "{low:.2e}")?
                    } else {
                        write!(f, "numbers from {low:.2e} to {high:.2e}")?
                    }
                }
                Ok(())
            }
        }
    }
}

/// What there is to know of a float tensor.
#[derive(Clone, Copy, Debug)]
struct Summary {
    low: f64,
    high: f64,
    has_nan: bool,
}

impl Summary {
    fn of(tensor: &DispatchTensor) -> Result<Option<Self>, ReadError> {
        let value = Value(tensor.clone());
        if !value.dtype().is_float() {
            return Ok(None);
        }
        let begun = Summary { low: f64::INFINITY, high: f64::NEG_INFINITY, has_nan: false };
        let add = |Summary { low, high, has_nan }: Summary, x: f64| Summary {
            low: low.min(x),
            high: high.max(x),
            has_nan: has_nan || x.is_nan(),
        };
        Ok(Some(value.to_vec()?.into_iter().fold(begun, add)))
    }

    /// Whether there are entries, and infinite ones among them.
    fn has_infinity(&self) -> bool {
        self.low <= self.high && (self.low == f64::NEG_INFINITY || self.high == f64::INFINITY)
    }
}

impl Program {
    /// Runs the program again on the same inputs, and follows what is not finite in its outputs back to what made it; `None`
    /// if all outputs are finite.
    ///
    /// Infinities that an operation makes something finite of, such as those of a mask, are no origin.
    ///
    /// # Errors
    /// [`ReadError`] when a value cannot be read from the device.
    pub(crate) fn origin(&self, inputs: &[Value], seed: u64) -> Result<Option<Origin>, ReadError> {
        let mut seen: Vec<Option<Summary>> = vec![None; self.slots()];
        for (slot, value) in self.input_slots().zip(inputs) {
            if let Some(slot) = slot {
                seen[slot] = Summary::of(&value.0)?;
            }
        }
        let mut failed = Ok(());
        let mut see = |slot: usize, tensor: &DispatchTensor| match Summary::of(tensor) {
            Ok(summary) => seen[slot] = summary,
            Err(error) => failed = Err(error),
        };
        let outputs = self.run_seeing(inputs.iter().cloned(), seed, Some(&mut see));
        drop(outputs);
        failed?;
        let is_bad = |slot: &usize| seen[*slot].is_some_and(|seen| seen.has_nan || seen.has_infinity());
        let output = self.output_slots().iter().copied().find(is_bad);
        Ok(output.map(|output| self.made(self.follow(output, &seen), &seen)))
    }

    /// The value in which the entries of another one that are not finite begin.
    fn follow(&self, mut slot: usize, seen: &[Option<Summary>]) -> usize {
        while let Some((_, operands)) = self.maker(slot) {
            let has = |property: fn(&Summary) -> bool| {
                operands.iter().copied().find(|&operand| seen[operand].as_ref().is_some_and(property))
            };
            let is_nan = seen[slot].is_some_and(|seen| seen.has_nan);
            if let Some(operand) = has(|seen| seen.has_nan).filter(|_| is_nan) {
                slot = operand;
                continue;
            }
            let Some(operand) = has(Summary::has_infinity) else { break };
            // An infinity that was computed is an overflow; one that stands in the loss is meant.
            let begun = self.follow(operand, seen);
            let is_meant = self.maker(begun).is_none_or(|(kernel, _)| kernel.writes_number());
            return if is_nan && is_meant { slot } else { begun };
        }
        slot
    }

    fn made(&self, slot: usize, seen: &[Option<Summary>]) -> Origin {
        match self.maker(slot) {
            Some((kernel, operands)) => Origin::Operation {
                operation: kernel.to_string(),
                operands: operands.iter().filter_map(|&of| seen[of].map(|seen| (seen.low, seen.high))).collect(),
            },
            None => {
                let input = self.input_slots().position(|input| input == Some(slot));
                let constant = || Origin::Operation { operation: "a constant".into(), operands: Vec::new() };
                input.map_or_else(constant, Origin::Input)
            }
        }
    }
}

impl Kernel {
    /// Whether it writes a number that stands in the loss.
    fn writes_number(&self) -> bool {
        matches!(self, Kernel::MaskFill(_) | Kernel::Node { op: Op::Full(_), .. })
    }
}

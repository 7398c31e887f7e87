//! Solves: those that do not converge, and gradients that 16 bits change.

use std::collections::BTreeMap;

use super::warning;
use crate::{Event, Warning};

/// A solve that leaves this share of the right-hand side is as good as none.
const NONE: f64 = 0.95;
/// So many solves in a row are no accident.
const IN_A_ROW: u32 = 20;
/// A few times the square root of bf16's precision, which kinks explain.
const ROUNDING: f64 = 0.2;

/// How many solves in a row came to nothing, by the level above and the one that is passed.
#[derive(Debug, Default)]
pub(super) struct Solves(BTreeMap<(String, String), u32>);

impl Solves {
    pub(super) fn hear(&mut self, event: &Event<'_>) -> Option<Warning> {
        match *event {
            Event::Hypergradient { name, through, residual: Some(residual), .. } => self.solve(name, through, residual),
            Event::Rounding { name, difference, .. } if difference > ROUNDING => warning(
                "rounding",
                name,
                format!("16 bits change the gradient of level `{name}` by {:.0} %", 100.0 * difference),
                format!(
                    "leave out `precision` of `{name}`, or use `f16` where numbers are of one size; near a minimum, where little is \
                     left of a gradient, it is less bad than it looks"
                ),
            ),
            _ => None,
        }
    }

    fn solve(&mut self, name: &str, through: &str, residual: f64) -> Option<Warning> {
        let count = self.0.entry((name.into(), through.into())).or_default();
        *count = if residual >= NONE { *count + 1 } else { 0 };
        if *count < IN_A_ROW {
            return None;
        }
        warning(
            "solver",
            through,
            format!(
                "the system of level `{through}` for hypergradients of `{name}` is not solved: {IN_A_ROW} solves in a row leave \
                 {NONE} of the right-hand side or more, the last one {residual:.2}"
            ),
            format!(
                "allow more iterations, raise the damping of `{through}`, or start from the last solution: `warm_start = true`"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_in_a_row_are_told_of() {
        let mut solves = Solves::default();
        assert!((0..500).all(|step| solves.solve("y", "x", if step % 19 == 0 { 0.9 } else { 0.99 }).is_none()));
        assert!((0..500).all(|_| solves.solve("y", "z", 0.5).is_none()));
        assert_eq!((0..40).position(|_| solves.solve("w", "x", 1.0).is_some()), Some(19));
    }
}

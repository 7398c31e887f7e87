//! Solves: systems and turns of solvers that do not converge, and gradients that 16 bits change.

use std::collections::BTreeMap;

use super::warning;
use crate::{Event, Warning};

/// A solve that leaves this share of the right-hand side is as good as none.
const NONE: f64 = 0.95;
/// One that leaves so many times the right-hand side is worse than none. Conjugate gradients leave a few times as much on their way.
const WORSE: f64 = 10.0;
/// So many solves in a row are no accident.
const IN_A_ROW: u32 = 20;
/// A few times the square root of bf16's precision, which kinks explain.
const ROUNDING: f64 = 0.2;

/// So many turns of a solver in a row are no accident.
const TURNS: u32 = 5;

/// How many solves in a row came to nothing.
#[derive(Debug, Default)]
pub(super) struct Solves {
    /// Of systems, by the level above and the one that is passed.
    systems: BTreeMap<(String, String), u32>,
    /// Turns of solvers, by their levels.
    turns: BTreeMap<String, u32>,
}

impl Solves {
    pub(super) fn hear(&mut self, event: &Event<'_>) -> Option<Warning> {
        match *event {
            Event::Hypergradient { name, through, residual: Some(residual), .. } => self.solve(name, through, residual),
            Event::Solved { name, solver, iterations, loss, gradient_norm, converged, .. } => {
                let turns = self.turns.entry(name.into()).or_default();
                *turns = if converged { 0 } else { *turns + 1 };
                if *turns < TURNS {
                    return None;
                }
                warning(
                    "unsolved",
                    name,
                    format!(
                        "{TURNS} turns in a row of `{solver}` at level `{name}` ended above its tolerance, the last one after \
                         {iterations} steps at a loss of {loss:.3e} with a gradient of {gradient_norm:.1e}"
                    ),
                    format!(
                        "allow `{solver}` more iterations; where rounding hides what is lower, raise its tolerance; where the loss of \
                         `{name}` has no lower bound, add a penalty"
                    ),
                )
            }
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
        if residual > WORSE {
            return warning(
                "solver",
                through,
                format!(
                    "the system of level `{through}` for hypergradients of `{name}` is not solved: the answer leaves {residual:.0e} times \
                     the right-hand side, where zero leaves it once"
                ),
                format!(
                    "raise the damping of `{through}`, or choose `minres`, whose answers leave no more than zero does; most likely the loss \
                     of `{name}` reads something that the one of `{through}` does not depend on, rows of a table that its batch leaves \
                     out, say"
                ),
            );
        }
        let count = self.systems.entry((name.into(), through.into())).or_default();
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
        let told = solves.solve("y", "z", 5.6e4).expect("it is worse than none");
        assert!(told.level.as_deref() == Some("z") && told.fact.contains("6e4 times"), "{told:?}");
        assert!((0..500).all(|_| solves.solve("y", "z", 0.5).is_none()));
    }

    #[test]
    fn turns_that_do_not_converge_are_told_of() {
        let mut solves = Solves::default();
        let mut turn = |converged: bool| {
            let (level, name, solver, step) = (0, "x", "lbfgs", 1);
            let (iterations, evaluations, loss, gradient_norm) = (100, 120, -3.0, 1.0);
            solves.hear(&Event::Solved {
                level,
                name,
                solver,
                step,
                iterations,
                evaluations,
                loss,
                gradient_norm,
                converged,
            })
        };
        assert!((0..100).all(|step| turn(step % 5 == 4).is_none()));
        let told = (0..10).find_map(|_| turn(false)).expect("ten in a row");
        assert_eq!((told.rule.as_str(), told.level.as_deref()), ("unsolved", Some("x")));
        assert!(told.fact.contains("after 100 steps at a loss of -3.000e0") && told.advice.contains("no lower bound"));
    }
}

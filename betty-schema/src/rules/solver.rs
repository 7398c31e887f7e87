//! Levels whose best response a solver finds: one loss that nothing below answers to, and no steps to be changed or followed.

use super::{Numbers, Violation};
use crate::graph::Graph;
use crate::table::Way;

/// What a solver cannot be beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// A level below, which would have to be solved again wherever the solver looks.
    Waits {
        /// The level.
        below: usize,
    },
    /// A method that follows the steps of an optimizer, of which there are none.
    NoSteps,
    /// A limit on the gradient, which the solver does not go along.
    Clips,
    /// A set that the solver knows nothing of.
    Projects,
    /// A function that follows each step of an optimizer.
    Follows,
    /// A schedule of a learning rate, which the solver does not have.
    Schedules,
    /// Several batches for one step.
    Accumulates,
}

/// A solver stands where it can find a best response, beside nothing that it would not see.
pub fn solver(graph: &Graph, level: usize, numbers: &Numbers) -> impl Iterator<Item = Violation> {
    let below = graph.lower(level).first().map(|&below| Clash::Waits { below });
    let steps = numbers.method.filter(|method| method.goes_through_steps() || method.row.way == Way::NextStep);
    let clashes = [
        below,
        steps.map(|_| Clash::NoSteps),
        numbers.is_clipped.then_some(Clash::Clips),
        numbers.is_projected.then_some(Clash::Projects),
        numbers.has_after_step.then_some(Clash::Follows),
        numbers.is_scheduled.then_some(Clash::Schedules),
        numbers.accumulate.filter(|&batches| batches > 1).map(|_| Clash::Accumulates),
    ];
    clashes.into_iter().flatten().filter(|_| numbers.is_solved).map(Violation::NotSolved)
}

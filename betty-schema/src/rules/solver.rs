//! Levels whose best response a solver finds: one loss that nothing below answers to, and no steps to be changed or followed.

use super::{Facts, Numbers, Violation};
use crate::graph::Graph;
use crate::table::Way;

/// What a solver cannot be beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

impl Clash {
    /// Why, and what to do.
    pub(super) fn text(self, level: usize, facts: &Facts<'_>) -> String {
        let (name, method) = (facts.names[level], facts.method(level));
        match self {
            Self::Waits { below } => format!(
                "it waits for `{}`, which would have to be solved again wherever the solver looks; choose an `optimizer` for \
                 `{name}`",
                facts.names[below]
            ),
            Self::NoSteps => format!(
                "`{method}` follows the steps of an optimizer, and there are none; choose a method that solves a system, such \
                 as `cg`"
            ),
            Self::Clips => "it follows no gradient that `clip` could limit; take `clip` away".to_owned(),
            Self::Projects => {
                "it knows nothing of the set in `project`; take `project` away, or choose an `optimizer`".to_owned()
            }
            Self::Follows => {
                "it takes no steps that `after_step` could follow; take `after_step` away, or choose an `optimizer`"
                    .to_owned()
            }
            Self::Schedules => {
                "it has no learning rate that a `schedule` could change; take `schedule` away".to_owned()
            }
            Self::Accumulates => {
                "it solves for one batch, and `accumulate` asks for several; put them into one".to_owned()
            }
        }
    }
}

/// A solver stands where it can find a best response, beside nothing that it would not see.
pub(super) fn solver(graph: &Graph, level: usize, numbers: &Numbers) -> impl Iterator<Item = Violation> {
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

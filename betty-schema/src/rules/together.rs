//! Tasks that are computed together: each begins anew, and is differentiated step by step, or else they go one after the other.

use super::{Begins, Facts, Numbers, Violation};
use crate::graph::Graph;

/// Why the tasks of a level cannot be computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// Each takes several batches.
    Accumulates,
    /// The levels below take their steps several times.
    Rounds,
    /// A hypergradient passes through the level, and needs the steps below it one by one.
    IsPassed,
    /// The level waits for none.
    NothingBelow,
    /// A level below waits for another.
    Waits {
        /// The level below.
        lower: usize,
        /// The other.
        further: usize,
    },
    /// Another level waits for the same.
    Shared {
        /// The level below.
        lower: usize,
        /// The other level.
        other: usize,
    },
    /// The level below goes on from one task to the next.
    GoesOn {
        /// The level below.
        lower: usize,
    },
}

impl Obstacle {
    /// Why, and what to do.
    pub(super) fn text(self, level: usize, facts: &Facts<'_>) -> String {
        let names = &facts.names;
        match self {
            Self::Accumulates => "`accumulate` takes several batches for each; raise `tasks` instead".to_owned(),
            Self::Rounds => {
                "`rounds` has its levels take their steps several times; raise their `unroll` instead".to_owned()
            }
            Self::IsPassed => {
                format!("a hypergradient passes through `{}`, and needs the steps below it one by one", names[level])
            }
            Self::NothingBelow => "it waits for no level".to_owned(),
            Self::Waits { lower, further } => format!("`{}` waits for `{}`", names[lower], names[further]),
            Self::Shared { lower, other } => format!("`{}` waits for `{}` too", names[other], names[lower]),
            Self::GoesOn { lower } => format!(
                "`{}` goes on from one task to the next; add `start: initial`, `start: fresh(…)` or `start: from(…)` to it",
                names[lower]
            ),
        }
    }
}

/// Tasks that are computed together, be it one, begin anew and are nobody else's. Where a method does not allow it, they go
/// [one after the other](one_by_one).
pub(super) fn together(graph: &Graph, level: usize, numbers: &[Numbers]) -> Option<Violation> {
    let own = &numbers[level];
    if !own.vectorize {
        return None;
    }
    let obstacle = if own.accumulate.is_some_and(|count| count != 1) {
        Some(Obstacle::Accumulates)
    } else if own.rounds.is_some_and(|count| count != 1) {
        Some(Obstacle::Rounds)
    } else if graph.is_passed(level) {
        Some(Obstacle::IsPassed)
    } else if graph.lower(level).is_empty() {
        Some(Obstacle::NothingBelow)
    } else {
        graph.lower(level).iter().find_map(|&lower| below(graph, level, lower, &numbers[lower]))
    };
    obstacle.map(Violation::NotTogether)
}

fn below(graph: &Graph, level: usize, lower: usize, numbers: &Numbers) -> Option<Obstacle> {
    if let Some(&further) = graph.lower(lower).first() {
        return Some(Obstacle::Waits { lower, further });
    }
    let other = (0..graph.levels()).find(|&other| other != level && graph.lower(other).contains(&lower));
    if let Some(other) = other {
        return Some(Obstacle::Shared { lower, other });
    }
    // A method that is not known may let it.
    let is_whole = numbers.method.is_some() && is_whole(numbers);
    (is_whole && numbers.begins == Begins::Kept).then_some(Obstacle::GoesOn { lower })
}

/// The level below whose method does not allow the tasks of a level to be computed together, though that is wished for: it does
/// not differentiate all of its steps in reverse, each kept.
#[must_use]
pub fn one_by_one(graph: &Graph, level: usize, numbers: &[Numbers]) -> Option<usize> {
    let mut lower = graph.lower(level).iter().copied().filter(|_| numbers[level].vectorize);
    lower.find(|&lower| !is_whole(&numbers[lower]))
}

/// Whether its steps are differentiated as one function of what they read; a method that is not known may do so.
fn is_whole(numbers: &Numbers) -> bool {
    numbers.gives_method && numbers.method.is_none_or(|method| method.is_whole())
}

//! What is said of a level is used: by levels that wait for it, by levels below, by hypergradients that pass.

use super::{Numbers, Violation};
use crate::graph::Graph;

/// A hypergradient passes through a level exactly if it says how.
pub(super) fn method(graph: &Graph, level: usize, numbers: &Numbers) -> Option<Violation> {
    match (graph.is_passed(level), numbers.gives_method) {
        (true, false) => Some(Violation::MethodMissing),
        (false, true) => Some(Violation::MethodUnused),
        _ => None,
    }
}

/// Somebody waits for the steps of a level, and it for those of others.
pub(super) fn used(graph: &Graph, level: usize, numbers: &Numbers) -> impl Iterator<Item = Violation> {
    let waits = !graph.lower(level).is_empty();
    let is_root = graph.roots().contains(&level);
    // Tasks that are computed together without a level below break the rule on that.
    let tasks = numbers.tasks.filter(|&tasks| tasks > 1 && !waits && !numbers.vectorize);
    let rounds = numbers.rounds.filter(|&rounds| rounds > 1 && !waits);
    let unroll = is_root && numbers.gives_unroll;
    let start = is_root && numbers.gives_start;
    [
        unroll.then_some(Violation::UnrollUnused),
        start.then_some(Violation::StartUnused),
        tasks.map(|tasks| Violation::NoTasks { tasks }),
        rounds.map(|rounds| Violation::NoRounds { rounds }),
    ]
    .into_iter()
    .flatten()
}

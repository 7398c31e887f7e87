//! Levels that start from others: hypergradients reach where steps begin.

use super::steps::taken;
use super::{Begins, Numbers, Violation};
use crate::graph::Graph;

/// The method of a level that starts from another sees where its steps begin, or the level has something else of the other.
pub(super) fn start(graph: &Graph, level: usize, all: &[Numbers]) -> Option<Violation> {
    let numbers = &all[level];
    let from = graph.start(level).filter(|_| numbers.begins == Begins::From)?;
    let method = numbers.method?;
    if !method.goes_through_steps() && !graph.upper(level).contains(&from) {
        return Some(Violation::StartUnseen { from });
    }
    let (truncate, unroll) = (method.truncate?, taken(graph, level, all)?.0);
    let is_cut = truncate < unroll && depends_on_start(graph, level, numbers);
    is_cut.then_some(Violation::StartCut { from, truncate, unroll })
}

/// Whether the program names a level for `level` to start from, and where its steps begin is all that `level` has of that.
#[must_use]
pub fn depends_on_start(graph: &Graph, level: usize, numbers: &Numbers) -> bool {
    let learning: Vec<usize> = numbers.learned.iter().map(|number| number.from).collect();
    graph.start(level).is_some() && !graph.depends_beside_start(level, &learning)
}

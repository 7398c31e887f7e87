//! Levels that learn numbers of an optimizer: the method of the level whose steps they are sees them.

use super::{Numbers, Violation};
use crate::graph::Graph;

/// No best response depends on the numbers of an optimizer, so a method sees them that goes through the steps, or the level
/// reads the level that learns them as well.
pub fn learned(graph: &Graph, level: usize, numbers: &Numbers) -> impl Iterator<Item = Violation> {
    let is_blind = numbers.method.is_some_and(|method| !method.goes_through_steps());
    let unseen = numbers.learned.iter().filter(move |(_, from)| is_blind && !graph.upper(level).contains(from));
    unseen.map(|&(option, from)| Violation::LearnedUnseen { option, from })
}

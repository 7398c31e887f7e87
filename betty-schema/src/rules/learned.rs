//! Levels that learn numbers of an optimizer: the method of the level whose steps they are sees them.

use super::{LearnedNumber, Numbers, Violation};
use crate::graph::Graph;

/// Where steps come to rest does not depend on most numbers of an optimizer, so a method sees those that goes through the steps, or
/// the level reads the level that learns them as well.
pub(super) fn learned(graph: &Graph, level: usize, numbers: &Numbers) -> impl Iterator<Item = Violation> {
    let is_blind = numbers.method.is_some_and(|method| !method.goes_through_steps());
    // A fixed point is one of its map alone.
    let is_seen = move |number: &LearnedNumber| number.at_rest && !numbers.is_fixed_point;
    let unseen = numbers.learned.iter().filter(move |number| is_blind && !is_seen(number));
    let unseen = unseen.filter(move |number| !graph.upper(level).contains(&number.from));
    unseen.map(|&LearnedNumber { option, from, .. }| Violation::LearnedUnseen { option, from })
}

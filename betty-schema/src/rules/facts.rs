//! A program as rules see it, and the list of all rules.

use super::{
    Numbers, Violation, condition, curvature, learned, preconditioner, schedule, solver, start, steps, system,
    together, used,
};
use crate::graph::Graph;

/// A program as rules see it, level by level.
pub struct Facts<'a> {
    /// Which level knows of which.
    pub graph: &'a Graph,
    /// What the levels are called.
    pub names: Vec<&'a str>,
    /// Their numbers.
    pub numbers: Vec<Numbers>,
}

impl Facts<'_> {
    /// Every rule that a level breaks.
    pub fn broken(&self, level: usize) -> impl Iterator<Item = Violation> {
        let Self { graph, numbers, .. } = self;
        let own = &numbers[level];
        used::method(graph, level, own)
            .into_iter()
            .chain(used::used(graph, level, own))
            .chain(steps::truncate(graph, level, numbers))
            .chain(steps::steps(graph, level, numbers))
            .chain(preconditioner::preconditioner(own))
            .chain(condition::condition(graph, level, own))
            .chain(curvature::curvature(graph, level, own))
            .chain(system::system(graph, level, numbers))
            .chain(solver::solver(graph, level, own))
            .chain(schedule::schedule(own))
            .chain(together::together(graph, level, numbers))
            .chain(start::start(graph, level, numbers))
            .chain(learned::learned(graph, level, own))
    }

    /// The name of a level's method; empty where there is none that is known.
    pub(super) fn method(&self, level: usize) -> &'static str {
        self.numbers[level].method.map_or("", |method| method.row.name)
    }
}

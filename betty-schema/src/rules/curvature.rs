//! Levels that are differentiated with the levels below standing still: where that makes a difference.

use super::{Numbers, Violation};
use crate::graph::Graph;

/// Why `curvature: partial` at a level changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// No hypergradient passes through the level.
    NotPassed,
    /// No level below answers to it: its own loss is all that is differentiated anyway.
    NothingBelow,
    /// Its method goes through its steps, which followed its total gradient.
    ThroughSteps,
}

/// A curvature that is said makes a difference.
pub fn curvature(graph: &Graph, level: usize, numbers: &Numbers) -> Option<Violation> {
    let idle = match (graph.is_passed(level), numbers.method) {
        _ if !numbers.is_partial => None,
        (false, _) => Some(Idle::NotPassed),
        // A method that is missing or unknown is refused for that.
        (true, None) => None,
        (true, Some(_)) if graph.sweep(level).is_empty() => Some(Idle::NothingBelow),
        (true, Some(method)) => method.goes_through_steps().then_some(Idle::ThroughSteps),
    };
    idle.map(Violation::CurvatureIdle)
}

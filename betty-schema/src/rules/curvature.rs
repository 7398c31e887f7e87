//! Levels that are differentiated with the levels below standing still: where that makes a difference.

use super::{Facts, Numbers, Violation};
use crate::graph::Graph;

/// Why `curvature: partial` at a level changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idle {
    /// No hypergradient passes through the level.
    NotPassed,
    /// No level below answers to it: its own loss is all that is differentiated anyway.
    NothingBelow,
    /// Its method goes through its steps, which followed its total gradient.
    ThroughSteps,
}

impl Idle {
    /// Why, and what to do.
    pub(super) fn text(self, level: usize, facts: &Facts<'_>) -> String {
        let (name, method) = (facts.names[level], facts.method(level));
        match self {
            Self::NotPassed => format!("no hypergradient passes through `{name}`"),
            Self::NothingBelow => {
                format!("no level below answers to `{name}`, whose own loss is all that is differentiated")
            }
            Self::ThroughSteps => format!(
                "`{method}` goes through the steps of `{name}`, which followed its total gradient; choose a method that \
                 solves a system, such as `cg`"
            ),
        }
    }
}

/// A curvature that is said makes a difference.
pub(super) fn curvature(graph: &Graph, level: usize, numbers: &Numbers) -> Option<Violation> {
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

//! A solver of everything below a level: whether there is a system that it can solve.

use super::{Facts, Method, Numbers, Violation};
use crate::graph::Graph;
use crate::table::Way;

/// Why everything below a level is no system that can be solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Apart {
    /// No best response answers to the level.
    NothingBelow,
    /// The method of a level below puts something of its own in the place of the level's part of the system.
    Replaced {
        /// The level below.
        stop: usize,
    },
    /// Every level below is gone through step by step.
    StepsOnly,
    /// Tangents of a level below go along with the steps of others.
    Tangents {
        /// The level below.
        stop: usize,
    },
}

impl Apart {
    /// Why, and what to do.
    pub(super) fn text(self, level: usize, facts: &Facts<'_>) -> String {
        match self {
            Self::NothingBelow => {
                format!("no best response answers to `{}`, so there is no system", facts.names[level])
            }
            Self::Replaced { stop } => format!(
                "`{}` of `{}` puts something of its own in the place of the level's part of the system; choose `cg`, `minres` \
                 or `gmres` there",
                facts.method(stop),
                facts.names[stop]
            ),
            Self::StepsOnly => "every level below is gone through step by step, so there is no system".to_owned(),
            Self::Tangents { stop } => format!(
                "the tangents of `{}` (`{}`) go along with the steps of the other levels; choose `unrolled` there",
                facts.names[stop],
                facts.method(stop)
            ),
        }
    }
}

/// What is below a level that says how it is solved is a system.
pub(super) fn system(graph: &Graph, level: usize, numbers: &[Numbers]) -> Option<Violation> {
    numbers[level].solve?;
    let stops = graph.sweep(level).iter().map(|stop| Some((stop.level, numbers[stop.level].method?)));
    // A method that is missing or unknown is refused for that.
    let stops: Vec<(usize, Method)> = stops.collect::<Option<_>>()?;
    let of = |ways: &[Way]| stops.iter().find(|(_, method)| ways.contains(&method.row.way)).map(|&(stop, _)| stop);
    let apart = if stops.is_empty() {
        Some(Apart::NothingBelow)
    } else if let Some(stop) = of(&[Way::Approximation, Way::Gradients, Way::NextStep, Way::Given]) {
        Some(Apart::Replaced { stop })
    } else if of(&[Way::System, Way::Krylov]).is_none() {
        Some(Apart::StepsOnly)
    } else {
        of(&[Way::Tangents]).map(|stop| Apart::Tangents { stop })
    };
    apart.map(Violation::NoSystem)
}

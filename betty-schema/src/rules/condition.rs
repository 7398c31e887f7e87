//! Levels whose answer is a fixed point, which is no stationary point of their loss.

use super::{Facts, Numbers, Violation};
use crate::graph::Graph;
use crate::table::Way;

/// Why a level's answer cannot be differentiated as a fixed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfixed {
    /// No hypergradient passes through the level.
    NotPassed,
    /// The level waits for another, which the map does not see answer.
    Waits {
        /// The other.
        below: usize,
    },
    /// The method needs a matrix that is symmetric, and `I − ∂T/∂θ` is not.
    Asymmetric,
    /// The preconditioner is made of parts of a symmetric matrix.
    Preconditioned,
    /// The method puts gradients of the loss in the place of the matrix.
    Replaced,
    /// The method goes through steps.
    Steps,
    /// The solver looks for a stationary point.
    Searches,
}

impl Unfixed {
    /// Why, and what to do.
    pub(super) fn text(self, level: usize, facts: &Facts<'_>) -> String {
        let method = facts.method(level);
        match self {
            Self::NotPassed => "no hypergradient passes through it; take `condition` away".to_owned(),
            Self::Waits { below } => format!(
                "it waits for `{}`, whose answers the map does not see; let the loss of another level read that",
                facts.names[below]
            ),
            Self::Asymmetric => format!(
                "`{method}` needs a symmetric matrix, and I − ∂T/∂θ is none; choose `gmres`, `neumann` or `dense`"
            ),
            Self::Preconditioned => format!(
                "`preconditioner: {}` takes the matrix for symmetric, and I − ∂T/∂θ is not; choose `diagonal` or `custom(…)`, or \
                 take it away",
                facts.numbers[level].symmetric_preconditioner.unwrap_or_default()
            ),
            Self::Replaced => format!(
                "`{method}` puts gradients of the loss in the place of the matrix; choose `gmres`, `neumann`, `dense` or \
                 `identity`"
            ),
            Self::Steps => format!(
                "`{method}` follows the level's steps, whatever they lead to; take `condition` away, or choose `gmres`, `neumann` \
                 or `dense`"
            ),
            Self::Searches => {
                "its solver looks for a point where the gradient of the loss vanishes; choose `custom(…)`, or an \
                               `optimizer`"
                    .to_owned()
            }
        }
    }
}

/// A fixed point is found and differentiated by what sees it.
pub(super) fn condition(graph: &Graph, level: usize, numbers: &Numbers) -> Option<Violation> {
    let method = numbers.method;
    let unfixed = match method.map(|method| (method.row.needs_symmetry, method.row.way)) {
        _ if !numbers.is_fixed_point => None,
        _ if !graph.is_passed(level) => Some(Unfixed::NotPassed),
        _ if !graph.lower(level).is_empty() => Some(Unfixed::Waits { below: graph.lower(level)[0] }),
        _ if numbers.searches => Some(Unfixed::Searches),
        Some((true, _)) => Some(Unfixed::Asymmetric),
        Some((_, Way::Approximation)) => None,
        Some((_, Way::Gradients)) => Some(Unfixed::Replaced),
        Some((_, Way::Reverse | Way::Tangents | Way::Replays | Way::NextStep)) => Some(Unfixed::Steps),
        _ if numbers.symmetric_preconditioner.is_some() => Some(Unfixed::Preconditioned),
        // One that is missing or unknown was refused for that.
        Some((_, Way::System | Way::Krylov | Way::Given | Way::Plain)) | None => None,
    };
    unfixed.map(Violation::NotFixed)
}

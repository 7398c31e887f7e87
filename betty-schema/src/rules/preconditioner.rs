//! Preconditioners stand beside methods that apply them.

use super::{Numbers, Violation};
use crate::table::Way;

/// Only methods that look for the solution in a Krylov space take a preconditioner.
pub(super) fn preconditioner(numbers: &Numbers) -> Option<Violation> {
    // A method that is missing or unknown is refused for that, if a hypergradient passes through the level.
    let is_taken = match numbers.method {
        Some(method) => method.row.way == Way::Krylov,
        None => numbers.gives_method,
    };
    (numbers.gives_preconditioner && !is_taken).then_some(Violation::NotPreconditioned)
}

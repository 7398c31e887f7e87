//! What programs have taken so far, as their plans say: for whoever compares it with what was foretold.

use std::cell::Cell;

use super::Cost;

thread_local! {
    static LAUNCHED: Cell<Cost> = const { Cell::new(Cost { kernels: 0.0, operations: 0.0, bytes: 0.0 }) };
}

/// What the programs that this thread has run took, all together. Sums and inner products of vectors between programs, as
/// solvers form them, are no part of it.
#[must_use]
pub fn launched() -> Cost {
    LAUNCHED.get()
}

/// Counts one run.
pub(super) fn count(cost: Cost) {
    LAUNCHED.set(LAUNCHED.get() + cost);
}

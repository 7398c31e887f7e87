//! What programs have taken so far, as their plans say, and what ranks exchanged for it: for whoever compares it with what was foretold.

use std::cell::Cell;

use super::Cost;

thread_local! {
    static LAUNCHED: Cell<Cost> = const { Cell::new(Cost::NONE) };
}

/// What the programs that this thread has run took, all together, with what was summed over ranks. Sums and inner products of vectors between programs, as
/// solvers form them, are no part of it.
#[must_use]
pub fn launched() -> Cost {
    LAUNCHED.get()
}

/// Counts one run, or one message.
pub(crate) fn count(cost: Cost) {
    LAUNCHED.set(LAUNCHED.get() + cost);
}

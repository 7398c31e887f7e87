//! For which levels it is known whether their hypergradients take a lot.

use std::collections::BTreeSet;

/// What is a lot for one hypergradient, and of which levels that is known by now.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// More kernels than this are told of.
    pub(crate) above: f64,
    levels: BTreeSet<usize>,
}

impl Judged {
    /// Nothing is too much.
    pub(crate) const NEVER: Self = Judged { above: f64::INFINITY, levels: BTreeSet::new() };

    /// Whether a level has not been judged since it was asked last.
    pub(super) fn is_due(&mut self, level: usize) -> bool {
        self.above.is_finite() && self.levels.insert(level)
    }

    /// Forgets which levels were judged.
    pub(crate) fn clear(&mut self) {
        self.levels.clear();
    }
}

impl Default for Judged {
    fn default() -> Self {
        // About a second of small kernels.
        Judged { above: 1e5, levels: BTreeSet::new() }
    }
}

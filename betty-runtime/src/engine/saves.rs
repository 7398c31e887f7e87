//! When and where an engine saves itself during a run.

use std::path::PathBuf;

use crate::file::Claim;

/// When and where an engine saves itself.
pub(super) struct Saves {
    pub(super) every: u64,
    pub(super) file: PathBuf,
    /// Held while the engine runs, so that no other run writes the same file.
    pub(super) claim: Option<Claim>,
    /// After a failure: the iteration after which it is tried again, and how long it was put off.
    pub(super) retry: Option<(u64, u64)>,
}

impl Saves {
    pub(super) fn is_due(&self, iteration: u64) -> bool {
        iteration.is_multiple_of(self.every) || self.retry.is_some_and(|(next, _)| iteration >= next)
    }

    /// Puts the next attempt off, twice as long each time; answers when it will be.
    pub(super) fn put_off(&mut self, iteration: u64) -> u64 {
        let wait = self.retry.map_or(1, |(_, wait)| wait.saturating_mul(2)).min(self.every);
        let regular = (iteration / self.every + 1).saturating_mul(self.every);
        let next = iteration.saturating_add(wait).min(regular);
        self.retry = Some((next, wait));
        next
    }
}

//! Work that ranks do each by itself, on its own share as if that were the whole batch.

use super::Ranks;

/// Lets ranks work together again, also after a panic.
struct Together<'r>(&'r Ranks);

impl Drop for Together<'_> {
    fn drop(&mut self) {
        self.0.apart.set(false);
    }
}

impl Ranks {
    /// Does something in which nothing is summed over ranks.
    pub(crate) fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        self.apart.set(true);
        let _together = Together(self);
        work()
    }

    /// Whether ranks are at work each by itself.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart.get()
    }
}

//! When steps that could be read later are read one by one.

/// Iterations whose steps are read one by one, although they could be read later.
#[derive(Default)]
pub(super) struct Watched {
    /// Until which iteration, because something was not finite when it was read later.
    pub(super) until: u64,
    /// Whether every step since then was taken.
    pub(super) all_stood: bool,
    /// For how many iterations, after the steps of all stood that had been read later.
    pub(super) stretch: u64,
}

impl Watched {
    /// A step was not taken, so it was right to look.
    pub(super) fn has_failed(&mut self) {
        self.all_stood = false;
    }
}

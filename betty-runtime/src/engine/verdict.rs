//! What an observer answers: whether the run goes on.

use std::ops::ControlFlow;

/// What an observer answers: nothing, or whether the run goes on. `ControlFlow::Break` ends it after the iteration in hand, with
/// a reason for its [`Report`](crate::Report).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what an observer answers",
    note = "an observer answers nothing, or `ControlFlow<String>`, or `ControlFlow<&str>`"
)]
pub trait Verdict {
    /// Whether the run goes on, and if not, why.
    fn verdict(self) -> ControlFlow<String>;
}

impl Verdict for () {
    fn verdict(self) -> ControlFlow<String> {
        ControlFlow::Continue(())
    }
}

impl<R: Into<String>> Verdict for ControlFlow<R> {
    fn verdict(self) -> ControlFlow<String> {
        self.map_break(Into::into)
    }
}

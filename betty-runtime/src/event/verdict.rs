//! What an observer answers: whether the run goes on.

use std::ops::ControlFlow;

use crate::error::DataError;

/// What an observer answers: nothing, or whether the run goes on, or an error of its own. `ControlFlow::Break` ends the run after
/// the iteration in hand, with a reason for its [`Report`](crate::Report); an error ends it there with
/// [`EngineError::ObserverFailed`](crate::EngineError::ObserverFailed). It is saved before, if it shall be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what an observer answers",
    note = "an observer answers nothing, `ControlFlow<String>`, `ControlFlow<&str>`, or a `Result` of one of these"
)]
pub trait Verdict {
    /// Whether the run goes on, and if not, why.
    ///
    /// # Errors
    /// What the observer could not do.
    fn verdict(self) -> Result<ControlFlow<String>, DataError>;
}

impl Verdict for () {
    fn verdict(self) -> Result<ControlFlow<String>, DataError> {
        Ok(ControlFlow::Continue(()))
    }
}

impl<R: Into<String>> Verdict for ControlFlow<R> {
    fn verdict(self) -> Result<ControlFlow<String>, DataError> {
        Ok(self.map_break(Into::into))
    }
}

impl<V: Verdict, E: Into<DataError>> Verdict for Result<V, E> {
    fn verdict(self) -> Result<ControlFlow<String>, DataError> {
        self.map_err(Into::into)?.verdict()
    }
}

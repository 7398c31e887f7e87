//! Panics of kernels and of code that the user gave end a run with an error. Nothing of a run is taken over before all of it is
//! there, so what was interrupted leaves no trace.

use super::run::Run;
use crate::error::EngineError;
use crate::panic::caught;

impl Run {
    /// Does work for level `k`. A panic in it is an error, and so is a device without memory.
    pub(super) fn guarded<T>(
        &mut self,
        k: usize,
        work: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let done = caught(|| work(self));
        self.program.outcome(k, done)
    }

    /// The first panic of an observer since the last time, or else the first error.
    pub(super) fn check_observers(&mut self) -> Result<(), EngineError> {
        let iteration = self.iterations;
        match (self.watch.panic.take(), self.watch.failure.take()) {
            (None, None) => Ok(()),
            (Some(panic), _) => Err(EngineError::Observer { iteration, reason: panic.to_string() }),
            (None, Some(source)) => Err(EngineError::ObserverFailed { iteration, source }),
        }
    }
}

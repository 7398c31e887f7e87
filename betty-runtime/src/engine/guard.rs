//! Panics of kernels and of code that the user gave, as errors that name the level. Nothing of a run is taken over before all of
//! it is there, so what was interrupted leaves no trace.

use super::run::Run;
use crate::error::EngineError;
use crate::panic::{Panic, caught};

/// What devices say when they have no memory left.
const NO_MEMORY: [&str; 4] =
    ["out of memory", "out-of-memory", "out of device memory", "can't allocate buffer of size"];

impl Run {
    /// Does work for level `k`. A panic in it is an error, and so is a device without memory.
    pub(super) fn guarded<T>(
        &mut self,
        k: usize,
        work: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let done = caught(|| work(self)).unwrap_or_else(|panic| Err(self.panicked(k, &panic)));
        done.map_err(|error| match error {
            // These repeat what the device said.
            EngineError::Panicked { .. } | EngineError::Read(_) | EngineError::Hypergradient { .. }
                if is_out_of_memory(&error.to_string()) =>
            {
                self.out_of_memory(k, &error)
            }
            error => error,
        })
    }

    fn panicked(&self, k: usize, panic: &Panic) -> EngineError {
        let level = &self.program.levels[k];
        let indexes =
            |operation: &String| ["`gather", "`select", "`scatter"].iter().any(|of| operation.starts_with(of));
        let advice = if panic.operation.as_ref().is_some_and(indexes) {
            ". Look for an index in the data that is beyond the end of what it points into"
        } else {
            ""
        };
        EngineError::Panicked { level: level.name.into(), step: level.steps + 1, reason: format!("{panic}{advice}") }
    }

    fn out_of_memory(&self, k: usize, reason: &EngineError) -> EngineError {
        let level = &self.program.levels[k];
        let planned = self.program.losses.peak(k).max(level.update.peak());
        EngineError::OutOfMemory { level: level.name.into(), planned, reason: reason.to_string() }
    }

    /// The first panic of an observer since the last time.
    pub(super) fn check_observers(&mut self) -> Result<(), EngineError> {
        match self.watch.panic.take() {
            None => Ok(()),
            Some(panic) => Err(EngineError::Observer { iteration: self.iterations, reason: panic.to_string() }),
        }
    }
}

fn is_out_of_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    NO_MEMORY.iter().any(|phrase| text.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_devices_say_without_memory_is_known() {
        for text in [
            "out of device memory allocating 4096 bytes",
            "An out-of-memory error happened during launch",
            "can't allocate buffer of size: 68719476736",
            "CUDA_ERROR_OUT_OF_MEMORY: Out of memory",
        ] {
            assert!(is_out_of_memory(text), "{text}");
        }
        assert!(!is_out_of_memory("index 3 out of bounds for dimension of size 3"));
    }
}

//! What ended work for a level: a panic of a kernel or of code that the user gave, or a device without memory, as errors that
//! name the level.

use super::Program;
use crate::error::EngineError;
use crate::panic::Panic;

/// What devices say when they have no memory left.
const NO_MEMORY: [&str; 4] =
    ["out of memory", "out-of-memory", "out of device memory", "can't allocate buffer of size"];

impl Program {
    /// What work for level `k` came to. A panic in it is an error, and so is a device without memory.
    ///
    /// # Errors
    /// Those of the work, [`EngineError::Panicked`] and [`EngineError::OutOfMemory`].
    pub(crate) fn outcome<T>(&self, k: usize, done: Result<Result<T, EngineError>, Panic>) -> Result<T, EngineError> {
        let done = done.unwrap_or_else(|panic| Err(self.panicked(k, &panic)));
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
        let level = &self.levels[k];
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
        let level = &self.levels[k];
        let planned = self.losses.peak(k).max(level.update.peak());
        EngineError::OutOfMemory { level: level.name.into(), planned, reason: reason.to_string() }
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

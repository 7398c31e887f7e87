//! What can be wrong with what an observer writes.

use std::io;
use std::path::PathBuf;

use crate::error::CheckpointError;

/// An observer could not write what it is for.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// A file could not be read or written.
    #[error("cannot write `{}`: {reason}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// A file that is there was written by something else.
    #[error("`{}` was not written by this observer, because {what}; take it away, or choose another file", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Why it cannot have been.
        what: String,
    },
    /// A checkpoint could not be taken or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

crate::report::debug_as_report!(WatchError);

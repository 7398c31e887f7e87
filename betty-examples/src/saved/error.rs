//! Why a saved run is not gone on with.

use std::path::PathBuf;

use betty_runtime::CheckpointError;

/// Why a saved run cannot be gone on with.
#[derive(thiserror::Error)]
pub enum SavedRunError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What goes with it cannot be read.
    #[error("cannot read `{}`: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It was begun with another option.
    #[error(
        "the run saved in `{}` was begun with `{name}` {saved}, and this one has {asked}; give it the same options, or begin a \
         new run without `--resume` or with another `--out`",
        file.display()
    )]
    OtherChoice {
        /// The file of its options.
        file: PathBuf,
        /// The option.
        name: String,
        /// Its value then.
        saved: String,
        /// Its value now.
        asked: String,
    },
    /// It was ended because it is not healthy.
    #[error(
        "the run saved in `{}` was ended, because it is not healthy: {reason}; begin a new run without `--resume`, or go on with this \
         one all the same, with `--on-unhealthy warn`",
        file.display()
    )]
    Unhealthy {
        /// Its checkpoint.
        file: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// It has gone further than asked.
    #[error(
        "the run saved in `{}` has taken {taken} steps, and `--{option} {asked}` asks for fewer; ask for at least {taken}, or \
         begin a new run without `--resume` or with another `--out`",
        file.display()
    )]
    Beyond {
        /// Its checkpoint.
        file: PathBuf,
        /// Steps that it has taken.
        taken: u64,
        /// The option that says how many.
        option: &'static str,
        /// How many were asked for.
        asked: u64,
    },
}

betty_runtime::debug_as_report!(SavedRunError);

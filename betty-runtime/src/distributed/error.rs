//! Why ranks could not go on together. The same on every rank, but for what a transport says to each.

use super::CollectiveError;

/// Ranks cannot go on together.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DistributedError {
    /// A message did not come through.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// A rank failed, and all others stop with it.
    #[error("rank {rank} failed, so all ranks stop: {message}")]
    OnRank {
        /// Who failed first.
        rank: usize,
        /// What it said.
        message: String,
    },
    /// Ranks work on different things, or exchange different things for the same.
    #[error(
        "rank {rank} is at {theirs} where rank 0 is at {ours}: ranks must run the same program with the same config and ask the same \
         questions in the same order"
    )]
    OutOfStep {
        /// The first rank that is somewhere else than rank 0.
        rank: usize,
        /// What it works on, or which message it is at.
        theirs: String,
        /// The same of rank 0.
        ours: String,
    },
    /// Ranks do not run the same program.
    #[error(
        "rank {rank} does not have the {what} of rank 0; give all ranks the same program, config, schedulers and edits, or resume \
         all of them from the last checkpoint"
    )]
    Differs {
        /// What differs.
        what: &'static str,
        /// The first rank where it does.
        rank: usize,
    },
    /// A run has begun before it was divided among ranks.
    #[error(
        "this engine has looked at batches or gone on from a checkpoint already, by itself: call `distributed` right after \
         `Engine::new`, before `resume`, questions and runs"
    )]
    Late,
    /// A tensor could not be read to be sent.
    #[error("a tensor cannot be sent to the other ranks: {reason}")]
    Read {
        /// What the device said.
        reason: String,
    },
}

crate::report::debug_as_report!(DistributedError);

impl From<crate::execute::ReadError> for DistributedError {
    fn from(error: crate::execute::ReadError) -> Self {
        DistributedError::Read { reason: error.to_string() }
    }
}

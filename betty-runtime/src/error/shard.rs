//! Ranks of a distributed run cannot share the examples of a batch.

/// Ranks of a distributed run cannot share the examples of a batch.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// A batch of a distributed run that does not say how many examples it holds.
    #[error(
        "how many examples a batch of level `{level}` holds is not known, because its tensors have different leading dimensions: \
         mark the field whose first dimension counts them with `#[batch(examples)]`, or say that all ranks have the same \
         batches: `engine.replicated(\"{level}\")`"
    )]
    UnknownExamples {
        /// The level.
        level: String,
    },
    /// A rank of a distributed run whose share of a batch is empty.
    #[error("the batch of level `{level}` holds no example on rank {rank}; give every rank at least one")]
    NoExamples {
        /// The level.
        level: String,
        /// The first rank without any.
        rank: usize,
    },
    /// The batches of a level are said to be the same on all ranks, and are not.
    #[error(
        "the batches of level `{level}` are said to be the same on all ranks, but that of rank {rank} is not that of rank 0; give \
         all ranks the same stream, or take `replicated` or `split` away so that they count as shares of one batch"
    )]
    NotReplicated {
        /// The level.
        level: String,
        /// The first rank with another batch.
        rank: usize,
    },
    /// The shares of a batch cannot be put together.
    #[error(
        "the shares of the batch of level `{level}` cannot be joined to compare its loss with: {reason}; let the first dimension of \
         every tensor count examples, or say that all ranks have the same batches: `engine.replicated(\"{level}\")`"
    )]
    NotJoinable {
        /// The level.
        level: String,
        /// Why.
        reason: String,
    },
    /// A loss is not the mean of the losses of the shares of its batch.
    #[error(
        "the {what} of level `{level}` on a batch of all ranks differs by {difference:.1e} from the mean of what ranks have on their \
         shares, so that ranks cannot share its examples: let the loss be a mean over examples, or form what it forms of the \
         whole batch (a sum, what normalises weights, how many a mask leaves) by `distributed::sum`, or let all ranks have the same \
         batches: `engine.replicated(\"{level}\")`"
    )]
    NotAMean {
        /// The level.
        level: String,
        /// The loss, or the gradient in the parameters of a level.
        what: String,
        /// The difference, relative to the size of what ranks have.
        difference: f64,
    },
    /// Something that ranks cannot share, because each would form it of its own examples.
    #[error("ranks cannot share the examples of level `{level}`, because {reason}")]
    NotShared {
        /// The level.
        level: String,
        /// What each would form, and what to do.
        reason: String,
    },
    /// A hypergradient that ranks cannot find each on its own examples.
    #[error("ranks cannot put hypergradients together at the end only, because of level `{level}`: {reason}")]
    NotLast {
        /// The level.
        level: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A program whose work cannot be split in the way that was asked for.
    #[error("ranks cannot split the work by {split}, because {reason}")]
    NotSplit {
        /// How it was to be split.
        split: &'static str,
        /// Why not, and what to do.
        reason: String,
    },
}

crate::report::debug_as_report!(ShardError);

//! A level cannot start from another level.

/// A level cannot start from another level.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A level cannot start from another because their modules differ.
    #[error(
        "level `{level}` cannot start from `{from}`: {ours} would get the value of {theirs}; give both the same module"
    )]
    Mismatch {
        /// The level.
        level: String,
        /// The level that it starts from.
        from: String,
        /// The first tensor that does not fit, of the level.
        ours: String,
        /// The first tensor that does not fit, of the other.
        theirs: String,
    },
    /// A level starts from another that has other parameters, so that copying them could not be differentiated.
    #[error(
        "level `{level}` cannot start from `{from}`: `{parameter}` is trained in `{trained}` only; give both the same \
         parameters, by `train` and `freeze` for instance"
    )]
    Selection {
        /// The level.
        level: String,
        /// The level that it starts from.
        from: String,
        /// Path of the first tensor that only one of them trains.
        parameter: String,
        /// The one that does.
        trained: String,
    },
}

crate::report::debug_as_report!(StartError);

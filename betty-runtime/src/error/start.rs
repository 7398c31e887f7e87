//! A level cannot start where it shall.

/// A level cannot start where it shall.
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
    /// A level starts at a new draw, but the program names nothing that makes one.
    #[error(
        "`{level}.start` is `fresh`, but the program names no function that draws; write `start: fresh(my_net)` there, with \
         `fn my_net(device: &Device) -> …`, or choose another start"
    )]
    NoFunction {
        /// The level.
        level: String,
    },
    /// The function that draws the starts of a level cannot be recorded.
    #[error(
        "the function that draws the starts of level `{level}` {reason}; it is recorded once and drawn again each time, so it \
         makes all tensors on the device that it is given, of random draws and constants"
    )]
    Unrecorded {
        /// The level.
        level: String,
        /// What it did.
        reason: String,
    },
    /// The function that draws the starts of a level makes another module than the level holds.
    #[error(
        "level `{level}` cannot start at a new draw: `{parameter}` is {held} in the module of the program, and {drawn} in what \
         its function makes; let it make a module like the one that the program is given, of the same types"
    )]
    Drawn {
        /// The level.
        level: String,
        /// Path of the first tensor that does not fit.
        parameter: String,
        /// What the module of the program has there.
        held: String,
        /// What the function makes.
        drawn: String,
    },
}

crate::report::debug_as_report!(StartError);

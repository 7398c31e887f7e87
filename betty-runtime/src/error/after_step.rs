//! A function cannot follow the steps of a level.

/// A function cannot follow the steps of a level, as `after_step` says.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AfterStepError {
    /// The function cannot be recorded.
    #[error(
        "the function after each step of level `{level}` {reason}; it is recorded once as a graph of tensors, so compute with \
         those of its modules, and with constants"
    )]
    Unrecorded {
        /// The level.
        level: String,
        /// What it did.
        reason: String,
    },
    /// The function draws random numbers.
    #[error(
        "the function after each step of level `{level}` draws random numbers, and a step that is taken again has to be the same; \
         draw in the loss instead"
    )]
    Draws {
        /// The level.
        level: String,
    },
    /// The function reads a tensor that it cannot.
    #[error("the function after each step of level `{level}` reads `{path}`, which is {what}")]
    Reads {
        /// The level.
        level: String,
        /// Path of the tensor.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// The function returns another module than it was given.
    #[error(
        "the function after each step of level `{level}` returns {found} for `{parameter}`, in the place of {wanted}; let it return \
         the module that it is given, with other values of the parameters that the level trains"
    )]
    Returned {
        /// The level.
        level: String,
        /// Path of the first tensor that does not fit.
        parameter: String,
        /// What it returns.
        found: String,
        /// What belongs there.
        wanted: String,
    },
}

crate::report::debug_as_report!(AfterStepError);

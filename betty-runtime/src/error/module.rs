//! A module cannot be the parameters of a level.

/// A module cannot be the parameters of a level.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// A level without trainable parameters.
    #[error(
        "level `{level}` has no trainable parameter: every parameter of its module is frozen or left out by `train` and \
         `freeze`, or there is none"
    )]
    NothingToTrain {
        /// The level.
        level: String,
    },
    /// Places that are one parameter hold different tensors.
    #[error(
        "`{one}` and `{other}` of level `{level}` are one parameter, because they have one identifier, but they differ in \
         {differ}; put the same tensor in both, or make two parameters of them with `betty_runtime::untied`"
    )]
    TiedApart {
        /// The level.
        level: String,
        /// Path of the first place.
        one: String,
        /// Path of the other.
        other: String,
        /// In what they differ.
        differ: &'static str,
    },
    /// `train` or `freeze` name only some of the places of one parameter.
    #[error(
        "`{moved}` and `{still}` of level `{level}` are one parameter, because they have one identifier, but `train` and \
         `freeze` let only `{moved}` move; say the same of both, or make two parameters of them with `betty_runtime::untied`"
    )]
    TiedSelection {
        /// The level.
        level: String,
        /// Path of the place that would move.
        moved: String,
        /// Path of the place that would stand still.
        still: String,
    },
    /// Running statistics that do not belong to a module.
    #[error(
        "the module has no running statistic `{path}` of shape {shape:?}; give the module of the level whose loss moved it"
    )]
    OtherModule {
        /// Where the statistic is in the level's module.
        path: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

crate::report::debug_as_report!(ModuleError);

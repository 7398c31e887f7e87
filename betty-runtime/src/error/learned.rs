//! A number of an optimizer cannot be learned by the level above as the program says.

/// A number of an optimizer cannot be learned by the level above as the program says.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LearnedError {
    /// The parameters that a number of an optimizer is made of are not there, or do not fit the level's parameters.
    #[error(
        "`{place}` is `{number}`, but {found}; it takes one parameter of shape [1], or one of its shape, or of shape [1], \
         for each parameter of `{level}`: {wanted}"
    )]
    Mismatch {
        /// Where the number stands.
        place: String,
        /// The number, as it is written.
        number: String,
        /// What there is at its path, or which paths there are.
        found: String,
        /// The level.
        level: String,
        /// Its parameters.
        wanted: String,
    },
    /// The parameters of a number that differs by step do not have a row for each step.
    #[error(
        "`{place}` is `{number}`, which takes a row of each parameter there for each of the {unroll} steps of `{level}`, and one \
         has the shape {found:?}; make its first dimension as long as `unroll`"
    )]
    Rows {
        /// Where the number stands.
        place: String,
        /// The number, as it is written.
        number: String,
        /// The shape of the first parameter with another number of rows.
        found: Vec<usize>,
        /// The level whose steps they are.
        level: String,
        /// How many steps it takes.
        unroll: usize,
    },
    /// A learned number that begins out of its range.
    #[error(
        "`{place}` is `{number}`, which begins at {value}; it must be {expected}: begin elsewhere, or use a transform that \
         stays in the range: `exp`, `softplus` or `sigmoid`"
    )]
    OutOfRange {
        /// Where the number stands.
        place: String,
        /// The number, as it is written.
        number: String,
        /// The first value that is out of range.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A learned number that has come out of its range, with which a step led nowhere.
    #[error(
        "`{place}` is `{number}`, which has come to {value}, and a step with it is not finite; it must be {expected}: learn it more \
         slowly, or bound what it is made of, by `project: clamp(low = …, high = …)` at its level for instance. The step was not taken: what was \
         before is kept"
    )]
    HasLeft {
        /// Where the number stands.
        place: String,
        /// The number, as it is written.
        number: String,
        /// The first value that is out of range.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A scheduler for a learning rate that is learned.
    #[error(
        "level `{level}` cannot have a scheduler, because its learning rate is learned: `{number}`; schedule the level that \
         learns it, or fix the rate"
    )]
    Scheduled {
        /// The level.
        level: String,
        /// The learning rate, as it is written.
        number: String,
    },
}

crate::report::debug_as_report!(LearnedError);

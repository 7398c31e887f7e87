//! Options that are right by themselves, but not beside each other, or not where the level stands in the program.

use betty_schema::rules::Violation;

/// Options that are right by themselves, but not beside each other, or not where the level stands in the program.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConflictError {
    /// A rule is broken at a level, one of those that `multilevel!` holds the program itself against.
    #[error("`{path}`: {text}")]
    Broken {
        /// Where what breaks it stands, or belongs.
        path: String,
        /// The level.
        level: String,
        /// The rule.
        rule: Violation,
        /// What is wrong, and what to do.
        text: String,
    },
    /// A level starts from another, but the program does not say which.
    #[error("`{path}` is `from`, but the program does not say from which level `{level}` starts: `start: from(…)`")]
    StartUnknown {
        /// Where the word stands.
        path: String,
        /// The level.
        level: String,
    },
    /// A level no longer starts from another, which is all that it had of it.
    #[error(
        "`{path}` is `{start}`, but in the program where the steps of `{level}` begin is all that it has of `{from}`, so no \
         hypergradient would reach `{from}`; leave `from`, or list `{from}` under `upper` of `{level}`"
    )]
    StartLeft {
        /// Where the word stands.
        path: String,
        /// The word.
        start: &'static str,
        /// The level.
        level: String,
        /// The level that it starts from in the program.
        from: String,
    },
    /// A number is learned by a level that the program does not let learn it.
    #[error(
        "`{path}` is `{number}`, but in the program `{from}` learns no number of `{level}`, and the program fixes where \
         hypergradients pass; write it there: `optimizer: …(… = {number})`"
    )]
    LearnedUnknown {
        /// Where the number stands.
        path: String,
        /// The number, as it is written.
        number: String,
        /// The level.
        level: String,
        /// The level that would learn it.
        from: String,
    },
    /// A level has neither an optimizer nor a solver.
    #[error("`{path}` is missing, and `{level}` has no `solver` either, so that nothing moves it; give it one of them")]
    NeverMoves {
        /// Where the optimizer belongs.
        path: String,
        /// The level.
        level: String,
    },
    /// A level has an optimizer, or groups, and a solver.
    #[error("`{path}` is given, but `{level}` has an `optimizer` or `groups`, whose place it takes; keep one of them")]
    MovedTwice {
        /// Where the solver stands.
        path: String,
        /// The level.
        level: String,
    },
    /// Parameters of a level are in no group, or in none that steps them.
    #[error("`{path}`: {reason}")]
    NotGrouped {
        /// Where the group, or the optimizer, stands.
        path: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// What an optimizer does along its momentum, without one.
    #[error(
        "`{path}` is given, but without `momentum` it changes nothing; give the optimizer a `momentum`, or leave it out"
    )]
    NoMomentum {
        /// Where the option stands.
        path: String,
    },
    /// The config asks for a method of the user's own that the program does not name.
    #[error(
        "the config of level `{level}` asks for the method `custom`, but the program does not say which: \
         `hypergradient: custom(MyMethod)`"
    )]
    NoCustomMethod {
        /// The level.
        level: String,
    },
    /// The config asks for an optimizer of the user's own that the program does not name.
    #[error(
        "the config of `{level}` asks for the optimizer `custom`, but the program does not say which: \
         `optimizer: custom(MyOptimizer, lr = 0.1)`"
    )]
    NoCustomOptimizer {
        /// The level.
        level: String,
    },
}

crate::report::debug_as_report!(ConflictError);

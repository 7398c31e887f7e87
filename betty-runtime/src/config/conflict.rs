//! Options that are right by themselves, but not beside each other, or not where the level stands in the program.

/// Options that are right by themselves, but not beside each other, or not where the level stands in the program.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConflictError {
    /// A hypergradient passes through a level that does not say how.
    #[error("`{path}` is missing; a hypergradient passes through `{level}`")]
    HypergradientMissing {
        /// Where the method belongs.
        path: String,
        /// The level.
        level: String,
    },
    /// A level says how to compute a hypergradient that never passes through it.
    #[error("`{path}` is given, but no hypergradient passes through `{level}`")]
    HypergradientUnused {
        /// Where the method stands.
        path: String,
        /// The level.
        level: String,
    },
    /// A number that only matters to levels that others wait for.
    #[error("`{path}` is given, but no level is solved after `{level}`, so it is never used")]
    NeverUsed {
        /// Where the number stands.
        path: String,
        /// The level.
        level: String,
    },
    /// A level starts from another, but the program does not say which.
    #[error("`{path}` is `from`, but the program does not say from which level `{level}` starts: `start: from(…)`")]
    StartUnknown {
        /// Where the word stands.
        path: String,
        /// The level.
        level: String,
    },
    /// A level starts from another that its method does not see.
    #[error(
        "`{path}` is `{method}`, but `{level}` starts from `{from}` and does not read it, and only methods that go through \
         the steps, such as `unrolled`, see where they begin"
    )]
    StartUnseen {
        /// Where the method stands.
        path: String,
        /// The method.
        method: &'static str,
        /// The level.
        level: String,
        /// The level that it starts from.
        from: String,
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
    /// Too few steps are differentiated to see where they begin, which is all that a level has of another.
    #[error(
        "`{path}` is {truncate} of {unroll} steps, but where they begin is all that `{level}` has of `{from}`, so no \
         hypergradient would reach `{from}`; raise it, or list `{from}` under `upper` of `{level}`"
    )]
    StartCut {
        /// Where the number stands.
        path: String,
        /// The level.
        level: String,
        /// The level that it starts from.
        from: String,
        /// The number.
        truncate: usize,
        /// Steps that are taken.
        unroll: usize,
    },
    /// Several tasks for a level below which nothing is solved.
    #[error(
        "`{path}` is {tasks}, but `{level}` waits for no level that could be solved for each task; `accumulate` averages over \
         batches"
    )]
    NoTasks {
        /// Where the number stands.
        path: String,
        /// The level.
        level: String,
        /// The number.
        tasks: usize,
    },
    /// Several rounds for a level below which nothing takes steps.
    #[error("`{path}` is {rounds}, but `{level}` waits for no level that could take its steps so often")]
    NoRounds {
        /// Where the number stands.
        path: String,
        /// The level.
        level: String,
        /// The number.
        rounds: usize,
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
    /// A number is learned by a level that the method does not let know about it.
    #[error(
        "`{path}` is `{method}`, but `{from}` learns `{option}` of `{level}`, on which no best response depends, and only \
         methods that go through the steps, such as `unrolled`, see it"
    )]
    LearnedUnseen {
        /// Where the method stands.
        path: String,
        /// The method.
        method: &'static str,
        /// The level.
        level: String,
        /// The number.
        option: &'static str,
        /// The level that learns it.
        from: String,
    },
    /// More steps are to be differentiated than are taken.
    #[error(
        "`{path}` is {truncate}, but `{level}` takes only {unroll} steps before a level above; lower it or raise `unroll`"
    )]
    TruncateTooLong {
        /// Where the number stands.
        path: String,
        /// The level.
        level: String,
        /// The number.
        truncate: usize,
        /// Steps that are taken.
        unroll: usize,
    },
    /// The steps of a level are differentiated that waits for others, below a level that is differentiated itself.
    #[error(
        "`{path}` is `unrolled`, but `{level}` answers to `{above}`, whose own best response is differentiated, and waits \
         for `{below}`, so its steps cannot be differentiated twice; choose an implicit method for `{level}`, such as `cg`"
    )]
    UnrolledBetween {
        /// Where the method stands.
        path: String,
        /// The level.
        level: String,
        /// The level above it.
        above: String,
        /// The level that it waits for.
        below: String,
    },
    /// Tasks are to be computed together that cannot be.
    #[error("`{path}` is `true`, but the tasks of `{level}` cannot be computed together: {reason}")]
    NotTogether {
        /// Where the flag stands.
        path: String,
        /// The level.
        level: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The steps of a level are gone through otherwise than in reverse, below a level that is differentiated itself.
    #[error(
        "`{path}` is `{method}`, but `{level}` answers to `{above}`, whose own best response is differentiated, and only \
         the steps of an `unrolled` level can be differentiated twice; choose it for `{level}`, or an implicit method"
    )]
    StepsBelow {
        /// Where the method stands.
        path: String,
        /// The method.
        method: &'static str,
        /// The level.
        level: String,
        /// The level above it.
        above: String,
    },
    /// A level begins to take steps after a level above that goes through them.
    #[error(
        "`{path}` is {warmup}, but `{above}` takes steps after {begins} iterations already, and its hypergradient goes through \
         the steps of `{level}`; lower it, or give `{above}` as many"
    )]
    WarmupTooLong {
        /// Where the number stands.
        path: String,
        /// The level.
        level: String,
        /// The number.
        warmup: usize,
        /// The level above it.
        above: String,
        /// Iterations after which that takes steps.
        begins: usize,
    },
    /// Steps that are differentiated twice are all held at once.
    #[error(
        "`{path}` is given, but `{level}` answers to `{above}`, whose own best response is differentiated: the steps of \
         `{level}` become one function whose values are all held at once; take `memory` away"
    )]
    MemoryUnused {
        /// Where the number stands.
        path: String,
        /// The level.
        level: String,
        /// The level above it.
        above: String,
    },
    /// The steps of a level are to be taken again, but rest on best responses that are not.
    #[error(
        "`{path}` is `evolution`, but the steps of `{level}` follow a gradient that rests on the best response of `{below}`, \
         which is not found again; choose `forward_gradient` for `{level}`, or `unrolled`"
    )]
    ReplayOfResponse {
        /// Where the method stands.
        path: String,
        /// The level.
        level: String,
        /// The level below it.
        below: String,
    },
    /// The steps of a level are differentiated that depends on another level and is depended on.
    #[error(
        "`{path}` is `{method}`, but `{level}` and `{peer}` depend on each other; choose an implicit method for `{level}`, \
         such as `cg`"
    )]
    UnrolledInCircle {
        /// Where the method stands.
        path: String,
        /// The method.
        method: &'static str,
        /// The level.
        level: String,
        /// The other level.
        peer: String,
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
    /// A schedule that changes nothing.
    #[error("`{path}` changes nothing: {reason}")]
    NotScheduled {
        /// Where the schedule stands, or the part of it.
        path: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A solver cannot find the best response of a level.
    #[error("`{path}` is given, but no solver can find the best response of `{level}`: {reason}")]
    NotSolved {
        /// Where the solver stands.
        path: String,
        /// The level.
        level: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// Everything below a level is to be solved by one loop, which cannot be.
    #[error("`{path}` is `joint`, but {reason}")]
    NotJoint {
        /// Where the solver stands.
        path: String,
        /// Why it cannot be, and what to do.
        reason: String,
    },
    /// The answer of a level cannot be differentiated as the fixed point that the program says it is.
    #[error("`{path}` does not go with the `condition` of `{level}`, whose answer is a fixed point: {reason}")]
    NotFixed {
        /// Where what does not go with it stands.
        path: String,
        /// The level.
        level: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A preconditioner that nobody applies.
    #[error("`{path}` is given, but {reason}")]
    NotPreconditioned {
        /// Where the preconditioner stands.
        path: String,
        /// Why nobody does, and what to do.
        reason: String,
    },
    /// Everything below a level is to be solved no more exactly than needed, and is no system that could be.
    #[error("`{path}` is `inexact`, but {reason}")]
    NotInexact {
        /// Where the solver stands.
        path: String,
        /// Why it cannot be, and what to do.
        reason: String,
    },
    /// A level is to be differentiated with the levels below standing still, where that changes nothing.
    #[error("`{path}` is `partial`, but {reason}")]
    CurvatureIdle {
        /// Where the word stands.
        path: String,
        /// Why it changes nothing.
        reason: String,
    },
    /// The parameters of a level whose best response is differentiated are confined to a set.
    #[error(
        "`{path}` is given, but a hypergradient passes through `{level}`, and no implicit method differentiates a best \
         response that is held by a constraint; choose `unrolled`, or express the constraint in the loss or the module"
    )]
    ProjectedResponse {
        /// Where the projection stands.
        path: String,
        /// The level.
        level: String,
    },
    /// An implicit method at a level whose steps are followed by a function of the program's own.
    #[error(
        "`{path}` is `{method}`, which solves for where the loss of `{level}` is least, but in the program a function follows \
         each of its steps (`after_step`); choose `unrolled`, or say in the program where the steps come to rest: \
         `condition: fixed_point(my_map)`"
    )]
    FollowedResponse {
        /// Where the method stands.
        path: String,
        /// The method.
        method: &'static str,
        /// The level.
        level: String,
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

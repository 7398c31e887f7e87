//! A hypergradient passes through steps that are not at hand.

/// A hypergradient passes through steps that are not at hand.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StepsError {
    /// A gradient through steps that have not been taken.
    #[error(
        "the hypergradient passes through the steps of level `{level}`, but it has not taken any since the engine was \
         made, edited or resumed; run an iteration first"
    )]
    NotTaken {
        /// The level.
        level: String,
    },
    /// A gradient through steps of tasks that are computed together.
    #[error(
        "the hypergradient of level `{above}` passes through the steps of `{level}`, which are computed together for all tasks, \
         so that none is kept to look back on; set `vectorize` of `{above}` to `false` to look at single hypergradients"
    )]
    Together {
        /// The level.
        level: String,
        /// The level whose tasks they are.
        above: String,
    },
    /// A gradient through steps of tasks that ranks have taken some of each.
    #[error(
        "the hypergradient of level `{above}` passes through the steps of `{level}`, which ranks take for some tasks each, so that \
         no rank keeps those that all would look back on; ask in one process, or split the work by examples"
    )]
    OfTasks {
        /// The level.
        level: String,
        /// The level whose tasks they are.
        above: String,
    },
    /// Steps whose derivative is carried along, between which another level moves whose is not.
    #[error(
        "the hypergradient of level `{above}` carries tangents along with the steps of `{level}`, which read `{read}` while that takes \
         steps of its own, and cannot follow those here; give `{level}` the method `unrolled`, or its method to every level beside it \
         that has `forward` or `forward_gradient`, or let `{read}` begin anew for each step (`start: initial`)"
    )]
    NotFollowed {
        /// The level with the tangents.
        level: String,
        /// The level that moves.
        read: String,
        /// The level whose hypergradient it is.
        above: String,
    },
    /// A gradient that passes through a level by a method that needs what somebody else's loop does.
    #[error(
        "level `{level}` is differentiated by `{method}`, which needs {needs}, and your own loop keeps those for itself; choose a \
         method that needs its parameters only, `hypergradient: cg` for instance, also by the config, or let `Engine` take the \
         steps"
    )]
    Elsewhere {
        /// The level.
        level: String,
        /// Its method.
        method: &'static str,
        /// What the method needs.
        needs: &'static str,
    },
}

crate::report::debug_as_report!(StepsError);

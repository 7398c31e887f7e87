//! A level has no best response that could be found or differentiated: its solver, its map or its preconditioner is not what it has to
//! be.

use crate::solver::SolverFailure;

/// A level has no best response that could be found or differentiated: its solver, its map or its preconditioner is not what it has to
/// be.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SolverError {
    /// The config asks for a solver of the user's own that the program does not name.
    #[error(
        "the config of level `{level}` asks for the solver `custom`, but the program does not say which: `solver: \
         custom(MySolver)`"
    )]
    NotNamed {
        /// The level.
        level: String,
    },
    /// A solver of the user's own found no best response.
    #[error("the solver of level `{level}` failed at step {step}: {source}")]
    Failed {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// What the solver said.
        source: SolverFailure,
    },
    /// A solver of the user's own answered another module.
    #[error(
        "the solver of level `{level}` answered {reason} at step {step}; let it answer the level's module with other values in \
         its parameters"
    )]
    Answer {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A solver of the user's own answered a point that is no best response.
    #[error(
        "the solver of level `{level}` answered a point that is not stationary at step {step}: the gradient of the level's loss \
         has norm {norm:.1e} there, which may be {tolerance:.1e}; solve for the same loss on the same batch, and more precisely, \
         or raise `tolerance` of `custom`; a solver on several ranks has to solve for the batch of all, which it sees with \
         `engine.replicated(\"{level}\")`"
    )]
    NotStationary {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// The norm of the gradient.
        norm: f64,
        /// The largest norm that is accepted: the level's tolerance, or what rounding leaves of the gradient's terms where that is more.
        tolerance: f64,
    },
    /// The loss of a level falls without end, and no less steeply than it began.
    #[error(
        "the loss of level `{level}` fell from {start:.1e} to {loss:.1e} at step {step} and falls on as steeply as it began: it has no \
         lower bound, so that there is no best response; add a penalty to it, or let its parameters stay in a bounded set"
    )]
    Unbounded {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// The loss where the solver began.
        start: f64,
        /// The loss where it ended.
        loss: f64,
    },
    /// A solver of the user's own answered a point that is no fixed point.
    #[error(
        "the solver of level `{level}` answered a point that is not fixed at step {step}: ‖θ − T(θ)‖ is {norm:.1e} there, which may \
         be {tolerance:.1e}; solve for the fixed point of the same map on the same batch, and more precisely, or raise `tolerance` of \
         `custom`"
    )]
    NotFixed {
        /// The level.
        level: String,
        /// The step, counted from 1.
        step: u64,
        /// What is left of the condition.
        norm: f64,
        /// The most that is accepted.
        tolerance: f64,
    },
    /// The answer of a level cannot be differentiated as a fixed point.
    #[error("the answer of level `{level}` cannot be differentiated as a fixed point: {reason}")]
    NoFixedPoint {
        /// The level.
        level: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The config asks for a preconditioner of the user's own that the program does not name.
    #[error(
        "the config of level `{level}` asks for the preconditioner `custom`, but the program does not say which: \
         `preconditioner: custom(MyPreconditioner)`"
    )]
    NoPreconditioner {
        /// The level.
        level: String,
    },
}

crate::report::debug_as_report!(SolverError);

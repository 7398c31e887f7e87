//! The solvers that find best responses in the place of steps.

use betty_macros::configs;

configs! {
    /// A solver of a level and its numbers; in JSON `{"name": "lbfgs", "tolerance": 1e-8}`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum LevelSolverConfig {}
}

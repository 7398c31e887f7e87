//! How everything below a level is solved, where that is not left to the methods of the levels.

use betty_macros::configs;

configs! {
    /// A solver of everything below a level; in JSON `{"name": "joint", "iterations": 200}`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum SolverConfig {}
}

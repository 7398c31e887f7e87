//! The preconditioners of the systems that differentiate a best response.

use betty_macros::configs;

configs! {
    /// A preconditioner and its numbers; in JSON `{"name": "nystrom", "rank": 20}`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum PreconditionerConfig {}
}

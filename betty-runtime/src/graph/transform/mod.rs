//! Graph-to-graph transforms: derivatives, reachability and replay.

mod forward;
mod reach;
mod replay;
mod reverse;

pub use forward::jvp;
pub use reach::{dependents, reachable};
pub use replay::replay;
pub use reverse::vjp;

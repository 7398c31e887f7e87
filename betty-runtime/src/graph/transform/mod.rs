//! Graph-to-graph transforms: derivatives, reachability, replay, and many inputs at once.

mod forward;
mod reach;
mod replay;
mod reverse;
mod vectorize;

pub use forward::jvp;
pub use reach::{dependents, reachable};
pub use replay::replay;
pub use reverse::vjp;
pub use vectorize::{Image, vectorize};

//! Graph-to-graph transforms: derivatives, reachability and replay.

mod forward;
mod precision;
mod reach;
mod replay;
mod reverse;
mod rewrite;

pub use forward::jvp;
pub(crate) use precision::accumulator;
pub use precision::{expand_products, products_as_given, products_in};
pub use reach::{dependents, reachable};
pub use replay::replay;
pub use reverse::vjp;

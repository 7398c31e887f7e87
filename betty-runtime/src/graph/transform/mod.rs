//! Graph-to-graph transforms: derivatives, reachability, replay, and many inputs at once.

mod forward;
mod precision;
mod reach;
mod replay;
mod reverse;
mod rewrite;
mod vectorize;

pub use forward::jvp;
pub(crate) use precision::accumulator;
pub use precision::{expand_products, products_as_given, products_in};
pub use reach::{dependents, reachable};
pub use replay::replay;
pub use reverse::vjp;
pub use vectorize::{Image, Vectorized, for_each, vectorize};

//! Graph-to-graph transforms: derivatives, reachability, replay, and many inputs at once.

mod double;
mod forward;
mod lowered;
mod merged;
mod once;
mod over_ranks;
mod precision;
mod reach;
mod replay;
mod reverse;
mod rewrite;
mod rounded;
mod vectorize;

pub(crate) use double::{Doubled, in_f64};
pub use forward::jvp;
pub(crate) use lowered::lowered;
pub(crate) use once::written_once;
pub(crate) use over_ranks::{over_ranks, shared, summed_over_ranks};
pub(crate) use precision::accumulator;
pub use precision::{expand_products, products_as_given, products_in};
pub(crate) use reach::Leads;
pub use reach::{dependents, differentiated, reachable};
pub use replay::replay;
pub use reverse::vjp;
pub(crate) use rounded::rounded;
pub use vectorize::{Vectorized, for_each, vectorize};

//! From a loss function over Burn modules to a static graph.
//!
//! The function is run once on Burn's capture device, through autodiff, with a placeholder in the place of every
//! parameter and batch tensor. What Burn recorded is imported into a [`Graph`](crate::graph::Graph); Burn's own backward
//! pass, recorded in the same breath, is kept to verify our derivatives with.

mod advance;
mod batch;
mod capture;
mod changes;
mod constants;
mod device;
mod error;
mod gradient;
mod import;
mod mark;
mod measured;
mod module;
mod number;
mod part;
mod place;
mod skeleton;
mod statistics;
mod stop_gradient;
mod tape;
mod tracer;

pub(crate) use advance::advance;
pub use batch::{AnyBatch, Batch, BatchMapper, Signature, hash_plain};
pub(crate) use capture::trace_part;
pub use capture::{LossInput, Trace, trace, trace_for};
pub(crate) use changes::{BatchLeaf, Changes};
pub use error::{TraceError, Unsupported};
pub use gradient::gradient;
pub use measured::{LossValue, Measured};
pub(crate) use module::leaves;
pub use module::{Leaf, LevelModule};
pub use number::Number;
pub(crate) use part::Part;
pub use place::{Apart, Place, Role, apart, untied};
pub(crate) use statistics::mapped_once;
pub use stop_gradient::stop_gradient;
pub use tracer::Tracer;

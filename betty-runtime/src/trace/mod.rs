//! From a loss function over Burn modules to a static graph.
//!
//! The function is run once on Burn's capture device, through autodiff, with a placeholder in the place of every
//! parameter and batch tensor. What Burn recorded is imported into a [`Graph`](crate::graph::Graph); Burn's own backward
//! pass, recorded in the same breath, is kept to verify our derivatives with.
//!
//! ```
//! use betty_runtime::trace::{AnyBatch, trace};
//! use burn::module::Param;
//! use burn::tensor::{Device, Tensor};
//!
//! # fn main() -> Result<(), betty_runtime::trace::TraceError> {
//! let ones = || Tensor::<1>::ones([3], &Device::flex());
//! let model = Param::from_tensor(ones());
//! let recorded = trace("model", &AnyBatch::new(ones()), |tracer| {
//!     let (model, target): (Param<Tensor<1>>, Tensor<1>) = (tracer.module(0, &model), tracer.batch());
//!     (model.val() - target).square().sum()
//! })?;
//! assert_eq!(recorded.inputs.len(), 2); // the parameter and the batch
//! # Ok(())
//! # }
//! ```

mod advance;
mod after_step;
mod answers;
mod any_batch;
mod batch;
mod capture;
mod changes;
mod constants;
mod device;
mod erased;
mod error;
mod fixed_point;
mod fresh;
mod given;
mod gradient;
mod import;
mod loss;
mod mark;
mod measured;
mod module;
mod number;
mod output;
mod part;
mod place;
mod placed;
mod plain;
mod recorded;
mod refusal;
mod replace;
mod skeleton;
mod statistics;
mod step;
mod stop_gradient;
mod tape;
mod tracer;
mod updates;
mod whole;
mod written;

pub(crate) use advance::advance;
pub use after_step::next_module;
pub(crate) use any_batch::Shard;
pub use any_batch::{AnyBatch, Signature};
#[doc(hidden)]
pub use batch::hash_plain;
pub use batch::{Batch, BatchMapper};
pub(crate) use capture::trace_part;
pub use capture::{trace, trace_for};
pub(crate) use changes::{BatchLeaf, Changes};
pub(crate) use erased::{AnyMapper, AnyVisitor, map_module, visit_module};
pub use error::{TraceError, Unsupported};
pub use fixed_point::NextParameters;
pub use fresh::Drawn;
pub(crate) use fresh::{Made, record_made};
pub use gradient::gradient;
pub use loss::{LossInput, Trace};
pub use measured::{LossValue, Measured};
pub(crate) use module::leaves;
pub use module::{Leaf, LevelModule};
pub use number::Number;
pub use output::output;
pub(crate) use part::Part;
pub use place::untied;
pub(crate) use place::{Apart, apart};
#[doc(hidden)]
pub use place::{Place, Role};
pub(crate) use plain::plain_data;
pub(crate) use statistics::{mapped_once, one_for_each_id};
pub use step::Step;
pub use stop_gradient::stop_gradient;
pub use tracer::Tracer;
pub(crate) use whole::{moments, summed};
#[doc(hidden)]
pub use written::{AsWritten, Written};

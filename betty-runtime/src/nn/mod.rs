//! Layers that keep state: what Burn's `nn` offers in a form that cannot be recorded.
//!
//! Every other layer of Burn's `nn` is used as it is. A layer belongs here only if its forward pass changes the layer
//! itself. A recording has no values, so such a change must be part of the recorded graph: a [`RunningStatistic`] is a
//! tensor that a forward pass may [`advance`](RunningStatistic::advance), and the engine carries the change out at each
//! step of the level that owns the module.
//!
//! ```
//! use betty_runtime::nn::{BatchNormConfig, inference};
//! use burn::tensor::{Device, Distribution, Tensor};
//!
//! let device = Device::flex();
//! let norm = BatchNormConfig::new(3).init(&device);
//! let x = Tensor::<2>::random([8, 3], Distribution::Default, &device);
//! let y = inference(&norm).forward(x.clone()); // with running statistics, which begin at mean 0 and variance 1
//! assert!((y - x).abs().max().into_scalar::<f32>() < 1e-4);
//! ```

mod batch_norm;
mod mode;
mod running;
mod stopped;

pub use batch_norm::{BatchNorm, BatchNormConfig};
pub use mode::inference;
pub use running::RunningStatistic;
pub use stopped::stopped;

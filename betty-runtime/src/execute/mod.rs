//! Running graphs on a device: plan once, then execute many times.
//!
//! A [`Program`] is a graph cut down to what its outputs need, bound to one device. Every value is dropped, or handed over
//! to be overwritten in place, at its last use. One executor over Burn's dispatch layer serves every device.
//!
//! ```
//! use betty_runtime::execute::{Program, Value};
//! use betty_runtime::graph::{Graph, GraphError};
//! use burn::tensor::{DType, Device, TensorData};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! let x = graph.input(&[2], DType::F32);
//! let square = graph.mul(x, x)?;
//! let device = Device::flex();
//! let program = Program::new(&graph, &[x], &[square], &device);
//! let given = Value::from_data(TensorData::from([3.0_f32, -1.0]), &device);
//! assert_eq!(program.run([given], 0)[0].to_vec()?, [9.0, 1.0]);
//! # Ok(())
//! # }
//! ```

mod awaited;
mod chain;
mod computed;
mod cost;
mod factor;
mod host;
mod kernel;
mod launched;
mod origin;
mod program;
mod random;
mod rows;
#[cfg(test)]
mod single;
#[cfg(test)]
mod solved;
mod space;
mod stages;
mod stored;
mod sum;
mod total;
mod unread;
mod value;
mod vector;
mod wide;
mod widths;

pub use awaited::Awaited;
pub(crate) use computed::{computes_in, not_computed};
pub use cost::Cost;
pub(crate) use launched::count;
pub use launched::launched;
pub use origin::Origin;
pub use program::Program;
pub(crate) use random::mix;
pub(crate) use space::CHECK_EVERY;
pub(crate) use sum::Sum;
pub(crate) use unread::Unread;
pub use value::{ReadError, Value, reads};
pub use vector::Vector;

//! Running graphs on a device: plan once, then execute many times.
//!
//! A [`Program`] is a graph cut down to what its outputs need, bound to one device. Every value is dropped, or handed over
//! to be overwritten in place, at its last use. One executor over Burn's dispatch layer serves every device.

mod cost;
mod host;
mod kernel;
mod launched;
mod origin;
mod program;
mod random;
mod rows;
mod space;
mod unread;
mod value;
mod vector;
mod wide;

pub use cost::Cost;
pub(crate) use launched::count;
pub use launched::launched;
pub use origin::Origin;
pub use program::Program;
pub(crate) use random::mix;
pub(crate) use unread::Unread;
pub use value::{ReadError, Value, reads};
pub use vector::Vector;

//! Files that are whole or not there, and folders that one run at a time writes into.

mod lock;
mod replace;

pub use lock::{FolderError, FolderLock};
pub(crate) use replace::check;
pub use replace::replace;

//! Files that are whole or not there, files that grow by whole records, and folders that one run at a time writes into.

mod append;
mod lock;
mod replace;

pub use append::Appended;
pub use lock::{FolderError, FolderLock};
pub(crate) use replace::check;
pub use replace::replace;

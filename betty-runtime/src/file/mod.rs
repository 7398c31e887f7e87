//! Files that are whole or not there, files that grow by whole records, and folders that one run at a time writes into.
//!
//! ```
//! use betty_runtime::file;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("betty-file-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let lock = file::FolderLock::acquire(&folder)?; // no other run writes here
//! file::replace(&folder.join("best.json"), b"{}")?; // the old text or the new one, whatever happens
//! assert_eq!(std::fs::read(folder.join("best.json"))?, b"{}");
//! # drop(lock);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```

mod append;
mod claim;
mod lock;
mod replace;

pub use append::Appended;
pub(crate) use claim::Claim;
pub use lock::{FolderError, FolderLock};
pub(crate) use replace::check;
pub use replace::replace;

//! Keeping a folder to one run at a time.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The file in a folder that says who writes into it. It stays, empty, because a file that goes away cannot be locked safely.
const NAME: &str = ".betty.lock";

/// A folder that no other run writes into while this lives: neither of this process, nor of another one, nor of another
/// container that sees the same folder. It ends with the process, however that ends.
///
/// Only those who ask are kept out. On a file system without locks nobody is.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

/// A folder that cannot be written into.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Another run writes into it.
    #[error(
        "{holder} is writing into `{}`; wait until it has ended, stop it, or choose another folder", folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Who writes into it, as far as it said so.
        holder: String,
    },
    /// It cannot be made, or nothing can be written into it.
    #[error("cannot write into `{}`: {reason}", folder.display())]
    Write {
        /// The folder.
        folder: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
}

crate::report::debug_as_report!(FolderError);

impl FolderLock {
    /// Makes the folder if it is not there, and keeps it until the answer is dropped.
    ///
    /// # Errors
    /// [`FolderError`] when another run keeps the folder, or nothing can be written into it.
    pub fn acquire(folder: &Path) -> Result<Self, FolderError> {
        let write = |reason| FolderError::Write { folder: folder.into(), reason };
        fs::create_dir_all(folder).map_err(write)?;
        let path = folder.join(NAME);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(write)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let said = file.read_to_string(&mut holder).is_ok() && !holder.is_empty();
                let holder = if said { holder } else { "another run".into() };
                return Err(FolderError::InUse { folder: folder.into(), holder });
            }
            Err(TryLockError::Error(reason)) => {
                tracing::warn!(folder = %folder.display(), %reason, "folders cannot be locked here");
            }
        }
        let said =
            file.set_len(0).and_then(|()| file.write_all(this_process().as_bytes())).and_then(|()| file.rewind());
        said.map_err(write)?;
        Ok(FolderLock { file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Whoever looks next sees that nobody is there.
        drop(self.file.set_len(0));
    }
}

/// Who this is, for those who have to wait.
fn this_process() -> String {
    let program = env::current_exe().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let program = program.map_or_else(String::new, |name| format!(" (`{name}`)"));
    // In containers, equal numbers are not equal processes.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.map_or_else(String::new, |name| format!(" on `{}`", name.trim()));
    format!("process {}{program}{host}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_kept_until_it_is_let_go() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let folder = parent.path().join("new/deep");
        let lock = FolderLock::acquire(&folder).expect("free");
        let error = FolderLock::acquire(&folder).expect_err("kept");
        let text = error.to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        assert!(text.contains("new/deep") && text.contains("choose another folder"), "{text}");
        FolderLock::acquire(parent.path()).expect("another folder is free");
        drop(lock);
        FolderLock::acquire(&folder).expect("free again");
    }

    #[test]
    fn only_one_of_many_gets_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let start = std::sync::Barrier::new(8);
        let locks: Vec<_> = std::thread::scope(|scope| {
            let acquire = || {
                start.wait();
                FolderLock::acquire(folder.path()).ok()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(acquire)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(locks.iter().flatten().count(), 1);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = FolderLock::acquire(file.path()).expect_err("a file");
        assert!(matches!(&error, FolderError::Write { folder, .. } if folder == file.path()), "{error}");
    }
}

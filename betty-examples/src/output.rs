//! A folder for results in which a file is either whole or not there, and into which one run writes at a time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use betty_runtime::file::{FolderError, FolderLock, replace};

/// A folder that was writable when it was opened, and that no other run opens meanwhile.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    /// None where another process writes for this one.
    lock: Option<FolderLock>,
}

/// A file or folder that could not be written.
#[derive(thiserror::Error)]
pub enum OutputError {
    /// The folder, because of another run or of the system.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file.
    #[error("cannot write `{}`: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

betty_runtime::debug_as_report!(OutputError);

impl OutputFolder {
    /// Makes the folder if it is not there, and keeps other runs out of it.
    ///
    /// # Errors
    /// When another run writes into it, it cannot be made, or nothing can be written into it.
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        Ok(OutputFolder { lock: Some(FolderLock::acquire(path)?), path: path.into() })
    }

    /// A folder that another process writes for this one.
    pub fn read_only(path: &Path) -> Self {
        OutputFolder { lock: None, path: path.into() }
    }

    /// Whether this process writes.
    pub fn is_written(&self) -> bool {
        self.lock.is_some()
    }

    /// Writes a file, if this process writes: under a temporary name first, then renamed, so that no reader ever sees a part of it.
    ///
    /// # Errors
    /// When it cannot be written; a file that was there before stays as it was.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, OutputError> {
        let path = self.path.join(name);
        if self.is_written() { write(path, content) } else { Ok(path) }
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a file as a whole.
pub(crate) fn write(path: PathBuf, content: impl AsRef<[u8]>) -> Result<PathBuf, OutputError> {
    match replace(&path, content.as_ref()) {
        Ok(()) => Ok(path),
        Err(source) => Err(OutputError::File { path, source }),
    }
}

/// Takes a file away, if it is there.
pub(crate) fn remove(path: PathBuf) -> Result<(), OutputError> {
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OutputError::File { path, source }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that are no hidden ones.
    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).expect("there").flatten();
        entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
    }

    #[test]
    fn a_file_replaces_the_one_before_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = OutputFolder::open(&folder.path().join("new/deep")).expect("can be made");
        output.write("a.txt", "one").expect("first");
        let path = output.write("a.txt", "two").expect("second");
        assert_eq!(fs::read_to_string(path).expect("there"), "two");
        assert_eq!(count(output.path()), 1);
        remove(output.path().join("a.txt")).expect("there");
        remove(output.path().join("a.txt")).expect("not there any more");
        assert_eq!(count(output.path()), 0);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = OutputFolder::open(file.path()).expect_err("a file");
        assert!(matches!(error, OutputError::Folder(FolderError::Write { .. })), "{error}");
    }

    #[test]
    fn a_folder_is_open_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = OutputFolder::open(folder.path()).expect("there");
        let error = OutputFolder::open(folder.path()).expect_err("in use");
        assert!(matches!(error, OutputError::Folder(FolderError::InUse { .. })), "{error}");
        drop(output);
        OutputFolder::open(folder.path()).expect("free again");
    }

    #[test]
    fn a_failed_write_names_its_target_and_cleans_up() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = OutputFolder::open(folder.path()).expect("there");
        fs::create_dir_all(folder.path().join("taken/full")).expect("in the way");
        let error = output.write("taken", "x").expect_err("a folder is in the way");
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(count(folder.path()), 1);
    }
}

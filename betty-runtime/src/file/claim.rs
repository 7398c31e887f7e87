//! A file that one writer has for itself, though others take its place whenever it is replaced as a whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::replace::hidden;

/// A file that nobody else claims while this lives, where the file system knows locks. What is locked is a hidden file beside it, so
/// that everybody can read it, and it can be replaced.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Claims a file, whether it is there or not.
    ///
    /// # Errors
    /// When somebody else has claimed it, or its folder cannot be written.
    pub(crate) fn on(file: &Path) -> io::Result<Self> {
        let path = hidden(file);
        loop {
            let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            let is_kept = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
            // Before it was locked, it may have been let go, or taken for one that a run has left that was killed.
            match (is_kept, path.try_exists()?) {
                (false, true) => return Ok(Claim { path, _lock: lock }),
                (true, true) => return Err(io::Error::new(ErrorKind::WouldBlock, "another run is writing it")),
                (_, false) => {}
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::replace;

    #[test]
    fn a_file_is_claimed_by_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("report.html");
        let claim = Claim::on(&file).expect("free");
        assert_eq!(Claim::on(&file).expect_err("claimed").to_string(), "another run is writing it");
        // Writing sweeps the folder, but not what is locked.
        replace(&file, b"<html>").expect("room");
        Claim::on(&file).expect_err("claimed");
        Claim::on(&folder.path().join("other.html")).expect("another file");
        drop(claim);
        drop(Claim::on(&file).expect("free again"));
        let names: Vec<_> =
            fs::read_dir(folder.path()).expect("there").map(|entry| entry.expect("one").file_name()).collect();
        assert_eq!(names, ["report.html"]);
        // What a run has left that was killed is no claim.
        fs::write(hidden(&file), "").expect("room");
        drop(Claim::on(&file).expect("nobody holds it"));
    }
}

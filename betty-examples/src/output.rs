//! A folder for results in which a file is either whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder that was writable when it was opened.
#[derive(Clone, Debug)]
pub struct OutputFolder {
    path: PathBuf,
}

/// A file or folder that could not be written.
#[derive(thiserror::Error)]
#[error("cannot write `{}`: {source}", path.display())]
pub struct OutputError {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

betty_runtime::debug_as_report!(OutputError);

impl OutputFolder {
    /// Makes the folder if it is not there, and writes a file into it to see whether that is possible.
    ///
    /// # Errors
    /// When the folder cannot be made, or nothing can be written into it.
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        let failed = |source| OutputError { path: path.into(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let probe = path.join(temporary("probe"));
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
        Ok(OutputFolder { path: path.into() })
    }

    /// Writes a file: under a temporary name first, then renamed, so that no reader ever sees a part of it.
    ///
    /// # Errors
    /// When it cannot be written; a file that was there before stays as it was.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, OutputError> {
        let path = self.path.join(name);
        let temporary = self.path.join(temporary(name));
        match write_synced(&temporary, content.as_ref()).and_then(|()| fs::rename(&temporary, &path)) {
            Ok(()) => Ok(path),
            Err(source) => {
                // The first error is the one to report.
                let _ = fs::remove_file(&temporary);
                Err(OutputError { path, source })
            }
        }
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A name that no other process uses at the same time.
fn temporary(name: &str) -> String {
    format!(".{name}.{}.tmp", std::process::id())
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_replaces_the_one_before_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = OutputFolder::open(&folder.path().join("new/deep")).expect("can be made");
        output.write("a.txt", "one").expect("first");
        let path = output.write("a.txt", "two").expect("second");
        assert_eq!(fs::read_to_string(path).expect("there"), "two");
        assert_eq!(fs::read_dir(output.path()).expect("there").count(), 1);
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = OutputFolder::open(file.path()).expect_err("a file");
        assert_eq!(error.path, file.path());
    }

    #[test]
    fn a_failed_write_names_its_target_and_cleans_up() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = OutputFolder::open(folder.path()).expect("there");
        fs::create_dir_all(folder.path().join("taken/full")).expect("in the way");
        let error = output.write("taken", "x").expect_err("a folder is in the way");
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }
}

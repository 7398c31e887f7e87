//! Writing a file as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replaces `file` by these bytes. It holds either the old or the new ones at any time, also after a crash: they are
/// written beside the file, which is then renamed, because only renaming is atomic.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = file.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let temporary = file.with_file_name(hidden);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let outcome = written.and_then(|()| fs::rename(&temporary, file));
    if outcome.is_err() {
        // The first error is the one that matters.
        drop(fs::remove_file(&temporary));
    }
    outcome
}

//! A file that grows by whole records.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::replace;

/// Records reach the file at least so often while there are any.
const EVERY: Duration = Duration::from_secs(1);

/// A file that grows by whole records, for one writer at a time: as long as this lives, others are refused, where the file system
/// knows locks.
///
/// Records are gathered, and reach the file together about once a second, or when it is [flushed](Self::flush). A record that
/// could not be written as a whole is taken back, and stays to be written. Only where a program or machine ends in the middle of
/// a write may a part of one stay behind, which is not taken for one when the file is [gone on with](Self::go_on).
#[derive(Debug)]
pub struct Appended {
    path: PathBuf,
    file: File,
    /// The bytes of whole records in the file.
    length: u64,
    pending: Vec<u8>,
    flushed: Instant,
}

impl Appended {
    /// An empty file, in the place of one that was there.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else writes it.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let mut appended = Self::open(path)?;
        appended.file.set_len(0)?;
        appended.length = 0;
        Ok(appended)
    }

    /// The file that is there, less what `keep` takes out of its bytes: a run that goes on from a checkpoint takes out what was
    /// written after it, and a part of a record at the end. One that is not there is begun.
    ///
    /// # Errors
    /// When it cannot be read or written, or somebody else writes it, or what `keep` says.
    pub fn go_on<E: From<io::Error>>(path: &Path, keep: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Self, E> {
        let mut appended = Self::open(path)?;
        appended.retain(keep)?;
        Ok(appended)
    }

    /// Takes out of the file what `keep` takes out of its bytes.
    ///
    /// # Errors
    /// When it cannot be read or written, or what `keep` says; then it is as it was.
    pub fn retain<E: From<io::Error>>(&mut self, keep: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<(), E> {
        self.flush()?;
        let bytes = fs::read(&self.path)?;
        let kept = keep(&bytes)?;
        if kept != bytes {
            // As a whole or not at all; what is open is another file then.
            replace(&self.path, &kept)?;
            (self.file, self.length) = open(&self.path)?;
        }
        Ok(())
    }

    fn open(path: &Path) -> io::Result<Self> {
        let (file, length) = open(path)?;
        Ok(Appended { path: path.into(), file, length, pending: Vec::new(), flushed: Instant::now() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When records are to be written and cannot be.
    pub fn push(&mut self, record: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(record);
        if self.flushed.elapsed() < EVERY { Ok(()) } else { self.flush() }
    }

    /// Writes all records.
    ///
    /// # Errors
    /// When they cannot be written; they stay to be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.pending) {
            // Where this fails too, a part stays, as after a crash.
            drop(self.file.set_len(self.length));
            return Err(error);
        }
        self.length += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes all records, and waits until they would survive a crash of the machine.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.length == 0 && self.pending.is_empty()
    }
}

/// A file for one writer, and the number of its bytes.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(io::Error::new(ErrorKind::WouldBlock, "another run is writing it"));
    }
    let length = file.metadata()?.len();
    Ok((file, length))
}

impl Drop for Appended {
    fn drop(&mut self) {
        drop(self.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: &[u8]) -> Result<Vec<u8>, io::Error> {
        // Whole lines, but for those that say so.
        let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        Ok(whole.filter(|line| *line != b"late\n").flatten().copied().collect())
    }

    #[test]
    fn it_goes_on_with_whole_records_of_before() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let mut file = Appended::begin(&path).expect("free");
        file.push(b"one\n").expect("room");
        file.push(b"late\n").expect("room");
        let error = Appended::begin(&path).expect_err("kept");
        assert_eq!(error.to_string(), "another run is writing it");
        drop(file);
        fs::write(&path, "one\nlate\ntw").expect("a crash");
        let mut file = Appended::go_on(&path, kept).expect("there");
        file.push(b"two\n").expect("room");
        file.sync().expect("room");
        assert_eq!(fs::read_to_string(&path).expect("there"), "one\ntwo\n");
        file.push(b"late\n").expect("room");
        file.retain(kept).expect("there");
        file.push(b"three\n").expect("room");
        drop(file);
        assert_eq!(fs::read_to_string(&path).expect("there"), "one\ntwo\nthree\n");
        drop(Appended::begin(&path).expect("free"));
        assert_eq!(fs::read_to_string(&path).expect("there"), "");
    }

    #[test]
    fn what_is_refused_leaves_the_file_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        fs::write(&path, "something of somebody").expect("room");
        let refuse = |_: &[u8]| Err(io::Error::other("not ours"));
        assert_eq!(Appended::go_on(&path, refuse).expect_err("refused").to_string(), "not ours");
        assert_eq!(fs::read_to_string(&path).expect("there"), "something of somebody");
        Appended::begin(folder.path()).expect_err("a folder");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_nothing_is_lost() {
        let mut file = Appended::open(Path::new("/dev/full")).expect("there");
        file.push(b"one\n").expect("gathered");
        assert_eq!(file.flush().expect_err("full").kind(), ErrorKind::StorageFull);
        assert_eq!(file.pending, b"one\n");
    }
}

//! A file of records that goes along with a run, whatever the records are.

use std::path::{Path, PathBuf};

use super::error::WatchError;
use crate::Event;
use crate::file::Appended;

/// The part of a file's bytes that belongs to a run up to an iteration, or why it is no such file.
pub(super) type Keep = fn(&[u8], u64) -> Result<Vec<u8>, String>;

/// A file of records.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    keep: Keep,
    open: Option<Appended>,
    /// Whether a checkpoint was put in the place of what the file goes up to. Its records stay until a run goes on from there: the
    /// best program may be all that anybody wanted.
    went_back: bool,
}

impl Log {
    pub(super) fn new(path: PathBuf, keep: Keep) -> Self {
        Log { path, keep, open: None, went_back: false }
    }

    /// Begins the file, or goes on with it, before anything of a run is recorded; answers whether it is empty, and needs what
    /// such files begin with. Writes everything where it must not be behind.
    pub(super) fn hear(&mut self, event: &Event<'_>) -> Result<bool, WatchError> {
        match *event {
            Event::Started { iteration, .. } if self.open.is_none() || self.went_back => {
                self.went_back = false;
                self.open(iteration)
            }
            Event::Resumed { .. } => {
                self.went_back = true;
                self.with(Appended::flush).map(|()| false)
            }
            Event::Saving { .. } | Event::Ended { .. } => self.with(Appended::sync).map(|()| false),
            Event::Validation { .. } => self.with(Appended::flush).map(|()| false),
            _ => Ok(false),
        }
    }

    fn open(&mut self, iteration: u64) -> Result<bool, WatchError> {
        let Log { path: file, keep, open, .. } = self;
        let kept = |bytes: &[u8]| keep(bytes, iteration).map_err(Refused::Foreign);
        let opened = match (open.take(), iteration) {
            (Some(mut opened), _) => opened.retain(kept).map(|()| opened),
            // Only what such an observer has written is begun anew.
            (None, 0) => {
                Appended::go_on(file, |bytes| keep(bytes, u64::MAX).map_err(Refused::Foreign).map(|_| Vec::new()))
            }
            (None, _) => Appended::go_on(file, kept),
        };
        let opened = opened.map_err(|refused| match refused {
            Refused::Foreign(what) => WatchError::Foreign { file: file.clone(), what },
            Refused::System(reason) => not_written(file, reason),
        });
        Ok(open.insert(opened?).is_empty())
    }

    /// Whether records go into the file.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &[u8]) -> Result<(), WatchError> {
        self.with(|open| open.push(record))
    }

    fn with(&mut self, act: impl FnOnce(&mut Appended) -> std::io::Result<()>) -> Result<(), WatchError> {
        self.open.as_mut().map_or(Ok(()), act).map_err(|reason| not_written(&self.path, reason))
    }
}

enum Refused {
    Foreign(String),
    System(std::io::Error),
}

impl From<std::io::Error> for Refused {
    fn from(reason: std::io::Error) -> Self {
        Refused::System(reason)
    }
}

pub(super) fn not_written(file: &Path, reason: std::io::Error) -> WatchError {
    WatchError::Write { file: file.into(), reason }
}

/// The whole lines of a text of lines up to an iteration, whose number `iteration` finds in a line.
pub(super) fn lines_until(bytes: &[u8], last: u64, iteration: impl Fn(&str) -> Option<u64>) -> Result<Vec<u8>, String> {
    // What a crash has left of a line may end within a character.
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| "it is no text".to_owned())?;
    let mut kept = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match iteration(line.trim_end()) {
            Some(of) if of <= last => kept.push_str(line),
            Some(_) => {}
            None => return Err(format!("its line {} is none of this observer's", index + 1)),
        }
    }
    Ok(kept.into_bytes())
}

//! Event files for TensorBoard.

mod crc;
mod record;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::WatchError;
use super::log::not_written;
use super::place::Place;
use super::scalars::scalars;
use crate::engine::Facts;
use crate::error::DataError;
use crate::file::Appended;
use crate::{Current, Event, Looks, Multilevel, Observer};

/// How names of event files begin.
const PREFIX: &str = "events.out.tfevents.";

/// Writes what `tensorboard --logdir` shows: the numbers of every iteration, called `level/loss`, `level/gradient_norm`,
/// `level/learning_rate`, `level/metric`, `level/lower/products`, `level/lower/residual`, `validation/value` and
/// `validation/metric`, and the program's config as a text. Of a level that takes several steps in an iteration, the last one
/// counts.
///
/// Every run writes a file of its own into the folder. A run that goes on from a checkpoint tells readers to forget what files
/// before say of later iterations. A folder is one curve: give every run of its own a folder of its own.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    every: u64,
    place: Place,
    file: Option<Appended>,
    /// The last numbers of the iteration in hand.
    numbers: BTreeMap<String, f64>,
}

impl TensorBoard {
    /// Writes into this folder, which is made if it is not there.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let numbers = BTreeMap::new();
        TensorBoard { folder: folder.into(), every: 1, place: Place::default(), file: None, numbers }
    }

    /// Records only iterations that are multiples of `iterations` (at least 1), and validation always.
    #[must_use]
    pub fn every(mut self, iterations: u64) -> Self {
        self.every = iterations.max(1);
        self
    }

    fn record(&mut self, event: &Event<'_>, facts: Facts<'_>) -> Result<(), WatchError> {
        self.place.hear(event);
        match *event {
            Event::Started { iteration, .. } if self.file.is_none() => {
                let file = self.open(iteration).map_err(|reason| not_written(&self.folder, reason))?;
                self.file = Some(file);
                let config = format!("```json\n{}\n```", facts.config);
                self.push(&record::text(now(), iteration, "config", &config))
            }
            // The next run writes another file.
            Event::Resumed { .. } => {
                self.numbers.clear();
                self.flush(Appended::flush)?;
                self.file = None;
                Ok(())
            }
            Event::Step { .. } | Event::Solved { .. } | Event::Hypergradient { .. } | Event::Parts { .. }
                if self.place.is_due(event, self.every) =>
            {
                self.numbers
                    .extend(scalars(event).into_iter().map(|number| (tag(number.of, &number.name), number.value)));
                Ok(())
            }
            Event::Iteration { iteration } if !self.numbers.is_empty() => {
                let numbers = std::mem::take(&mut self.numbers);
                let numbers = numbers.iter().map(|(tag, value)| (tag.as_str(), *value));
                self.push(&record::scalars(now(), iteration, numbers))
            }
            Event::Validation { iteration, .. } => {
                let numbers: Vec<_> =
                    scalars(event).iter().map(|number| (tag(number.of, &number.name), number.value)).collect();
                let numbers = numbers.iter().map(|(tag, value)| (tag.as_str(), *value));
                self.push(&record::scalars(now(), iteration, numbers))?;
                self.flush(Appended::flush)
            }
            Event::Saving { .. } | Event::Ended { .. } => self.flush(Appended::sync),
            _ => Ok(()),
        }
    }

    /// A new file, for iterations after this one.
    fn open(&self, iteration: u64) -> io::Result<Appended> {
        fs::create_dir_all(&self.folder)?;
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        // Readers take the files of a folder in the order of their names, and the clock may have been put back.
        let seconds = last_in(&self.folder)?.map_or(0, |last| last.saturating_add(1)).max(now() as u64);
        let process = std::process::id();
        let names = (0..).map(|number| format!("{PREFIX}{seconds:010}.{host}.{process}.{number:03}"));
        for path in names.map(|name| self.folder.join(name)) {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    let mut file = Appended::begin(&path)?;
                    file.push(&record::version(now()))?;
                    file.push(&record::started(now(), iteration + 1))?;
                    file.flush()?;
                    return Ok(file);
                }
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn push(&mut self, record: &[u8]) -> Result<(), WatchError> {
        self.flush(|file| file.push(record))
    }

    fn flush(&mut self, act: impl FnOnce(&mut Appended) -> io::Result<()>) -> Result<(), WatchError> {
        self.file.as_mut().map_or(Ok(()), act).map_err(|reason| not_written(&self.folder, reason))
    }
}

impl<P: Multilevel> Observer<P> for TensorBoard {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        self.record(event, program.facts())?;
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Never
    }
}

fn tag(of: &str, name: &str) -> String {
    format!("{of}/{name}")
}

/// What the last of the event files in a folder, if there is one, begins its name with.
fn last_in(folder: &Path) -> io::Result<Option<u64>> {
    let mut last = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
        last = last.max(number);
    }
    Ok(last)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

//! Where a run stands, as a file: named tensors, counters, a version and a checksum.

mod archive;
mod groups;
mod level;
mod schedulers;
mod state;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(crate) use archive::Archive;
pub(crate) use level::OfRun;
pub(crate) use state::{RunState, ValidationState, outline_of};

use crate::error::CheckpointError;
use crate::file::replace;

/// Where a run stands: the tensors of all modules, the states of optimizers, schedulers and validation, every counter, and
/// the seed.
///
/// Neither the program's numbers nor its data are part of it: the engine that resumes brings both. In a file it is in the
/// safetensors format, with parameters named `level.path` (`classifier.first.weight`), a version, and a checksum.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub(crate) state: RunState,
    pub(crate) archive: Archive,
    /// Where it was read from, for messages.
    pub(crate) file: Option<PathBuf>,
}

/// What tells checkpoints of one run from those of others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Label {
    pub(crate) program: String,
    pub(crate) seed: u64,
    pub(crate) iterations: u64,
}

impl Checkpoint {
    /// Reads a checkpoint from a file.
    ///
    /// # Errors
    /// [`CheckpointError`] when the file cannot be read, is no checkpoint, was cut short or changed, or is newer than this
    /// release.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let file = file.as_ref().to_owned();
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(reason) => return Err(CheckpointError::Read { file, reason }),
        };
        let archive = Archive::decode(&bytes).and_then(|archive| {
            let state = serde_json::from_str::<RunState>(&archive.state);
            let mut state =
                state.map_err(|reason| CheckpointError::NotACheckpoint { reason: format!("state: {reason}") })?;
            state.check()?;
            let groups = state.levels.iter_mut().flat_map(|level| &mut level.groups);
            groups.for_each(|group| group.path = archive::as_now_named(&group.path));
            Ok((state, archive))
        });
        match archive {
            Ok((state, archive)) => Ok(Checkpoint { state, archive, file: Some(file) }),
            Err(reason) => Err(CheckpointError::InFile { file, reason: Box::new(reason) }),
        }
    }

    /// Reads the checkpoint of a run that may not have been saved yet: `None` if its folder has no such file.
    ///
    /// ```no_run
    /// # use betty_runtime::{Checkpoint, Engine, EngineError, Multilevel, StreamPosition};
    /// # fn example<P: Multilevel>(engine: &mut Engine<P>) -> Result<(), EngineError> {
    /// if let Some(checkpoint) = Checkpoint::find("run.safetensors")? {
    ///     println!("going on after {} iterations", checkpoint.iterations());
    ///     engine.resume(&checkpoint, StreamPosition::Start)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open), and when nobody can say whether there is one: the folder is missing, or may not be searched.
    pub fn find(file: impl AsRef<Path>) -> Result<Option<Self>, CheckpointError> {
        let file = file.as_ref();
        match Self::open(file) {
            Err(CheckpointError::Read { reason, .. })
                if reason.kind() == ErrorKind::NotFound && folder_of(file).is_dir() =>
            {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Writes the checkpoint to a file, which holds either the old or the new checkpoint at any time.
    ///
    /// # Errors
    /// [`CheckpointError::Write`] when the file or its folder cannot be written, and [`CheckpointError::NotFinite`] when it
    /// would replace a checkpoint of finite numbers by one with others.
    pub fn save(&self, file: impl AsRef<Path>) -> Result<(), CheckpointError> {
        let file = file.as_ref();
        if let Some(tensor) = self.poisons(file) {
            return Err(CheckpointError::NotFinite { file: file.into(), tensor });
        }
        replace(file, &self.archive.encode()).map_err(|reason| CheckpointError::Write { file: file.into(), reason })
    }

    /// A tensor that is not finite, but is in the checkpoint that there is.
    fn poisons(&self, file: &Path) -> Option<String> {
        // Nearly always there is none, and the old file need not be read.
        self.archive.broken_since(&Archive::default())?;
        let before = Archive::decode(&fs::read(file).ok()?).ok()?;
        self.archive.broken_since(&before).map(str::to_owned)
    }

    /// Of which program, with which seed and after how many iterations a file says that it is a checkpoint, if it is one: nothing else
    /// of it is read.
    pub(crate) fn label(file: &Path) -> Option<Label> {
        serde_json::from_str(&Archive::state_in(file)?).ok()
    }

    /// The name of the program it belongs to.
    pub fn program(&self) -> &str {
        &self.state.program
    }

    /// Iterations the run had completed.
    pub fn iterations(&self) -> u64 {
        self.state.iterations
    }

    /// Steps a level had taken, if there is a level of that name.
    pub fn steps(&self, level: &str) -> Option<u64> {
        self.state.levels.iter().find(|state| state.name == level).map(|state| state.steps)
    }

    /// Batches a level had taken from its stream, if there is a level of that name.
    pub fn batches(&self, level: &str) -> Option<u64> {
        self.state.levels.iter().find(|state| state.name == level).map(|state| state.batches)
    }

    /// An error of this checkpoint, with the name of its file.
    pub(crate) fn named(&self, reason: CheckpointError) -> CheckpointError {
        match &self.file {
            Some(file) => CheckpointError::InFile { file: file.clone(), reason: Box::new(reason) },
            None => reason,
        }
    }
}

/// The folder that holds a file.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

//! Checkpoints that an engine writes by itself during a run.

use std::path::{Path, PathBuf};

use super::checkpoint::StreamPosition;
use super::multilevel::Multilevel;
use super::saves::Saves;
use super::train::Engine;
use super::watch::{Answer, Listener};
use crate::checkpoint::Checkpoint;
use crate::error::{CheckpointError, EngineError};
use crate::event::Event;
use crate::file::{self, Claim};

impl<P: Multilevel> Engine<P> {
    /// Writes a [`Checkpoint`] after every `every` iterations (at least 1), and at the end of every run: after its last iteration,
    /// also where validation or an observer failed then, or the data came to their end before anything was done of the next one.
    /// An error in the middle of an iteration leaves the file as it is.
    ///
    /// A run does not begin if the file cannot be written, or another run is writing it (where the file system knows locks), and ends
    /// with an error if it cannot be written at its end. Between, a failure is an [`Event::SaveFailed`]: the run goes on, the file keeps the
    /// last checkpoint, and soon it is tried again.
    #[must_use]
    pub fn save_every(mut self, every: u64, file: impl Into<PathBuf>) -> Self {
        self.run.watch.saver = Some(saver());
        self.saves = Some(Saves { every: every.max(1), file: file.into(), claim: None, retry: None });
        self
    }

    /// Goes on from the checkpoint in a file, if there is one; answers whether there is. As [`resume`](Self::resume) and
    /// [`Checkpoint::find`]: a file that cannot be read is an error, and never taken for one that is not there.
    ///
    /// # Errors
    /// [`EngineError::Checkpoint`] as these, and the errors of the data while batches are skipped; on several ranks the same on all of
    /// them, whichever cannot read it.
    pub fn resume_if_present(&mut self, file: impl AsRef<Path>, streams: StreamPosition) -> Result<bool, EngineError> {
        match self.find_checkpoint(|| Checkpoint::find(file))? {
            Some(checkpoint) => self.resume(&checkpoint, streams).map(|()| true),
            None => Ok(false),
        }
    }

    /// What is there to go on from. Where one rank cannot read it, none goes on.
    pub(crate) fn find_checkpoint(
        &mut self,
        find: impl FnOnce() -> Result<Option<Checkpoint>, CheckpointError>,
    ) -> Result<Option<Checkpoint>, EngineError> {
        let find = || find().map_err(EngineError::from);
        if self.run.ranks().is_some() { self.on_all_ranks("resume", |_| find()) } else { find() }
    }

    /// Lets the first of several ranks write a checkpoint, before any of them goes on. Where it cannot, none does.
    pub(crate) fn put_checkpoint(
        &mut self,
        put: impl FnOnce() -> Result<(), CheckpointError>,
    ) -> Result<(), EngineError> {
        let is_first = self.run.is_first();
        self.find_checkpoint(|| if is_first { put().map(|()| None) } else { Ok(None) }).map(drop)
    }

    /// Finds out before a run whether checkpoints can be written, rather than after hours, and keeps other runs from writing them.
    pub(super) fn check_saves(&mut self) -> Result<(), EngineError> {
        let is_first = self.run.is_first();
        if let Some(Saves { claim, file, .. }) = self.saves.as_mut().filter(|_| is_first) {
            let refused = |reason| CheckpointError::Write { file: file.clone(), reason };
            file::check(file).map_err(refused)?;
            // What is there and is no file, a device say, has no neighbours of its own.
            if !file.exists() || file.is_file() {
                *claim = Some(Claim::on(file).map_err(refused)?);
            }
        }
        Ok(())
    }

    /// Lets others write the checkpoints.
    pub(super) fn free_saves(&mut self) {
        if let Some(saves) = &mut self.saves {
            saves.claim = None;
        }
    }

    /// Writes the checkpoint that is due after an iteration, `last` of its run or not.
    pub(super) fn save_if_due(&mut self, last: bool) -> Result<(), EngineError> {
        let iteration = self.run.iterations;
        let file = match &self.saves {
            Some(saves) if self.run.is_first() && (last || saves.is_due(iteration)) => saves.file.clone(),
            _ => return Ok(()),
        };
        self.emit(&Event::Saving { iteration, file: &file });
        let saved = self.run.watch.saved.take();
        let (Some(saves), Some(saved)) = (&mut self.saves, saved) else { return Ok(()) };
        match saved {
            Ok(()) => saves.retry = None,
            Err(reason) if last => return Err(reason.into()),
            Err(reason) => {
                let (next, reason) = (saves.put_off(iteration), reason.to_string());
                self.emit(&Event::SaveFailed { iteration, file: &file, reason: &reason, next });
            }
        }
        Ok(())
    }

    /// An error that ends a run after a whole iteration, which has been saved.
    pub(super) fn saved(&mut self, error: EngineError) -> EngineError {
        if let Err(reason) = self.save_if_due(true) {
            tracing::warn!(%reason, "what came before an error could not be saved");
        }
        error
    }
}

/// The observer that writes a checkpoint when everybody else has been told that one is about to be written.
fn saver() -> Listener {
    Box::new(|event, present| {
        let Event::Saving { file, .. } = event else { return Answer::default() };
        let saved = present.run.save().and_then(|checkpoint| checkpoint.save(file));
        Answer { saved: Some(saved), ..Answer::default() }
    })
}

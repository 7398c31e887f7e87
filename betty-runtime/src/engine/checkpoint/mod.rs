//! Saving a run and going on with it later, bit for bit.

mod archive;
mod error;
mod level;
mod periodic;
mod state;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use error::CheckpointError;
pub(super) use periodic::Saves;
pub(super) use state::ValidationState;

use self::archive::Archive;
use self::state::{RunState, outline_of};
use super::error::EngineError;
use super::level::Seeded;
use super::program::Multilevel;
use super::train::Engine;
use crate::execute::mix;
use crate::file::replace;

/// Where a run stands: the tensors of all modules, the states of optimizers, schedulers and validation, every counter, and
/// the seed.
///
/// Neither the program's numbers nor its data are part of it: the engine that resumes brings both. In a file it is in the
/// safetensors format, with parameters named `level.path` (`classifier.first.weight`), a version, and a checksum.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    state: RunState,
    archive: Archive,
    /// Where it was read from, for messages.
    file: Option<PathBuf>,
}

/// Where the streams of an engine stand that resumes a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPosition {
    /// At their start: as many batches as the saved run had taken are taken and dropped. Streams that give the same
    /// batches again continue the run bit for bit.
    Start,
    /// Where the caller has put them; [`Checkpoint::batches`] says how many batches each level had taken. A best response
    /// that would be differentiated on a batch from before the checkpoint is differentiated on the next batch instead.
    Placed,
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
            let state =
                state.map_err(|reason| CheckpointError::NotACheckpoint { reason: format!("state: {reason}") })?;
            state.check()?;
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

    fn named(&self, reason: CheckpointError) -> CheckpointError {
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

impl<P: Multilevel> Engine<P> {
    /// Where the run stands now, after the last completed step.
    ///
    /// # Errors
    /// [`CheckpointError`] when a tensor cannot be copied from its device, or is quantized.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        let mut archive = Archive::default();
        let mut levels = Vec::with_capacity(self.levels.len());
        for ((level, spec), seen) in self.levels.iter().zip(P::SCHEDULE.levels).zip(&self.seen) {
            let lower = spec.lower.iter().map(|&lower| P::SCHEDULE.levels[lower].name.to_owned()).collect();
            levels.push(level.save_into(&mut archive, lower, seen.clone())?);
            for (&stop, solution) in &level.solutions {
                level.save_solution(&self.levels[stop], solution, &mut archive)?;
            }
        }
        let state = RunState {
            program: P::SCHEDULE.name.into(),
            seed: self.seed,
            iterations: self.iterations,
            validation: self.validation.as_ref().map(|validation| validation.state()),
            levels,
        };
        archive.state = serde_json::to_string(&state)
            .map_err(|reason| CheckpointError::NotACheckpoint { reason: format!("state: {reason}") })?;
        Ok(Checkpoint { state, archive, file: None })
    }

    /// Goes on from a checkpoint. On the CPU, with the same numbers and the same data, the run continues bit for bit.
    ///
    /// The engine brings the program, its config and its data, and has its schedulers and its validation already; the
    /// checkpoint gives tensors, counters and the seed. Numbers may differ from those of the saved run (another learning
    /// rate, say) as long as the optimizers are the same. Steps from before the checkpoint are not differentiated any more,
    /// which matters only to levels whose steps hypergradients go through and that several levels share in different rhythms:
    /// such a level takes new steps where the saved run would have gone through older ones.
    ///
    /// ```no_run
    /// # use betty_runtime::{Engine, EngineError, Multilevel, StreamPosition};
    /// # fn example<P: Multilevel>(data: P::Data, problem: P, config: P::Config) -> Result<(), EngineError> {
    /// let mut engine = Engine::new(problem, data, config)?.save_every(100, "run.safetensors");
    /// engine.resume_if_present("run.safetensors", StreamPosition::Start)?;
    /// engine.run_until(1000)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`EngineError::Checkpoint`] when the checkpoint belongs to another program or to other modules, and the errors of the
    /// data while batches are skipped. The engine is then as it was, except for batches that were already skipped.
    pub fn resume(&mut self, checkpoint: &Checkpoint, streams: StreamPosition) -> Result<(), EngineError> {
        self.check_edited()?;
        let state = &checkpoint.state;
        let refused = |reason| EngineError::from(checkpoint.named(reason));
        if state.program != P::SCHEDULE.name {
            let (saved, running) = (state.program.clone(), P::SCHEDULE.name.to_owned());
            return Err(refused(CheckpointError::OtherProgram { saved, running }));
        }
        let (saved, running) = (state.outline(), outline_of(&P::SCHEDULE));
        if saved != running || state.levels.iter().any(|level| level.seen.len() != level.lower.len()) {
            return Err(refused(CheckpointError::OtherLevels { saved, running }));
        }
        let mut archive = checkpoint.archive.clone();
        let mut restored = Vec::with_capacity(self.levels.len());
        let mut solutions = Vec::with_capacity(self.levels.len());
        for (level, state) in self.levels.iter().zip(&state.levels) {
            restored.push(level.restored(state, &mut archive).map_err(refused)?);
            let mut of_level = BTreeMap::new();
            for (&stop, below) in state.solutions.iter().filter_map(|stop| Some((stop, self.levels.get(*stop)?))) {
                of_level.insert(stop, level.restored_solution(below, &mut archive).map_err(refused)?);
            }
            solutions.push(of_level);
        }
        if let Some((tensor, _)) = archive.tensors.pop_first() {
            return Err(refused(CheckpointError::Unused { tensor }));
        }
        let last = match streams {
            StreamPosition::Start => self.skip_batches(checkpoint)?,
            StreamPosition::Placed => vec![None; self.levels.len()],
        };

        // Nothing fails from here on.
        for ((level, state), (restored, last)) in
            self.levels.iter_mut().zip(&state.levels).zip(restored.into_iter().zip(last))
        {
            (level.leaves, level.initial, level.states) = (restored.leaves, restored.initial, restored.states);
            (level.scheduler, level.last) = (restored.scheduler, last);
            (level.steps, level.taken) = (state.steps, state.taken);
            let rests = state.rests.iter().copied().chain(std::iter::repeat(0));
            level.rests.iter_mut().zip(rests).for_each(|(level, saved)| *level = saved);
            (level.turns, level.batches) = (state.turns, state.batches);
            if let Some(steps) = &level.trajectory {
                steps.forget();
            }
        }
        for (level, of_level) in self.levels.iter_mut().zip(solutions) {
            level.solutions = of_level;
        }
        self.seen = state.levels.iter().map(|level| level.seen.clone()).collect();
        self.seed = state.seed;
        self.iterations = state.iterations;
        if let (Some(validation), Some(state)) = (&mut self.validation, state.validation) {
            validation.restore(state);
        }
        self.stale = true;
        Ok(())
    }

    /// Takes the batches that the saved run had taken; answers batch and seed of each level's last step.
    fn skip_batches(&mut self, checkpoint: &Checkpoint) -> Result<Vec<Option<Seeded>>, EngineError> {
        let state = &checkpoint.state;
        for (level, state) in self.levels.iter().zip(&state.levels) {
            if level.batches > state.batches {
                let (taken, saved) = (level.batches, state.batches);
                let reason = CheckpointError::StreamIsAhead { level: level.name.into(), taken, saved };
                return Err(checkpoint.named(reason).into());
            }
        }
        let mut last = vec![None; self.levels.len()];
        for (k, (last, level)) in last.iter_mut().zip(&state.levels).enumerate() {
            while self.levels[k].batches < level.batches {
                let batch = self.next_batch(k)?;
                let seed = mix(mix(state.seed, k as u64), self.levels[k].batches);
                if level.last_seed == Some(seed) {
                    *last = Some((batch, seed));
                }
            }
        }
        Ok(last)
    }
}

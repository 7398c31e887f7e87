//! Changing a program between runs.

use super::error::EngineError;
use super::learned::LearnedNumbers;
use super::level::Level;
use super::program::Multilevel;
use super::start::check_together;
use super::train::Engine;
use crate::config::ProgramConfig;
use crate::execute::{ReadError, Value};

impl<P: Multilevel> Engine<P> {
    /// Changes the program between runs: parameters, or settings of its modules such as a dropout rate.
    ///
    /// What is not changed goes on as if nothing had happened. A loss is recorded again, and compiled again if it has become
    /// another one. Optimizer states and warm starts stay as long as they fit; a level whose parameters changed their number or
    /// shape starts with a new optimizer. After a change of any tensor, steps from before are not differentiated any more. With
    /// `start: initial`, a tensor that is changed begins at its new value from then on, and all others where they did.
    ///
    /// # Errors
    /// [`EngineError`] when the changed program could not have been given to [`Engine::new`]. Until it is edited again, whatever
    /// would run it answers [`EngineError::EditFailed`]; the engine's own parameters, and with them its checkpoints, stay as they
    /// were.
    pub fn edit(&mut self, change: impl FnOnce(&mut P)) -> Result<(), EngineError> {
        self.sync();
        // In case that the change panics, and somebody catches that.
        self.edit_failed = Some("the change panicked".into());
        change(&mut self.problem);
        let reloaded = self.reload();
        self.edit_failed = reloaded.as_ref().err().map(ToString::to_string);
        reloaded
    }

    /// Whether the program can run.
    pub(super) fn check_edited(&self) -> Result<(), EngineError> {
        match &self.edit_failed {
            None => Ok(()),
            Some(reason) => Err(EngineError::EditFailed { reason: reason.clone() }),
        }
    }

    /// Takes the modules over.
    fn reload(&mut self) -> Result<(), EngineError> {
        let device = self.levels[0].device();
        let modules = self.problem.modules();
        let configs = self.config().levels();
        let mut levels = Vec::with_capacity(self.levels.len());
        for (index, level) in self.levels.iter().enumerate() {
            let learned = LearnedNumbers::find(&P::SCHEDULE, index, &configs, &modules)?;
            levels.push(level.reloaded(modules[index], configs[index], learned)?);
        }
        check_together::<P>(&levels, &device)?;
        let pairs = || self.levels.iter().zip(&levels);
        let has_same_tensors = pairs().map(|(old, new)| old.has_tensors_of(new)).collect::<Result<Vec<_>, _>>()?;
        if pairs().all(|(old, new)| old.looks_like(new)) {
            self.losses.recheck();
        } else {
            self.losses.clear();
        }
        if has_same_tensors.into_iter().all(|same| same) {
            return Ok(());
        }
        for (index, old) in self.levels.iter().enumerate() {
            let fits = |stop: usize| old.solutions.get(&stop).filter(|_| self.levels[stop].looks_like(&levels[stop]));
            let kept = old.solutions.keys().filter_map(|&stop| Some((stop, fits(stop)?.clone()))).collect();
            levels[index].solutions = kept;
        }
        self.levels = levels;
        Ok(())
    }
}

impl Level {
    /// Whether both have the same tensors as to shape and type, and train the same of them.
    fn looks_like(&self, other: &Level) -> bool {
        let looks = |values: &[Value]| values.iter().map(|value| (value.shape(), value.dtype())).collect::<Vec<_>>();
        let named = |level: &Level| (level.trainable.clone(), level.paths.clone(), level.also.clone());
        let are_alike =
            looks(&self.leaves) == looks(&other.leaves) && looks(&self.constants) == looks(&other.constants);
        named(self) == named(other) && are_alike
    }

    /// Whether both are made of the same parameters and constants with the same values.
    fn has_tensors_of(&self, other: &Level) -> Result<bool, ReadError> {
        if !self.looks_like(other) || !self.has_ids_of(other) {
            return Ok(false);
        }
        let constants = self.constants.iter().zip(&other.constants);
        for (ours, theirs) in self.leaves.iter().zip(&other.leaves).chain(constants) {
            if ours.to_data()? != theirs.to_data()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

//! Other modules in the place of those that a program was made of.

use super::after_step::{self, Given};
use super::subject::LossFunctions;
use super::{Level, Program, learned, start};
use crate::config::LevelConfig;
use crate::derivatives::Variable;
use crate::error::EngineError;
use crate::execute::{ReadError, Value};
use crate::trace::LevelModule;

impl Program {
    /// Takes changed modules over, or fails and stays as it is. Answers whether tensors changed, so that levels begin anew
    /// where what they had does not fit.
    ///
    /// # Errors
    /// [`EngineError`] as for a new program.
    pub(crate) fn edit(
        &mut self,
        modules: &[&dyn LevelModule],
        configs: &[&LevelConfig],
        functions: &dyn LossFunctions,
    ) -> Result<bool, EngineError> {
        let given = Given { functions, schedule: &self.schedule, modules, configs };
        let device = self.levels[0].device();
        let mut levels = Vec::with_capacity(self.levels.len());
        for (index, level) in self.levels.iter().enumerate() {
            let mut learned = learned::find(&self.schedule, index, configs, modules)?;
            let after = after_step::find(given, index, &mut learned)?;
            levels.push(level.reloaded(modules[index], configs[index], (learned, after))?.with_draws(self.fresh)?);
        }
        start::check_together(&self.schedule, &levels, &device)?;
        let stood = std::mem::replace(&mut self.levels, levels);
        let checked = self.check_directions();
        let mut levels = std::mem::replace(&mut self.levels, stood);
        checked?;
        // Those that were learned so far may be anywhere.
        learned::check_first_values(&levels, |level, leaf| {
            let (old, new) = (self.levels[level].leaves.get(leaf), &levels[level].leaves[leaf]);
            Ok(old.map(Value::to_data).transpose()? != Some(new.to_data()?))
        })?;
        let pairs = || self.levels.iter().zip(&levels);
        let has_same_tensors = pairs().map(|(old, new)| old.has_tensors_of(new)).collect::<Result<Vec<_>, _>>()?;
        // Nothing fails from here on.
        if !pairs().all(|(old, new)| old.looks_like(new)) {
            self.losses.clear();
        } else {
            self.losses.recheck();
            if !pairs().all(|(old, new)| old.update.is_compiled_as(&new.update)) {
                self.losses.forget_steps();
            }
        }
        if has_same_tensors.into_iter().all(|same| same) {
            return Ok(false);
        }
        for (index, old) in self.levels.iter().enumerate() {
            let fits = |of: Variable| self.levels[of.owner()].looks_like(&levels[of.owner()]);
            levels[index].solutions = old.solutions.only(fits);
        }
        self.levels = levels;
        Ok(true)
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

    /// Whether both are made of the same parameters and constants with the same values, and have the same function after each
    /// step.
    fn has_tensors_of(&self, other: &Level) -> Result<bool, ReadError> {
        let follows_same = self.update.after_step() == other.update.after_step();
        if !self.looks_like(other) || !self.has_ids_of(other) || !follows_same {
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

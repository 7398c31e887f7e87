//! What the levels' modules must have in common: a device, and where one level starts from another, its parameters; and no
//! more parameters that a level depends on than its method follows.

use burn::tensor::Device;

use super::{Level, Program};
use crate::config::Start;
use crate::error::{EngineError, StartError};
use crate::execute::Value;
use crate::schedule::Schedule;

/// Checks that all modules are on `device`, and that levels which start from others can.
pub(crate) fn check_together(schedule: &Schedule, levels: &[Level], device: &Device) -> Result<(), EngineError> {
    for (level, spec) in levels.iter().zip(schedule.levels) {
        level.check_device(device)?;
        if let Some(from) = spec.start.filter(|_| level.config.start == Start::From) {
            level.check_start(&levels[from])?;
        }
    }
    Ok(())
}

impl Program {
    /// Checks that no method is asked for more directions than it allows.
    pub(super) fn check_directions(&self) -> Result<(), EngineError> {
        for (k, level) in self.levels.iter().enumerate() {
            let Some(steps) = &level.trajectory else { continue };
            let count = self.depends_on(k).into_iter().map(|above| self.levels[above].parameters().len()).sum();
            let directions = steps.directions(count);
            directions.map_err(|source| EngineError::Method { level: level.name.into(), source: Box::new(source) })?;
        }
        Ok(())
    }
}

impl Level {
    /// Whether the parameters of `from` can be put in the place of this level's; what does not fit, if not.
    fn check_start(&self, from: &Level) -> Result<(), EngineError> {
        let describe = |level: &Level, index: usize| match level.leaves.get(index) {
            Some(leaf) => format!("`{}` {:?} {:?}", level.path(index), leaf.dtype(), leaf.shape()),
            None => format!("no tensor in `{}`", level.name),
        };
        let same = |a: &Value, b: &Value| a.shape() == b.shape() && a.dtype() == b.dtype();
        let misfit = (0..self.leaves.len().max(from.leaves.len()))
            .find(|&i| !self.leaves.get(i).zip(from.leaves.get(i)).is_some_and(|(a, b)| same(a, b)));
        match misfit {
            None => self.check_start_selection(from),
            Some(index) => Err(StartError::Mismatch {
                level: self.name.into(),
                from: from.name.into(),
                ours: describe(self, index),
                theirs: describe(from, index),
            }
            .into()),
        }
    }

    /// What is copied is differentiated only between parameters.
    fn check_start_selection(&self, from: &Level) -> Result<(), EngineError> {
        let trains = |level: &Level, index| level.trainable.contains(&index);
        let differs = (0..self.leaves.len()).find(|&index| trains(self, index) != trains(from, index));
        match differs {
            None => Ok(()),
            Some(index) => Err(StartError::Selection {
                level: self.name.into(),
                from: from.name.into(),
                parameter: self.paths[index].clone(),
                trained: if trains(self, index) { self.name } else { from.name }.into(),
            }
            .into()),
        }
    }
}

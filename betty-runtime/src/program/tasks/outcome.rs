//! What the tasks came to: checked, and where it leaves the levels below.

use super::Round;
use crate::derivatives::TasksFound;
use crate::error::EngineError;
use crate::execute::{Value, Vector};
use crate::program::{Level, Moved, Program};

impl Program {
    /// Whether all numbers are finite, level by level.
    pub(crate) fn check_tasks(&self, k: usize, rounds: &[Round], found: &TasksFound) -> Result<(), EngineError> {
        for task in &found.tasks {
            for (round, steps) in rounds.iter().zip(&task.lower) {
                for step in steps {
                    step.losses.iter().try_for_each(|of| self.check_finite(round.level, "loss", of.loss))?;
                    self.check_finite(round.level, "gradient", step.square_norm)?;
                }
            }
            self.check_finite(k, "loss", task.upper.loss)?;
        }
        self.check_finite(k, "hypergradient", found.square_norm)?;
        if found.finiteness.is_finite() {
            return Ok(());
        }
        for (place, (round, (parameters, states))) in rounds.iter().zip(&found.reached).enumerate() {
            let moved = Moved { parameters: parameters.clone(), states: states.clone() };
            let last = found.tasks.last().and_then(|task| task.lower[place].last());
            let rates = round.rates.last().and_then(|task| task.last());
            let rate = rates.and_then(|rates| rates.base);
            self.check_moved(round.level, &moved, &[], last.map_or(f64::NAN, |step| step.square_norm.sqrt()), rate)?;
        }
        Ok(())
    }

    /// Puts a level below where the last task of its round left it.
    pub(crate) fn stand_after(&mut self, round: Round, parameters: Vector, states: Vec<Value>) {
        let mut leaves = match round.from {
            Some(from) => self.levels[from].leaves.clone(),
            None => self.levels[round.level].initial.clone(),
        };
        let level = &mut self.levels[round.level];
        level.trainable.iter().zip(parameters.0).for_each(|(&index, value)| leaves[index] = value);
        level.stand(leaves, states, round);
    }
}

impl Level {
    /// Stands where the last task of a round left it.
    fn stand(&mut self, leaves: Vec<Value>, states: Vec<Value>, round: Round) {
        (self.leaves, self.states) = (leaves, states);
        (self.taken, self.awaited) = (self.config.unroll as u64, self.config.unroll as u64);
        let rests = |parameter: usize| round.moves.iter().filter(|moves| moves[parameter].is_none()).count() as u64;
        self.rests = (0..self.rests.len()).map(rests).collect();
        self.set_last_rates(round.rates.into_iter().next_back().and_then(|task| task.into_iter().next_back()));
        self.last = round.batches.into_iter().flatten().next_back().unwrap_or_default();
        if let Some(steps) = &self.trajectory {
            steps.forget();
        }
    }
}

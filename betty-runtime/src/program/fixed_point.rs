//! Levels whose answer is a fixed point: their maps, recorded as losses are, and what is left of the condition at a point.

use super::losses::{Losses, gather};
use super::subject::Subject;
use super::{Level, Program};
use crate::derivatives::Loss;
use crate::error::{EngineError, SolverError};
use crate::execute::{Value, Vector};
use crate::trace::{AnyBatch, LossInput};

impl Losses {
    /// Compiles the map of a level, if that is not done yet.
    ///
    /// # Errors
    /// [`SolverError::NoFixedPoint`] where it returns something else than the level's parameters, or ranks share the examples of its
    /// batch; and as for losses.
    pub(crate) fn prepare_map(&mut self, subject: &Subject<'_>) -> Result<(), EngineError> {
        let refused =
            |reason: String| EngineError::Solver(SolverError::NoFixedPoint { level: subject.name().into(), reason });
        if subject.batch.shard().is_some_and(|shard| shard.examples.is_some()) {
            let reason = format!(
                "ranks share the examples of its batch, and a map of shares is not that of the whole; let all ranks have the same batches: \
                 `engine.replicated(\"{}\")`",
                subject.name()
            );
            return Err(refused(reason));
        }
        let wrong = self.prepare(subject)?.plan_gap(subject.level);
        let wrong = wrong.map_err(|source| EngineError::Graph { level: subject.name().into(), source })?;
        wrong.map_or(Ok(()), |found| {
            Err(refused(format!(
                "its map returned {found}; let it return the parameters that the level trains, in the order of its module"
            )))
        })
    }

    /// The map of level `k` for batches like this one, which has been prepared.
    pub(crate) fn map(&self, k: usize, batch: &AnyBatch) -> &Loss {
        self.get(self.levels() + k, batch)
    }
}

impl Program {
    /// What is left of `θ = T(θ, λ)` at parameters of level `k`.
    pub(super) fn gap(&self, k: usize, batch: &AnyBatch, seed: u64, parameters: &Vector) -> Vector {
        let map = self.losses.map(k, batch);
        map.gap(self.inputs_at(k, map, batch, parameters), seed)
    }

    /// The inputs of a function of level `k` at these parameters of the level.
    pub(super) fn inputs_at(&self, k: usize, of: &Loss, batch: &AnyBatch, parameters: &Vector) -> Vec<Value> {
        let mut inputs = gather(of, &self.levels, batch);
        let Level { trainable, .. } = &self.levels[k];
        for (input, (source, _)) in inputs.iter_mut().zip(&of.trace().inputs) {
            let own = |&leaf: &usize| *source == LossInput::Leaf { level: k, index: leaf };
            if let Some(index) = trainable.iter().position(own) {
                *input = parameters.0[index].clone();
            }
        }
        inputs
    }
}

//! The batches that one total gradient is taken on.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Program;
use super::stops::{Passing, Use};
use super::subject::{LossFunctions, Subject};
use crate::error::EngineError;
use crate::trace::AnyBatch;

/// A batch, and the seed of what is drawn on it.
pub(crate) type Seeded = (Rc<AnyBatch>, u64);

/// What a total gradient is taken on.
#[derive(Clone)]
pub(crate) struct Sample {
    /// For the level's loss.
    pub(crate) own: Seeded,
    /// For the losses of the levels below at whose last point it is differentiated; see [`Program::solved_stops`].
    pub(crate) below: BTreeMap<usize, Seeded>,
}

impl Program {
    /// The levels below `k` that a sample for its total gradient has batches for, in the order of the sweep.
    ///
    /// # Errors
    /// [`EngineError`] where the gradient goes through steps that nobody has taken.
    pub(crate) fn solved_stops(&self, k: usize, of: Use) -> Result<Vec<usize>, EngineError> {
        let stops = self.passings(k, of)?.stops;
        let solved = stops.into_iter().filter(|(_, passing)| matches!(passing, Passing::Solved));
        Ok(solved.map(|(stop, _)| stop.level).collect())
    }

    /// Records the losses that the total gradient of level `k` is made of, if they are not known on batches like these.
    ///
    /// # Errors
    /// [`EngineError`] when a loss cannot be recorded, or its gradient is not Burn's.
    pub(crate) fn prepare(
        &mut self,
        functions: &dyn LossFunctions,
        k: usize,
        sample: &Sample,
        of: Use,
    ) -> Result<(), EngineError> {
        self.record(functions, k, &sample.own)?;
        for (stop, passing) in self.passings(k, of)?.stops {
            match passing {
                Passing::Solved => self.record(functions, stop.level, &sample.below[&stop.level])?,
                Passing::Function(steps) => {
                    let evaluations = steps.taken.iter().flat_map(|(step, _)| &step.evaluations);
                    for evaluation in evaluations {
                        let seeded = (Rc::clone(&evaluation.batch), evaluation.seed());
                        self.record(functions, stop.level, &seeded)?;
                    }
                }
                Passing::Together | Passing::Steps(_) => {}
            }
        }
        Ok(())
    }

    /// Records the loss of level `k` on a batch, if it is not known on batches like it.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub(crate) fn record(
        &mut self,
        functions: &dyn LossFunctions,
        k: usize,
        (batch, seed): &Seeded,
    ) -> Result<(), EngineError> {
        let Program { schedule, levels, losses, .. } = self;
        losses.prepare(&Subject { functions, schedule, levels, level: k, batch, seed: *seed }).map(drop)
    }
}

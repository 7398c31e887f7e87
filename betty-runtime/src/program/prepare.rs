//! Losses recorded before they are needed: the one place where the user's code is called.

use std::rc::Rc;

use super::Program;
use super::passings::{Passing, Passings};
use super::sample::{Sample, Seeded};
use super::subject::{Function, LossFunctions, Subject};
use crate::error::EngineError;
use crate::trace::AnyBatch;

impl Program {
    /// Records the losses that the total gradient of level `k` is made of, if they are not known on batches like these.
    ///
    /// # Errors
    /// [`EngineError`] when a loss cannot be recorded, or its gradient is not Burn's.
    pub(crate) fn prepare(
        &mut self,
        functions: &dyn LossFunctions,
        k: usize,
        sample: &Sample,
        passings: &Passings,
    ) -> Result<(), EngineError> {
        self.record(functions, k, &sample.own)?;
        for (stop, passing) in &passings.stops {
            match passing {
                Passing::Solved => {
                    sample.below[&stop.level]
                        .iter()
                        .try_for_each(|seeded| self.record(functions, stop.level, seeded))?;
                }
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
        self.judge_cost(k, sample, passings)
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
        let subject = Subject { functions, schedule, levels, level: k, batch, seed: *seed, of: Function::Loss };
        if schedule.levels[k].condition.is_some() {
            losses.prepare_map(&Subject { of: Function::Map, ..subject })?;
        }
        if schedule.levels[k].after_step.is_some() {
            // The step has it; here it is compared with Burn's.
            losses.prepare(&Subject { of: Function::AfterStep, batch: &AnyBatch::new(()), ..subject })?;
        }
        losses.prepare(&subject)?;
        losses.compare_joined(&subject)
    }
}

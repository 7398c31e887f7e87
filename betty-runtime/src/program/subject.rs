//! A level's loss on one batch, with everything that a recording of it needs.

use burn::tensor::Device;

use super::Level;
use crate::derivatives::Loss;
use crate::error::EngineError;
use crate::schedule::{Schedule, Through};
use crate::steps::Record;
use crate::trace::{AnyBatch, Measured, TraceError, Tracer, trace_for};

/// The loss functions of a program, whatever its type.
pub(crate) trait LossFunctions {
    /// Calls the loss function of level number `level` on what the tracer stands in for its arguments.
    fn loss(&self, level: usize, tracer: &mut Tracer<'_>) -> Measured;
}

/// A level's loss on one batch.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) functions: &'a dyn LossFunctions,
    pub(crate) schedule: &'a Schedule,
    pub(crate) levels: &'a [Level],
    pub(crate) level: usize,
    pub(crate) batch: &'a AnyBatch,
    pub(crate) seed: u64,
}

impl Subject<'_> {
    /// The level's name.
    pub(crate) fn name(&self) -> &'static str {
        self.levels[self.level].name
    }

    /// Records the loss on a device.
    ///
    /// # Errors
    /// [`EngineError::Trace`] where it cannot be recorded, or has no derivative and needs one.
    pub(crate) fn record(&self, device: &Device) -> Result<Loss, EngineError> {
        let (k, levels) = (self.level, self.levels);
        let trace = trace_for(device, self.name(), self.batch, |tracer| self.functions.loss(k, tracer))?;
        let sweep = self.schedule.levels[k].sweep;
        if sweep.is_empty() && !trace.depends_on(k, &levels[k].trainable) {
            return Err(TraceError::Disconnected { level: self.name().into() }.into());
        }
        let needs_only_values = |stop: &Through| levels[stop.level].trajectory.as_ref().is_some_and(Record::needs_loss);
        if !trace.differentiable && !sweep.iter().any(needs_only_values) {
            return Err(TraceError::NoDerivative { level: self.name().into() }.into());
        }
        tracing::debug!(level = self.name(), nodes = trace.graph.len(), "traced a loss");
        Ok(Loss::new(trace, |level| levels[level].trainable.clone(), device))
    }
}

//! A function of a level on one batch, its loss or a map, with everything that a recording of it needs.

use burn::tensor::Device;

use super::Level;
use crate::derivatives::Loss;
use crate::error::{EngineError, SolverError};
use crate::schedule::{Schedule, Through};
use crate::steps::Record;
use crate::trace::{AnyBatch, Measured, TraceError, Tracer, trace_for};

/// The functions of a program, whatever its type.
pub(crate) trait LossFunctions {
    /// Calls the loss function of level number `level` on what the tracer stands in for its arguments.
    fn loss(&self, level: usize, tracer: &mut Tracer<'_>) -> Measured;

    /// Calls the map whose fixed point the level's answer is, if it is one.
    fn condition(&self, level: usize, tracer: &mut Tracer<'_>) -> Option<Measured>;

    /// Calls the function that follows each step of the level, if one does.
    fn after_step(&self, level: usize, tracer: &mut Tracer<'_>) -> Option<Measured>;
}

/// Which function of a level is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// Its loss.
    Loss,
    /// The map whose fixed point its answer is.
    Map,
    /// What follows each of its steps.
    AfterStep,
}

/// A function of a level on one batch.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) functions: &'a dyn LossFunctions,
    pub(crate) schedule: &'a Schedule,
    pub(crate) levels: &'a [Level],
    pub(crate) level: usize,
    pub(crate) batch: &'a AnyBatch,
    pub(crate) seed: u64,
    pub(crate) of: Function,
}

impl Subject<'_> {
    /// The level's name.
    pub(crate) fn name(&self) -> &'static str {
        self.levels[self.level].name
    }

    /// Calls the function.
    pub(crate) fn call(&self, tracer: &mut Tracer<'_>) -> Measured {
        match self.of {
            Function::Loss => self.functions.loss(self.level, tracer),
            Function::Map => {
                self.functions.condition(self.level, tracer).expect("a level with a condition in the schedule has one")
            }
            Function::AfterStep => {
                let called = self.functions.after_step(self.level, tracer);
                called.expect("a level with a function after its steps has one")
            }
        }
    }

    /// Where its recordings are kept: maps come after the losses of all levels, and after those what follows steps.
    pub(crate) fn slot(&self) -> usize {
        match self.of {
            Function::Loss => self.level,
            Function::Map => self.levels.len() + self.level,
            Function::AfterStep => 2 * self.levels.len() + self.level,
        }
    }

    /// Records the function on a device.
    ///
    /// # Errors
    /// [`EngineError::Trace`] where it cannot be recorded, or has no derivative and needs one; [`SolverError::NoFixedPoint`] for a
    /// map without one.
    pub(crate) fn record(&self, device: &Device) -> Result<Loss, EngineError> {
        let (k, levels) = (self.level, self.levels);
        let trace = trace_for(device, self.name(), self.batch, |tracer| self.call(tracer))?;
        if self.of == Function::Map {
            if !trace.differentiable {
                let reason = "its map has no derivative: it reads no parameter, or counts, compares, rounds or detaches all that it \
                              reads";
                return Err(SolverError::NoFixedPoint { level: self.name().into(), reason: reason.into() }.into());
            }
            return Ok(Loss::new(trace, |level| levels[level].trainable.clone(), device));
        }
        if self.of == Function::AfterStep {
            return Ok(Loss::new(trace, |level| levels[level].trainable.clone(), device));
        }
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

//! Comparing the losses of levels with Burn's autodiff.

use burn::tensor::{DType, Device};

use super::subject::Subject;
use crate::derivatives::{Compared, Comparison, Difference, Memory, OPERATIONS, Source, Unverified, VerificationError};
use crate::error::EngineError;
use crate::execute::{Program, Value};
use crate::graph::{Graph, GraphError, NodeId};
use crate::trace::{AnyBatch, LossInput, Part, Trace, TraceError, trace_part};

/// How often a gradient may be left unchecked.
pub(super) const TRIES: u32 = 5;

/// What a user asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verify {
    /// Whether gradients are compared at all.
    pub(crate) on: bool,
    /// Whether a gradient that could not be compared may be used for good.
    pub(crate) unchecked_allowed: bool,
    /// The most bytes that a comparison may hold.
    pub(crate) memory: Memory,
}

impl Default for Verify {
    fn default() -> Self {
        Verify { on: true, unchecked_allowed: false, memory: Memory(None) }
    }
}

/// What became of a comparison that found no difference.
pub(super) enum Outcome {
    /// The gradients are equal.
    Equal {
        /// Whether both vanish.
        vanish: bool,
    },
    /// They could not be compared.
    Unchecked(Unverified),
}

/// Compares the gradient of a trace of a loss with Burn's.
///
/// # Errors
/// [`EngineError::Verification`] where they differ.
pub(super) fn verify(
    subject: &Subject<'_>,
    trace: &Trace,
    verify: Verify,
    device: &Device,
) -> Result<Outcome, EngineError> {
    let (level, levels) = (subject.name(), subject.levels);
    let (source, seed, memory) = (&Recorded { subject, device }, subject.seed, verify.memory);
    let comparison = Comparison { source, seed, memory, operations: OPERATIONS };
    let found = comparison.compare(trace).map_err(|error| match error {
        VerificationError::Graph(source) => EngineError::Graph { level: level.into(), source },
        VerificationError::Read(source) => source.into(),
    })?;
    match found {
        Compared::Equal { vanish } => Ok(Outcome::Equal { vanish }),
        Compared::Unchecked(reason) => Ok(Outcome::Unchecked(reason)),
        Compared::Different(Difference { leaf, difference, rounding, place }) => {
            let parameter = match leaf {
                LossInput::Leaf { level, index } => levels[level].path(index),
                LossInput::Constant { level, index } => levels[level].constant(index),
                LossInput::Batch { .. } => "batch".into(),
            };
            Err(EngineError::Verification { level: level.into(), parameter, difference, tolerance: rounding, place })
        }
    }
}

/// A level's loss that was recorded for a device.
pub(super) struct Recorded<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) device: &'a Device,
}

impl Source for Recorded<'_> {
    fn batch(&self) -> &AnyBatch {
        self.subject.batch
    }

    fn value(&self, input: LossInput) -> &Value {
        match input {
            LossInput::Leaf { level, index } => &self.subject.levels[level].leaves[index],
            LossInput::Constant { level, index } => &self.subject.levels[level].constants[index],
            LossInput::Batch { index } => &self.subject.batch.values()[index],
        }
    }

    fn is_parameter(&self, input: LossInput) -> bool {
        match input {
            LossInput::Leaf { level, index } => self.subject.levels[level].trainable.contains(&index),
            LossInput::Constant { .. } | LossInput::Batch { .. } => false,
        }
    }

    fn record(&self, part: Option<Part>) -> Result<Trace, TraceError> {
        trace_part(self.device, self.subject.name(), self.subject.batch, part, |tracer| self.subject.call(tracer))
    }

    /// Moves the parameters of each level to the sets that its config names.
    fn confine(&self, inputs: &[LossInput], values: &mut [Value]) -> Result<(), GraphError> {
        let levels = self.subject.levels.iter();
        let groups = levels.flat_map(|level| level.update.groups().iter().map(|group| (level.number, group)));
        for (number, group) in groups {
            let Some(set) = &group.project else { continue };
            let leaf = |&member: &usize| self.subject.levels[number].trainable[member];
            let confined: Vec<usize> = group.members.iter().map(leaf).collect();
            let is_confined = |&place: &usize| match inputs[place] {
                LossInput::Leaf { level, index } => level == number && confined.contains(&index),
                LossInput::Constant { .. } | LossInput::Batch { .. } => false,
            };
            let places: Vec<usize> = (0..inputs.len()).filter(is_confined).collect();
            let mut graph = Graph::new();
            let nodes: Vec<NodeId> =
                places.iter().map(|&place| graph.input(&values[place].shape(), DType::F64)).collect();
            let outputs = set.project(&mut graph, &nodes)?;
            let program = Program::new(&graph, &nodes, &outputs, &Device::flex());
            let confined = program.run(places.iter().map(|&place| values[place].clone()), 0);
            places.into_iter().zip(confined).for_each(|(place, value)| values[place] = value);
        }
        Ok(())
    }
}

//! The function that follows each step of a level: recorded with the level, and held against its module.

use burn::tensor::{DType, Device};

use super::selection;
use super::subject::LossFunctions;
use crate::config::LevelConfig;
use crate::error::{AfterStepError, EngineError};
use crate::graph::{NodeId, Op, reachable};
use crate::schedule::Schedule;
use crate::steps::{AfterStep, LearnedNumbers, Seen};
use crate::trace::{AnyBatch, Leaf, LevelModule, LossInput, Role, Trace, trace_for};

/// All that functions of a program are recorded from.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) functions: &'a dyn LossFunctions,
    pub(super) schedule: &'a Schedule,
    pub(super) modules: &'a [&'a dyn LevelModule],
    pub(super) configs: &'a [&'a LevelConfig],
}

/// The function of one level, while it is read.
struct Reading<'a> {
    given: Given<'a>,
    level: usize,
    leaves: Vec<Leaf>,
    /// Which of them are parameters.
    trainable: Vec<usize>,
    trace: Trace,
    device: Device,
}

/// Records the function that follows each step of level number `level`, if one does. What it reads of modules besides the
/// level's parameters is added to the tensors that a step is made of.
///
/// # Errors
/// [`AfterStepError`] where it cannot be recorded, draws, reads what moves by itself, or returns another module.
pub(super) fn find(
    given: Given<'_>,
    level: usize,
    learned: &mut LearnedNumbers,
) -> Result<Option<AfterStep>, EngineError> {
    let spec = &given.schedule.levels[level];
    if spec.after_step.is_none() {
        return Ok(None);
    }
    let leaves = given.modules[level].leaves();
    let trainable = selection::parameters(spec.name, &leaves, given.configs[level])?;
    let device = leaves[trainable[0]].value.device();
    let call = "a level with a function after its steps has one";
    let trace = trace_for(&device, spec.name, &AnyBatch::new(()), |tracer| {
        given.functions.after_step(level, tracer).expect(call)
    });
    let unrecorded = |reason: String| AfterStepError::Unrecorded { level: spec.name.into(), reason };
    let trace = trace.map_err(|error| unrecorded(error.deed()))?;
    if !trace.advances.is_empty() || !trace.updates.is_empty() {
        return Err(unrecorded("moves running statistics".into()).into());
    }
    let reading = Reading { given, level, leaves, trainable, trace, device };
    let next = reading.next()?;
    let inputs = reading.inputs(&next, learned)?;
    Ok(Some(AfterStep { graph: reading.trace.graph, inputs, next }))
}

impl Reading<'_> {
    fn name(&self) -> String {
        self.given.schedule.levels[self.level].name.into()
    }

    /// What becomes of each parameter.
    fn next(&self) -> Result<Vec<NodeId>, AfterStepError> {
        let returned = |parameter: &str, found: String, wanted: String| AfterStepError::Returned {
            level: self.name(),
            parameter: if parameter.is_empty() { self.name() } else { parameter.into() },
            found,
            wanted,
        };
        let places = self.given.modules[self.level].places();
        let floats: Vec<_> = places.iter().filter(|place| place.value.dtype().is_float()).collect();
        let outputs = &self.trace.outputs;
        if outputs.len() != floats.len() {
            let tensors = |count: usize| if count == 1 { "1 tensor".into() } else { format!("{count} tensors") };
            return Err(returned("", tensors(outputs.len()), tensors(floats.len())));
        }
        let graph = &self.trace.graph;
        let look = |shape: &[usize], dtype: DType| format!("{dtype:?} {shape:?}");
        let mut next: Vec<Option<NodeId>> = vec![None; self.leaves.len()];
        for (place, &output) in floats.into_iter().zip(outputs) {
            let (found, wanted) =
                (look(graph.shape(output), graph.dtype(output)), look(&place.value.shape(), place.value.dtype()));
            if found != wanted {
                return Err(returned(&place.path, found, wanted));
            }
            let Some(index) = self.leaves.iter().position(|leaf| leaf.paths().any(|path| path == place.path)) else {
                continue;
            };
            let is_same = self.trace.input(LossInput::Leaf { level: self.level, index }) == Some(output);
            if !self.trainable.contains(&index) && !is_same {
                let wanted = "what it was, because the level does not train it".into();
                return Err(returned(&place.path, "another value".into(), wanted));
            }
            if next[index].is_some_and(|known| known != output) {
                let (found, wanted) = ("one value".into(), "that of the other places with its identifier".into());
                return Err(returned(&place.path, found, wanted));
            }
            next[index] = Some(output);
        }
        Ok(self.trainable.iter().filter_map(|&index| next[index]).collect())
    }

    /// What the inputs stand for that `next` depends on.
    fn inputs(&self, next: &[NodeId], learned: &mut LearnedNumbers) -> Result<Vec<(NodeId, Seen)>, EngineError> {
        let graph = &self.trace.graph;
        let needed = reachable(graph, next);
        if graph.ids().any(|id| needed[id.index()] && matches!(graph.node(id).op, Op::Random { .. })) {
            return Err(AfterStepError::Draws { level: self.name() }.into());
        }
        let inputs = self.trace.inputs.iter().filter(|(_, node)| needed[node.index()]);
        inputs.map(|&(source, node)| Ok((node, self.seen(source, learned)?))).collect()
    }

    fn seen(&self, source: LossInput, learned: &mut LearnedNumbers) -> Result<Seen, EngineError> {
        let Given { schedule, modules, configs, .. } = self.given;
        match source {
            LossInput::Leaf { level, index } if level == self.level => {
                if let Some(parameter) = self.trainable.iter().position(|&parameter| parameter == index) {
                    return Ok(Seen::Parameter(parameter));
                }
                let leaf = &self.leaves[index];
                let of_place = |place: &crate::trace::Place| (place.path == leaf.path).then_some(place.role);
                let role = modules[level].places().iter().find_map(of_place);
                let what = match role {
                    Some(Role::Statistic) => {
                        "a running statistic, which the loss moves; read parameters and plain fields"
                    }
                    _ if !leaf.value.dtype().is_float() => "no float; hold it as a plain field, without `Param`",
                    _ => return Ok(Seen::Source(learned.add_still(level, index, leaf))),
                };
                let path = leaf.path.clone();
                Err(AfterStepError::Reads { level: self.name(), path, what }.into())
            }
            LossInput::Leaf { level, index } => {
                let (numbers, chosen) = selection::chosen(schedule.levels[level].name, modules[level], configs[level])?;
                if let Some(parameter) = numbers.iter().position(|&number| number == index) {
                    return Ok(Seen::Source(learned.add(level, parameter, &numbers, &chosen)));
                }
                let leaf = &modules[level].leaves()[index];
                if leaf.value.dtype().is_float() {
                    return Ok(Seen::Source(learned.add_still(level, index, leaf)));
                }
                let path = format!("{}.{}", schedule.levels[level].name, leaf.path);
                let what = "no float; hold it as a plain field, without `Param`";
                Err(AfterStepError::Reads { level: self.name(), path, what }.into())
            }
            LossInput::Constant { level, index } => {
                Ok(Seen::Constant(modules[level].constants(&self.device)?[index].to_data()?))
            }
            LossInput::Batch { .. } => unreachable!("there is no batch"),
        }
    }
}

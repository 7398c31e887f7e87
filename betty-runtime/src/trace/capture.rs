//! Recording a loss with Burn's backward pass, and importing both.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use burn::tensor::{Device, Tensor};
use burn_backend::{AutodiffBackend, TensorMetadata};
use burn_dispatch::backends::{Autodiff, Capture};
use burn_ir::TensorId;

use super::answers;
use super::any_batch::AnyBatch;
use super::device::capture_device;
use super::error::TraceError;
use super::import::{Reading, import};
use super::loss::{LossInput, Trace};
use super::measured::{LossValue, Measured};
use super::part::Part;
use super::recorded::{Taped, taped, tensor_id};
use super::refusal::{explain, explain_capture, held, types};
use super::tracer::{Placeholder, Tracer};
use crate::graph::{Graph, NodeId, dependents, differentiated};
use crate::panic::caught;

/// What came out of the recorded function, before the recording is complete.
enum Returned {
    Loss {
        loss: TensorId,
        /// Whether Burn's tape leads from a parameter to the loss, or from a leaf that the loss makes of one.
        tracked: bool,
        /// Burn's gradient in each float of a module, where its tape leads there.
        gradients: Vec<(usize, Option<TensorId>)>,
        /// Each answer of `gradient` that Burn's tape leads to, and Burn's gradient in it.
        answers: Vec<(TensorId, TensorId)>,
    },
    NotOneNumber(Vec<usize>),
    Constant,
}

/// Records the loss of the level named `name` on a batch like `batch`, and imports it.
///
/// Tensors that the loss makes have the default types of the device that the batch is on.
///
/// # Errors
/// [`TraceError`] when the loss does something that cannot be recorded or differentiated.
pub fn trace<L: LossValue>(
    name: &str,
    batch: &AnyBatch,
    loss: impl FnOnce(&mut Tracer<'_>) -> L,
) -> Result<Trace, TraceError> {
    let trace = trace_for(&batch.device().unwrap_or_else(Device::flex), name, batch, loss)?;
    if trace.differentiable { Ok(trace) } else { Err(TraceError::NoDerivative { level: name.into() }) }
}

/// As [`trace`], with the default types of `device`: a batch without tensors is on none. A loss without a derivative is no
/// error; its value may be enough.
///
/// # Errors
/// As for [`trace`].
pub fn trace_for<L: LossValue>(
    device: &Device,
    name: &str,
    batch: &AnyBatch,
    loss: impl FnOnce(&mut Tracer<'_>) -> L,
) -> Result<Trace, TraceError> {
    trace_part(device, name, batch, None, loss)
}

/// As [`trace_for`], on a part of a batch.
///
/// # Errors
/// As for [`trace`].
pub(crate) fn trace_part<L: LossValue>(
    device: &Device,
    name: &str,
    batch: &AnyBatch,
    part: Option<Part>,
    loss: impl FnOnce(&mut Tracer<'_>) -> L,
) -> Result<Trace, TraceError> {
    record(device, name, batch, part, Box::new(|tracer| loss(tracer).into_measured()))
}

/// A loss of any program.
type Measuring<'a> = Box<dyn FnOnce(&mut Tracer<'_>) -> Measured + 'a>;

/// As [`trace_part`]; compiled once, and not for every loss of a program.
fn record(
    device: &Device,
    name: &str,
    batch: &AnyBatch,
    part: Option<Part>,
    loss: Measuring<'_>,
) -> Result<Trace, TraceError> {
    let device = capture_device(device);
    let mut returned = Returned::Constant;
    let mut measured = Vec::new();
    let (mut placeholders, mut constants, mut updates) = (Vec::new(), Vec::new(), Vec::new());
    let mut panicked = None;
    let captured = caught(|| {
        device.capture_scope(|scope| {
            let mut tracer = Tracer::new(device.clone().autodiff(), batch, part);
            let called = caught(|| loss(&mut tracer));
            let answers = answers::take();
            placeholders = std::mem::take(&mut tracer.placeholders);
            constants = std::mem::take(&mut tracer.constants);
            let inputs: Vec<TensorId> = placeholders.iter().map(|placeholder| placeholder.id).collect();
            let Measured { loss, metrics } = match called {
                Ok(measured) => measured,
                Err(panic) => {
                    // What was recorded so far tells what there was to mix.
                    panicked = Some(panic);
                    return scope.complete(inputs, Vec::new());
                }
            };
            updates = std::mem::take(&mut tracer.updates).into_iter().filter_map(|updated| updated()).collect();
            // Metrics are held until the backward pass is recorded: it would take the last handle of what it reads for its own, and a
            // metric that the loss goes on computing with would be gone.
            measured = metrics.iter().map(|(name, metric)| Metric::of(name.clone(), metric.clone())).collect();
            returned = finish(loss, &placeholders, &answers);
            drop((answers, tracer));
            let ids = measured.iter().filter_map(|metric| metric.id);
            let completed = scope.complete(inputs, returned.outputs(ids));
            drop(metrics);
            completed
        })
    });
    if let Some(panic) = panicked {
        let captured = || captured.iter().flatten();
        let held = captured()
            .flat_map(|captured| constants.iter().flat_map(move |(level, names)| held(*level, names, captured)));
        let operations = captured().flat_map(|captured| &captured.graph.operations);
        let recorded = operations.flat_map(|operation| operation.outputs().map(|output| (output.dtype, None)));
        return Err(explain(name, panic, || types(&placeholders, held.chain(recorded))));
    }
    let mut captured = match captured {
        Err(panic) => return Err(explain(name, panic, || types(&placeholders, std::iter::empty()))),
        Ok(Err(error)) => return Err(explain_capture(name, error.to_string())),
        Ok(Ok(captured)) => captured,
    };
    let (loss, tracked, gradients, answers) = match returned {
        Returned::Loss { loss, tracked, gradients, answers } => (loss, tracked, gradients, answers),
        Returned::NotOneNumber(shape) => return Err(TraceError::NotOneNumber { level: name.into(), shape }),
        Returned::Constant => return Err(TraceError::Disconnected { level: name.into() }),
    };
    let mut graph = Graph::new();
    let mut nodes = HashMap::new();
    let mut inputs = Vec::new();
    for placeholder in &placeholders {
        let node = graph.input(&placeholder.shape, placeholder.dtype);
        nodes.insert(placeholder.id, node);
        inputs.push((placeholder.input, node));
    }
    for (level, names) in constants {
        for (index, (id, data)) in names.of(&captured).enumerate() {
            let node = graph.input(data.shape(), data.dtype());
            nodes.insert(id, node);
            inputs.push((LossInput::Constant { level, index }, node));
        }
        names.remove_from(&mut captured);
    }
    let is_share = batch.shard().is_some_and(|shard| shard.examples.is_some());
    let Reading { advances, outputs, held, operations, is_coarse } =
        import(&mut graph, &mut nodes, &captured, is_share, name)?;
    let advances = inputs.iter().filter_map(|&(source, input)| Some((source, *advances.get(&input)?))).collect();
    let loss = nodes[&loss];
    let leaves: Vec<NodeId> = inputs.iter().filter(|(source, _)| is_leaf(*source)).map(|&(_, node)| node).collect();
    if !tracked && !dependents(&graph, &leaves)[loss.index()] {
        return Err(TraceError::Disconnected { level: name.into() });
    }
    let differentiable = tracked
        || held.is_some() && {
            let led = differentiated(&graph, &[loss]);
            leaves.iter().any(|leaf| led[leaf.index()])
        };
    let of_burn = held.as_ref().unwrap_or(&nodes);
    let burn_answers = answers.iter().map(|(answer, gradient)| (nodes[answer], of_burn[gradient])).collect();
    let mut burn_gradients = Vec::with_capacity(gradients.len());
    for (index, id) in gradients {
        // Where Burn's tape does not lead, Burn's gradient is zero; ours must be as well.
        let gradient = id.map_or_else(|| graph.zeros_like(inputs[index].1), |id| of_burn[&id]);
        burn_gradients.push((inputs[index].1, gradient));
    }
    let metrics = measured.into_iter().map(|metric| metric.node(&nodes, name)).collect::<Result<_, _>>()?;
    let outputs = outputs.into_values().collect();
    Ok(Trace {
        graph,
        loss,
        metrics,
        inputs,
        burn_gradients,
        burn_answers,
        is_coarse,
        operations,
        advances,
        updates,
        outputs,
        differentiable,
    })
}

fn is_leaf(source: LossInput) -> bool {
    matches!(source, LossInput::Leaf { .. })
}

/// Records Burn's backward pass behind the loss.
fn finish(value: Tensor<1>, placeholders: &[Placeholder], answers: &[Taped]) -> Returned {
    let dispatch = value.into_dispatch();
    let Some(loss) = taped(&dispatch) else { return Returned::Constant };
    let shape = loss.primitive().shape().to_vec();
    if shape.iter().product::<usize>() != 1 {
        return Returned::NotOneNumber(shape);
    }
    let id = loss.primitive().id();
    let gradients = loss.is_tracked().then(|| <Autodiff<Capture> as AutodiffBackend>::backward(loss.clone()));
    let gradient = |taped: &Taped| {
        let gradient = <Autodiff<Capture> as AutodiffBackend>::grad(taped, gradients.as_ref()?)?;
        Some(gradient.id())
    };
    let floats = placeholders.iter().enumerate();
    let floats = floats.filter_map(|(index, placeholder)| Some((index, gradient(placeholder.taped.as_ref()?))));
    let floats: Vec<(usize, Option<TensorId>)> = floats.collect();
    let answers = answers.iter().filter_map(|answer| Some((answer.primitive().id(), gradient(answer)?)));
    let answers: Vec<(TensorId, TensorId)> = answers.collect();
    // An answer is a leaf of its own, which may lead from no parameter.
    let tracked = floats.iter().any(|(_, of)| of.is_some()) || loss.is_tracked() && answers.is_empty();
    Returned::Loss { loss: id, tracked, gradients: floats, answers }
}

/// A metric, before the recording is complete.
struct Metric {
    name: String,
    shape: Vec<usize>,
    /// Its name in the recording, if it is part of it.
    id: Option<TensorId>,
}

impl Metric {
    fn of(name: String, metric: Tensor<1>) -> Self {
        let shape = metric.shape().to_vec();
        Metric { name, shape, id: tensor_id(&metric.into_dispatch()) }
    }

    fn node(self, nodes: &HashMap<TensorId, NodeId>, level: &str) -> Result<(Rc<str>, NodeId), TraceError> {
        let Metric { name, shape, id } = self;
        if shape != [1] {
            return Err(TraceError::MetricNotOneNumber { level: level.into(), metric: name, shape });
        }
        let node = id.and_then(|id| nodes.get(&id)).ok_or_else(|| TraceError::ForeignTensor {
            level: level.into(),
            place: format!(" in its metric `{name}`"),
        })?;
        Ok((name.into(), *node))
    }
}

impl Returned {
    /// The loss, every gradient and every metric, each once: two parameters may share one gradient.
    fn outputs(&self, metrics: impl Iterator<Item = TensorId>) -> Vec<TensorId> {
        let Returned::Loss { loss, gradients, answers, .. } = self else { return Vec::new() };
        let mut seen = HashSet::new();
        let gradients = gradients.iter().filter_map(|&(_, id)| id).chain(answers.iter().map(|&(_, id)| id));
        std::iter::once(*loss).chain(gradients).chain(metrics).filter(|id| seen.insert(*id)).collect()
    }
}

//! Modules that are drawn anew: what makes one is recorded once, and computed with another seed for every draw.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{DType, Device};
use burn_ir::TensorId;

use super::device::capture_device;
use super::error::TraceError;
use super::import::import;
use super::place::{Place, gathered};
use super::recorded::tensor_id;
use super::refusal::{explain, explain_capture};
use crate::graph::{Graph, NodeId};
use crate::panic::caught;

/// The tensors of a module that a function has made on a device, which may be that of a recording.
///
/// ```
/// # use betty_runtime::trace::Drawn;
/// # use burn::nn::LinearConfig;
/// # use burn::tensor::Device;
/// fn my_net(device: &Device) -> burn::nn::Linear {
///     LinearConfig::new(2, 3).init(device)
/// }
/// let drawn = Drawn::new(&my_net(&Device::flex()));
/// ```
pub struct Drawn(Vec<Place>);

impl Drawn {
    /// All tensors of the module that have an identifier. Those that Burn has put off making are made here.
    pub fn new<M: Module>(module: &M) -> Self {
        Drawn(gathered(module))
    }
}

/// A function that makes a module, as a graph of its random draws.
pub(crate) struct Made {
    pub(crate) graph: Graph,
    /// Every place that holds a tensor, in the module's order.
    pub(crate) places: Vec<MadePlace>,
}

/// A place of a module that is made.
pub(crate) struct MadePlace {
    /// Where it is inside the module.
    pub(crate) path: String,
    /// What it holds there.
    pub(crate) node: NodeId,
    /// The first place with the same identifier.
    pub(crate) first: usize,
}

impl Made {
    /// Shape and type of what a place holds.
    pub(crate) fn look(&self, place: &MadePlace) -> (&[usize], DType) {
        (self.graph.shape(place.node), self.graph.dtype(place.node))
    }
}

/// Records a function that makes a module on a device, with the default types of `device`; none where there is no function.
///
/// # Errors
/// [`TraceError`] when it does something that cannot be recorded; `level` is named there.
pub(crate) fn record_made(
    level: &str,
    device: &Device,
    make: impl FnOnce(&Device) -> Option<Drawn>,
) -> Result<Option<Made>, TraceError> {
    let device = capture_device(device);
    let (mut panicked, mut drawn) = (None, None);
    let captured = caught(|| {
        device.capture_scope(|scope| {
            match caught(|| make(&device)) {
                Ok(made) => drawn = made,
                Err(panic) => panicked = Some(panic),
            }
            let tensors = drawn.iter().flat_map(|Drawn(places)| places);
            let mut ids: Vec<TensorId> = tensors.filter_map(|place| tensor_id(&place.value.0)).collect();
            // The reader takes what is recorded behind the first output for a backward pass.
            ids.sort_by(|one, other| other.cmp(one));
            ids.dedup();
            scope.complete(Vec::new(), ids)
        })
    });
    if let Some(panic) = panicked {
        return Err(explain(level, panic, String::new));
    }
    let captured = match captured {
        Err(panic) => return Err(explain(level, panic, String::new)),
        Ok(Err(error)) => return Err(explain_capture(level, error.to_string())),
        Ok(Ok(captured)) => captured,
    };
    let Some(Drawn(places)) = drawn else { return Ok(None) };
    let (mut graph, mut nodes) = (Graph::new(), HashMap::new());
    import(&mut graph, &mut nodes, &captured, false, level)?;
    let firsts: Vec<usize> =
        places.iter().map(|place| places.iter().position(|other| other.id == place.id).unwrap_or(0)).collect();
    let made = places.into_iter().zip(firsts).map(|(Place { path, value, .. }, first)| {
        let node = tensor_id(&value.0).and_then(|id| nodes.get(&id).copied());
        let place = format!(" in `{path}`");
        let node = node.ok_or_else(|| TraceError::ForeignTensor { level: level.into(), place })?;
        Ok(MadePlace { path, node, first })
    });
    let places = made.collect::<Result<_, TraceError>>()?;
    Ok(Some(Made { graph, places }))
}

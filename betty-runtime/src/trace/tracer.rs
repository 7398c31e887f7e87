//! Placeholders: the modules and batches a loss sees while it is recorded.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DType, Device, DispatchTensor, Int, Tensor, TensorData};
use burn_backend::BackendTypes;
use burn_dispatch::backends::{Autodiff, Capture};
use burn_dispatch::{BackendTensor, DispatchTensorKind};
use burn_ir::TensorId;

use super::batch::{AnyBatch, Batch, BatchMapper};
use super::capture::Source;
use super::mark::{PLACEHOLDER, constant, mark};
use super::module::LevelModule;
use super::number::Number;
use super::part::Part;
use super::statistics::place_statistics;

/// A float of Burn's capture backend on an autodiff tape.
pub(super) type Taped = <Autodiff<Capture> as BackendTypes>::FloatTensorPrimitive;

/// Hands a loss function its arguments while it is recorded.
///
/// Code written by `multilevel!` asks for modules and the batch in the order of the loss's arguments.
pub struct Tracer<'a> {
    device: Device,
    batch: &'a AnyBatch,
    /// How much of the batch is recorded, if not all of it.
    part: Option<Part>,
    pub(super) placeholders: Vec<Placeholder>,
    /// Puts back what mapping a module changed behind shared pointers (running statistics).
    restore: Vec<Box<dyn FnOnce()>>,
}

/// A tensor of the recording that stands for a program input.
pub(super) struct Placeholder {
    pub(super) source: Source,
    pub(super) id: TensorId,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    /// The tape's view of a float of a module.
    pub(super) taped: Option<Taped>,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(device: Device, batch: &'a AnyBatch, part: Option<Part>) -> Self {
        Tracer { device, batch, part, placeholders: Vec::new(), restore: Vec::new() }
    }

    /// The module of level `level`, with a placeholder for every tensor. `module` itself stays as it is.
    pub fn module<M: LevelModule>(&mut self, level: usize, module: &M) -> M {
        module.traced(level, self)
    }

    /// A copy of `module` with a placeholder for every tensor.
    pub(super) fn place_module<M: Module + 'static>(&mut self, level: usize, module: &M) -> M {
        let values = module.leaves().into_iter().map(|leaf| leaf.value).collect();
        let mut original = module.clone();
        self.restore.push(Box::new(move || original.assign(values)));
        let first = self.placeholders.len();
        let placed = module.clone().map(&mut PlaceModule { tracer: self, level, index: 0 });
        place_statistics(placed, &mut self.placeholders[first..])
    }

    /// The level's batch, with a placeholder for every tensor.
    ///
    /// # Panics
    /// When the level's stream delivers another type than `B`; both come from the same line of the program.
    pub fn batch<B: Batch>(&mut self) -> B {
        let batch = self.batch.downcast::<B>().expect("a level's stream and loss have one batch type").clone();
        batch.map(&mut PlaceBatch { tracer: self, index: 0 })
    }

    fn place<const D: usize, K: Basic>(&mut self, source: Source, shape: Vec<usize>, dtype: DType) -> Tensor<D, K> {
        let data = TensorData::full_dtype(shape.clone(), 0, dtype);
        let mut tensor = Tensor::<D, K>::from_data(data, (&self.device, dtype));
        let is_parameter = matches!(source, Source::Leaf { .. }) && dtype.is_float();
        let mut dispatch = tensor.into_dispatch();
        let id = tensor_id(&dispatch).expect("placeholders are made on the capture device");
        dispatch = without_value(dispatch);
        let mut handle = None;
        if is_parameter {
            dispatch = Tensor::<D>::from_dispatch(dispatch).require_grad().into_dispatch();
            handle = taped(&dispatch).cloned();
        }
        self.placeholders.push(Placeholder { source, id, shape, dtype, taped: handle });
        tensor = Tensor::from_dispatch(dispatch);
        tensor
    }
}

impl Drop for Tracer<'_> {
    fn drop(&mut self) {
        for restore in self.restore.drain(..) {
            restore();
        }
    }
}

/// The tape's view of a recorded float.
pub(super) fn taped(tensor: &DispatchTensor) -> Option<&Taped> {
    match &tensor.kind {
        DispatchTensorKind::Autodiff(inner) => match &**inner {
            DispatchTensorKind::Capture(BackendTensor::Autodiff(tensor)) => Some(tensor),
            _ => None,
        },
        _ => None,
    }
}

/// The recording's name of a tensor, if it is part of one.
pub(super) fn tensor_id(tensor: &DispatchTensor) -> Option<TensorId> {
    if let Some(taped) = taped(tensor) {
        return Some(taped.primitive().id());
    }
    match &tensor.kind {
        DispatchTensorKind::Capture(BackendTensor::Float(tensor)) => Some(tensor.id()),
        DispatchTensorKind::Capture(BackendTensor::Int(tensor)) => Some(tensor.id()),
        DispatchTensorKind::Capture(BackendTensor::Bool(tensor)) => Some(tensor.id()),
        _ => None,
    }
}

/// Hides the zeros behind a placeholder: a loss that reads them must fail rather than go on with them.
fn without_value(tensor: DispatchTensor) -> DispatchTensor {
    if let Some(float) = taped(&tensor).cloned() {
        return constant(mark(PLACEHOLDER, float.into_primitive()));
    }
    let DispatchTensor { kind, autodiff } = tensor;
    let kind = match kind {
        DispatchTensorKind::Capture(BackendTensor::Int(tensor)) => {
            DispatchTensorKind::Capture(BackendTensor::Int(mark(PLACEHOLDER, tensor)))
        }
        DispatchTensorKind::Capture(BackendTensor::Bool(tensor)) => {
            DispatchTensorKind::Capture(BackendTensor::Bool(mark(PLACEHOLDER, tensor)))
        }
        other => other,
    };
    DispatchTensor { kind, autodiff }
}

struct PlaceModule<'t, 'a> {
    tracer: &'t mut Tracer<'a>,
    level: usize,
    index: usize,
}

impl PlaceModule<'_, '_> {
    fn place<const D: usize, K: Basic>(&mut self, param: Param<Tensor<D, K>>) -> Param<Tensor<D, K>>
    where
        Tensor<D, K>: burn::module::Parameter,
    {
        let source = Source::Leaf { level: self.level, index: self.index };
        self.index += 1;
        let (id, tensor, mapper) = param.consume();
        let (shape, dtype) = (tensor.shape().to_vec(), tensor.dtype());
        Param::from_mapped_value(id, self.tracer.place(source, shape, dtype), mapper)
    }
}

impl ModuleMapper for PlaceModule<'_, '_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.place(param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.place(param)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.place(param)
    }
}

struct PlaceBatch<'t, 'a> {
    tracer: &'t mut Tracer<'a>,
    index: usize,
}

impl PlaceBatch<'_, '_> {
    fn place<const D: usize, K: Basic>(&mut self, tensor: &Tensor<D, K>) -> Tensor<D, K> {
        let source = Source::Batch { index: self.index };
        self.index += 1;
        let shape = tensor.shape().to_vec();
        let shape = self.tracer.part.map_or(shape.clone(), |part| part.cut(shape));
        self.tracer.place(source, shape, tensor.dtype())
    }
}

impl BatchMapper for PlaceBatch<'_, '_> {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        self.place(&tensor)
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        self.place(&tensor)
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        self.place(&tensor)
    }

    fn number(&mut self, _number: Number) -> Number {
        let source = Source::Batch { index: self.index };
        let value = &self.tracer.batch.values()[self.index];
        let (shape, dtype) = (value.shape(), value.dtype());
        self.index += 1;
        Number::recorded(self.tracer.place(source, shape, dtype))
    }

    fn plain(&mut self, _hash: u64) {}
}

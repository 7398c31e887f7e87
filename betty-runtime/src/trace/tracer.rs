//! Placeholders: the modules and batches a loss sees while it is recorded.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, Parameter};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DType, Device, DispatchTensor, Float, Int, Tensor, TensorData};
use burn_backend::BackendTypes;
use burn_dispatch::backends::{Autodiff, Capture};
use burn_dispatch::{BackendTensor, DispatchTensorKind};
use burn_ir::TensorId;

use super::batch::{AnyBatch, Batch, BatchMapper};
use super::capture::LossInput;
use super::constants::{Names, place_constants};
use super::mark::{PLACEHOLDER, constant, mark};
use super::module::{LevelModule, replace};
use super::number::Number;
use super::part::Part;
use super::place::{Place, Role, tensors};
use super::statistics::{one_for_each_id, place_statistics};

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
    /// The constants of the modules, level by level.
    pub(super) constants: Vec<(usize, Names)>,
}

/// A tensor of the recording that stands for a program input.
pub(super) struct Placeholder {
    pub(super) source: LossInput,
    pub(super) id: TensorId,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    /// The tape's view of a float of a module.
    pub(super) taped: Option<Taped>,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(device: Device, batch: &'a AnyBatch, part: Option<Part>) -> Self {
        Tracer { device, batch, part, placeholders: Vec::new(), constants: Vec::new() }
    }

    /// The module of level `level`, with a placeholder for every tensor that has an identifier; what the module holds as
    /// plain fields is a constant of the recording. `module` itself stays as it is.
    pub fn module<M: LevelModule>(&mut self, level: usize, module: &M) -> M {
        module.traced(level, self)
    }

    /// A copy of `module` in the recording.
    pub(super) fn place_module<M: Module + 'static>(&mut self, level: usize, module: &M) -> M {
        let places = module.places();
        let (placed, names) = place_constants(module, &self.device.clone().without_autodiff());
        self.constants.push((level, names));
        let numbers = tensors(&places);
        let placed = one_for_each_id(|| {
            placed.map(&mut PlaceModule {
                tracer: self,
                level,
                places: places.iter().zip(numbers),
                known: HashMap::new(),
            })
        });
        if places.iter().any(|place| place.role == Role::Statistic) { place_statistics(placed) } else { placed }
    }

    /// The level's batch, with a placeholder for every tensor.
    ///
    /// # Panics
    /// When the level's stream delivers another type than `B`; both come from the same line of the program.
    pub fn batch<B: Batch>(&mut self) -> B {
        let batch = self.batch.downcast::<B>().expect("a level's stream and loss have one batch type").clone();
        batch.map(&mut PlaceBatch { tracer: self, index: 0 })
    }

    /// A placeholder; `on_tape` if Burn's gradient of it is asked for.
    fn place<const D: usize, K: Basic>(
        &mut self,
        source: LossInput,
        shape: Vec<usize>,
        dtype: DType,
        on_tape: bool,
    ) -> DispatchTensor {
        let data = TensorData::full_dtype(shape.clone(), 0, dtype);
        let mut dispatch = Tensor::<D, K>::from_data(data, (&self.device, dtype)).into_dispatch();
        let id = tensor_id(&dispatch).expect("placeholders are made on the capture device");
        dispatch = without_value(dispatch);
        let mut handle = None;
        if on_tape {
            dispatch = Tensor::<D>::from_dispatch(dispatch).require_grad().into_dispatch();
            handle = taped(&dispatch).cloned();
        }
        self.placeholders.push(Placeholder { source, id, shape, dtype, taped: handle });
        dispatch
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

struct PlaceModule<'t, 'a, P> {
    tracer: &'t mut Tracer<'a>,
    level: usize,
    /// The places that are still to come, each with the number of its tensor.
    places: P,
    /// Tensors that have a placeholder.
    known: HashMap<usize, DispatchTensor>,
}

impl<'p, P: Iterator<Item = (&'p Place, usize)>> PlaceModule<'_, '_, P> {
    fn place<const D: usize, K: Basic>(&mut self, param: Param<Tensor<D, K>>) -> Param<Tensor<D, K>>
    where
        Tensor<D, K>: Parameter,
    {
        let Some((place, index)) = self.places.next() else { return param };
        let (shape, dtype) = (place.value.shape(), place.value.dtype());
        let placeholder = self.known.entry(index).or_insert_with(|| {
            let on_tape = dtype.is_float() && place.role != Role::Statistic;
            self.tracer.place::<D, K>(LossInput::Leaf { level: self.level, index }, shape, dtype, on_tape)
        });
        replace(param, Some(Tensor::from_dispatch(placeholder.clone())))
    }
}

impl<'p, P: Iterator<Item = (&'p Place, usize)>> ModuleMapper for PlaceModule<'_, '_, P> {
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
        let source = LossInput::Batch { index: self.index };
        self.index += 1;
        let shape = tensor.shape().to_vec();
        let shape = self.tracer.part.map_or(shape.clone(), |part| part.cut(shape));
        Tensor::from_dispatch(self.tracer.place::<D, K>(source, shape, tensor.dtype(), false))
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
        let source = LossInput::Batch { index: self.index };
        let value = &self.tracer.batch.values()[self.index];
        let (shape, dtype) = (value.shape(), value.dtype());
        self.index += 1;
        Number::recorded(Tensor::from_dispatch(self.tracer.place::<1, Float>(source, shape, dtype, false)))
    }

    fn plain(&mut self, _hash: u64) {}
}

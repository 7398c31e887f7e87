//! Placeholders: what a loss sees while it is recorded.

use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DType, Device, DispatchTensor, Float, Int, Tensor, TensorData};
use burn_dispatch::{BackendTensor, DispatchTensorKind};
use burn_ir::TensorId;

use super::any_batch::AnyBatch;
use super::batch::{Batch, BatchMapper};
use super::constants::Names;
use super::loss::LossInput;
use super::mark::{PLACEHOLDER, mark};
use super::number::Number;
use super::part::Part;
use super::recorded::{Taped, constant, taped, tensor_id};

/// Hands a loss function its arguments while it is recorded.
///
/// Code written by `multilevel!` asks for modules and the batch in the order of the loss's arguments.
pub struct Tracer<'a> {
    pub(super) device: Device,
    batch: &'a AnyBatch,
    /// How much of the batch is recorded, if not all of it.
    part: Option<Part>,
    pub(super) placeholders: Vec<Placeholder>,
    /// The constants of the modules, level by level.
    pub(super) constants: Vec<(usize, Names)>,
    /// For each module with running statistics, what tells which of them is a state of Burn's that has been updated.
    pub(super) updates: Vec<Box<dyn FnOnce() -> Option<LossInput>>>,
}

/// A tensor of the recording that stands for a program input.
pub(super) struct Placeholder {
    pub(super) input: LossInput,
    pub(super) id: TensorId,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    /// The tape's view of a float of a module.
    pub(super) taped: Option<Taped>,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(device: Device, batch: &'a AnyBatch, part: Option<Part>) -> Self {
        Tracer { device, batch, part, placeholders: Vec::new(), constants: Vec::new(), updates: Vec::new() }
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
    pub(super) fn place<const D: usize, K: Basic>(
        &mut self,
        input: LossInput,
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
        self.placeholders.push(Placeholder { input, id, shape, dtype, taped: handle });
        dispatch
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

struct PlaceBatch<'t, 'a> {
    tracer: &'t mut Tracer<'a>,
    index: usize,
}

impl PlaceBatch<'_, '_> {
    fn place<const D: usize, K: Basic>(&mut self, tensor: &Tensor<D, K>) -> Tensor<D, K> {
        let input = LossInput::Batch { index: self.index };
        self.index += 1;
        let shape = tensor.shape().to_vec();
        let shape = self.tracer.part.map_or(shape.clone(), |part| part.cut(shape));
        Tensor::from_dispatch(self.tracer.place::<D, K>(input, shape, tensor.dtype(), false))
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
        let input = LossInput::Batch { index: self.index };
        let value = &self.tracer.batch.values()[self.index];
        let (shape, dtype) = (value.shape(), value.dtype());
        self.index += 1;
        Number::recorded(Tensor::from_dispatch(self.tracer.place::<1, Float>(input, shape, dtype, false)))
    }

    fn plain(&mut self, _hash: u64) {}
}

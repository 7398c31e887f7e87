//! Numbers of a batch that a loss computes with.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::execute::computes_in;

/// A number of a batch that is an input of the recorded loss, as tensors are: a temperature, an epoch, the number of a step.
///
/// A plain `f64` in a batch is part of the recording instead, because the loss may decide by it what to compute. So every
/// other value of it is recorded, verified and planned anew.
///
/// ```
/// use betty_runtime::{Batch, Number};
/// use burn::tensor::Tensor;
///
/// #[derive(Clone, Batch)]
/// struct Tempered {
///     scores: Tensor<2>,
///     temperature: Number,
/// }
///
/// fn soften(batch: Tempered) -> Tensor<2> {
///     let temperature = batch.temperature.like(&batch.scores);
///     batch.scores / temperature
/// }
/// # let scores = Tensor::from_floats([[1.0, 3.0]], &burn::tensor::Device::flex());
/// # let softened = soften(Tempered { scores, temperature: 2.0.into() });
/// # assert_eq!(softened.into_data().iter::<f64>().collect::<Vec<_>>(), [0.5, 1.5]);
/// ```
///
/// It enters the recording in double precision, in single precision on a device without.
#[derive(Clone, Debug)]
pub struct Number(Held);

#[derive(Clone, Debug)]
pub(super) enum Held {
    Given(f64),
    /// Of shape `[1]`.
    Recorded(Box<Tensor<1>>),
}

impl Number {
    /// This number.
    pub fn new(value: f64) -> Self {
        Number(Held::Given(value))
    }

    /// The number as a tensor of the type and on the device of `other`, with one element along each of its dimensions: in an
    /// operation with `other` it is broadcast.
    pub fn like<const D: usize>(&self, other: &Tensor<D>) -> Tensor<D> {
        match &self.0 {
            Held::Given(value) => {
                let data = TensorData::new(vec![*value], [1_usize; D]).convert_dtype(other.dtype());
                Tensor::from_data(data, (&other.device(), other.dtype()))
            }
            Held::Recorded(tensor) => Tensor::clone(tensor).cast(other.dtype()).reshape([1_usize; D]),
        }
    }

    /// The value; none inside of a loss that is being recorded, whose graph holds for every value: there it is computed with as the
    /// tensor that [`like`](Self::like) answers. What a loss decides by is plain data instead, an `f64` in the batch.
    pub fn value(&self) -> Option<f64> {
        match self.0 {
            Held::Given(value) => Some(value),
            Held::Recorded(_) => None,
        }
    }

    /// A number that stands for whatever value the tensor will have.
    pub(super) fn recorded(tensor: Tensor<1>) -> Self {
        Number(Held::Recorded(Box::new(tensor)))
    }

    pub(super) fn held(self) -> Held {
        self.0
    }
}

impl<T: Into<f64>> From<T> for Number {
    fn from(value: T) -> Self {
        Number::new(value.into())
    }
}

/// The type in which a number enters programs on a device.
pub(super) fn type_on(device: &Device) -> DType {
    if computes_in(device, DType::F64) { DType::F64 } else { DType::F32 }
}

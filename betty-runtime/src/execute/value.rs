//! A tensor of any rank and kind on a device, outside of autodiff.

use std::cell::Cell;

use burn::tensor::kind::Basic;
use burn::tensor::{DType, Device, DispatchTensor, Tensor, TensorData};
use burn_backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn_backend::{AutodiffBackend, Backend as _, TensorMetadata};
use burn_dispatch::{Dispatch, DispatchAutodiffContext, DispatchDevice};

use super::stored::Stored;

/// A device tensor whose rank and kind are known at run time only. Cloning shares the memory.
#[derive(Clone, Debug)]
pub struct Value(pub(crate) DispatchTensor);

/// Reading a value back to the host failed.
#[derive(thiserror::Error)]
#[error("could not read a tensor back from the device: {0}")]
pub struct ReadError(String);

crate::report::debug_as_report!(ReadError);

thread_local! {
    static READS: Cell<u64> = const { Cell::new(0) };
}

/// How many tensors this thread has read back from a device so far. Each waited for everything that the device had to do.
pub fn reads() -> u64 {
    READS.get()
}

impl ReadError {
    pub(crate) fn new(reason: String) -> Self {
        ReadError(reason)
    }
}

impl Value {
    /// Takes a tensor out of Burn's typed interface; an autodiff tensor loses its tape.
    pub fn from_tensor<const D: usize, K: Basic>(tensor: Tensor<D, K>) -> Self {
        let tensor = tensor.into_dispatch();
        Value(match tensor.autodiff {
            DispatchAutodiffContext::Disabled => tensor,
            DispatchAutodiffContext::Enabled(_) if tensor.dtype().is_float() => Dispatch::inner(tensor),
            DispatchAutodiffContext::Enabled(_) if tensor.dtype().is_bool() => Dispatch::bool_inner(tensor),
            DispatchAutodiffContext::Enabled(_) => Dispatch::int_inner(tensor),
        })
    }

    /// Gives the value back as a tensor.
    ///
    /// # Panics
    /// When the value has not rank `D` and kind `K`; callers know both from where they put the value.
    pub fn into_tensor<const D: usize, K: Basic>(self) -> Tensor<D, K> {
        Tensor::from_dispatch(self.0)
    }

    /// Puts host data on a device: truth values as the device stores them, and integers of 64 bits as such of 32 where it has no longer
    /// ones.
    pub fn from_data(data: TensorData, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let data = if data.dtype().is_float() { data } else { Stored::on(&device).data(data) };
        Value(uploaded(data, device.as_dispatch()))
    }

    /// A float tensor of zeros.
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        Value(Dispatch::float_zeros(shape.to_vec().into(), device.as_dispatch(), dtype.into()))
    }

    /// A one-element float tensor, of shape `[1]`.
    pub fn scalar(value: f64, dtype: DType, device: &Device) -> Self {
        Self::from_data(TensorData::new(vec![value], [1]).convert_dtype(dtype), device)
    }

    /// Copies the value to the host, waiting for the device.
    ///
    /// # Errors
    /// [`ReadError`] when the device reports that computing the value failed.
    pub fn to_data(&self) -> Result<TensorData, ReadError> {
        READS.set(READS.get() + 1);
        let tensor = self.0.clone();
        let dtype = self.dtype();
        let read = if dtype.is_float() {
            burn_backend::read_sync(Dispatch::float_into_data(tensor))
        } else if dtype.is_bool() {
            burn_backend::read_sync(Dispatch::bool_into_data(tensor))
        } else {
            burn_backend::read_sync(Dispatch::int_into_data(tensor))
        };
        read.map_err(|error| ReadError(error.to_string()))
    }

    /// All elements as `f64`, in row-major order.
    ///
    /// # Errors
    /// [`ReadError`] as for [`Value::to_data`].
    pub fn to_vec(&self) -> Result<Vec<f64>, ReadError> {
        Ok(self.to_data()?.iter::<f64>().collect())
    }

    /// The first element as `f64`.
    ///
    /// # Errors
    /// [`ReadError`] as for [`Value::to_data`], or when there is no element.
    pub fn to_f64(&self) -> Result<f64, ReadError> {
        self.to_data()?.iter::<f64>().next().ok_or_else(|| ReadError("the tensor is empty".into()))
    }

    /// Shape of the tensor.
    pub fn shape(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    /// Element type of the tensor.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    /// Whether the device knows its type, at least to make another one of it.
    pub(crate) fn is_held(&self) -> bool {
        !self.dtype().is_float() || !Dispatch::dtype_usage(&self.0.device(), self.dtype()).is_empty()
    }

    /// Where the tensor lives.
    pub fn device(&self) -> Device {
        Device::new(self.0.device())
    }
}

/// Host data on a device that has their type.
pub(super) fn uploaded(data: TensorData, device: &DispatchDevice) -> DispatchTensor {
    let dtype = data.dtype();
    if dtype.is_float() {
        Dispatch::float_from_data(data, device)
    } else if dtype.is_bool() {
        Dispatch::bool_from_data(data, device)
    } else {
        Dispatch::int_from_data(data, device)
    }
}

//! Vectors of the smallest problems: in double precision, on the CPU, as numbers and as parameters.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// A tensor of these numbers.
#[must_use]
pub fn tensor(values: &[f64]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&Device::flex(), DType::F64))
}

/// A parameter that begins at these numbers.
#[must_use]
pub fn parameter(values: &[f64]) -> Param<Tensor<1>> {
    Param::from_tensor(tensor(values))
}

/// The numbers of a parameter.
///
/// # Panics
/// If it cannot be read from its device.
#[must_use]
pub fn values(parameter: &Param<Tensor<1>>) -> Vec<f64> {
    parameter.val().into_data().iter::<f64>().collect()
}

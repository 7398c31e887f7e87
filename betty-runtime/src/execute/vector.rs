//! Lists of tensors as elements of one vector space: the parameters of a level, their gradients, solver states.

use burn::tensor::TensorData;
use burn_backend::Scalar;
use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::{ReadError, Value};
use crate::linalg::{Coordinates, InnerProductSpace};

/// The direct sum of the spaces of several float tensors.
#[derive(Clone, Debug, Default)]
pub struct Vector(pub Vec<Value>);

impl Vector {
    /// Total number of elements.
    pub fn len(&self) -> usize {
        self.0.iter().map(|value| value.0.shape().num_elements()).sum()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All elements as `f64`, tensor after tensor.
    ///
    /// # Errors
    /// [`ReadError`] when the device cannot deliver a tensor.
    pub fn to_vec(&self) -> Result<Vec<f64>, ReadError> {
        let mut all = Vec::with_capacity(self.len());
        for value in &self.0 {
            all.extend(value.to_vec()?);
        }
        Ok(all)
    }
}

impl InnerProductSpace for Vector {
    type Error = ReadError;

    fn dot(&self, other: &Self) -> Result<f64, ReadError> {
        let mut total = 0.0;
        for (x, y) in self.0.iter().zip(&other.0) {
            total += Value(Dispatch::float_sum(Dispatch::float_mul(x.0.clone(), y.0.clone()))).to_f64()?;
        }
        Ok(total)
    }

    fn scale(&mut self, factor: f64) {
        let scaled = std::mem::take(&mut self.0).into_iter();
        self.0 = scaled.map(|x| Value(Dispatch::float_mul_scalar(x.0, Scalar::Float(factor)))).collect();
    }

    fn add_scaled(&mut self, factor: f64, other: &Self) {
        let pairs = std::mem::take(&mut self.0).into_iter().zip(&other.0);
        self.0 = pairs
            .map(|(y, x)| {
                let scaled = Dispatch::float_mul_scalar(x.0.clone(), Scalar::Float(factor));
                Value(Dispatch::float_add(y.0, scaled))
            })
            .collect();
    }

    fn zero(&self) -> Self {
        let zeros = self.0.iter().map(|value| {
            let tensor = &value.0;
            Value(Dispatch::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into()))
        });
        Vector(zeros.collect())
    }
}

impl Coordinates for Vector {
    fn dimension(&self) -> usize {
        self.len()
    }

    fn coordinates(&self) -> Result<Vec<f64>, ReadError> {
        self.to_vec()
    }

    fn with_coordinates(&self, coordinates: &[f64]) -> Self {
        let mut rest = coordinates;
        let values = self.0.iter().map(|value| {
            let shape = value.shape();
            let (own, others) = rest.split_at(shape.iter().product());
            rest = others;
            Value::from_data(TensorData::new(own.to_vec(), shape).convert_dtype(value.dtype()), &value.device())
        });
        Vector(values.collect())
    }
}

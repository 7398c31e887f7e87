//! Lists of tensors as one vector: the parameters of a level, their gradients, solver states.

use burn_backend::TensorMetadata as _;
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::Dispatch;

use super::{ReadError, Unread, Value};

/// The direct sum of the spaces of several float tensors.
#[derive(Clone, Debug, Default)]
pub struct Vector(pub Vec<Value>);

impl Vector {
    /// Total number of elements.
    pub fn len(&self) -> usize {
        self.0.iter().map(|value| value.0.shape().num_elements()).sum()
    }

    /// `factor · self`
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let mut scaled = self.clone();
        scaled.scale(factor);
        scaled
    }

    /// Several vectors of one space, tensor by tensor along a new leading dimension.
    #[must_use]
    pub fn stacked(vectors: &[Vector]) -> Self {
        let Some(first) = vectors.first() else { return Vector::default() };
        let stack = |index: usize| {
            let shape = [&[1], first.0[index].shape().as_slice()].concat();
            let tensors = vectors.iter().map(|of| Dispatch::float_reshape(of.0[index].0.clone(), shape.clone().into()));
            Value(Dispatch::float_cat(tensors.collect(), 0))
        };
        Vector((0..first.0.len()).map(stack).collect())
    }

    /// One of the vectors that were [stacked](Self::stacked).
    #[must_use]
    pub fn lane(&self, index: usize) -> Self {
        let lane = |value: &Value| {
            let tensor = Dispatch::float_slice(value.0.clone(), &[(index..index + 1).into()]);
            Value(Dispatch::float_reshape(tensor, value.shape()[1..].to_vec().into()))
        };
        Vector(self.0.iter().map(lane).collect())
    }

    /// The tensors that are marked, as a vector of their own.
    #[must_use]
    pub(crate) fn part(&self, marks: &[bool]) -> Self {
        let marked = self.0.iter().zip(marks).filter(|(_, is_marked)| **is_marked);
        Vector(marked.map(|(tensor, _)| tensor.clone()).collect())
    }

    /// This vector with the tensors of a [part](Self::part) in the place of those that are marked.
    #[must_use]
    pub(crate) fn with_part(&self, marks: &[bool], part: Self) -> Self {
        let mut part = part.0.into_iter();
        let tensors = self.0.iter().zip(marks).map(|(own, is_marked)| match is_marked {
            true => part.next().unwrap_or_else(|| own.clone()),
            false => own.clone(),
        });
        Vector(tensors.collect())
    }

    /// Whether both are made of tensors of the same shapes and types.
    pub fn looks_like(&self, other: &Vector) -> bool {
        let looks = |value: &Value| (value.shape(), value.dtype());
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| looks(one) == looks(other))
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All elements as `f64`, tensor after tensor, in one transfer for each type of numbers.
    ///
    /// # Errors
    /// [`ReadError`] when the device cannot deliver a tensor.
    pub fn to_vec(&self) -> Result<Vec<f64>, ReadError> {
        let mut read = Self::to_vecs(std::slice::from_ref(self))?;
        Ok(read.pop().unwrap_or_default())
    }

    /// The elements of each of several vectors, in as many transfers as for one.
    ///
    /// # Errors
    /// [`ReadError`] when the device cannot deliver a tensor.
    pub(crate) fn to_vecs(vectors: &[Self]) -> Result<Vec<Vec<f64>>, ReadError> {
        let values = vectors.iter().flat_map(|vector| vector.0.iter().cloned());
        let mut parts = Unread::read_all(values.map(Unread::OnDevice).collect())?.into_iter();
        Ok(vectors.iter().map(|vector| parts.by_ref().take(vector.0.len()).flatten().collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    fn vector(values: &[f64], dtype: DType) -> Vector {
        let data = TensorData::new(values.to_vec(), [values.len()]).convert_dtype(dtype);
        Vector(vec![Value::from_data(data, &Device::flex())])
    }

    #[test]
    fn stacked_vectors_come_apart_again() {
        for dtype in [DType::F32, DType::F64] {
            let parts = [vector(&[1.0, 2.0], dtype), vector(&[3.0, 4.0], dtype), vector(&[5.0, 6.0], dtype)];
            let stacked = Vector::stacked(&parts);
            assert_eq!(stacked.0[0].shape(), [3, 2]);
            for (index, part) in parts.iter().enumerate() {
                assert_eq!(stacked.lane(index).to_vec().ok(), part.to_vec().ok());
                assert_eq!(stacked.lane(index).0[0].shape(), [2]);
            }
        }
    }
}

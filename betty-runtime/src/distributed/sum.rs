//! Vectors and numbers summed over all ranks, in one message.

use burn::tensor::{DType, TensorData};

use super::header::Kind;
use super::{DistributedError, Ranks};
use crate::execute::{Cost, ReadError, Value, Vector, count};

/// What is summed, in the widest type that is in it. Half precision is summed in single.
enum Packed {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Ranks {
    /// Puts sums over all ranks in the place of vectors and numbers.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn sum<'v>(
        &self,
        vectors: impl IntoIterator<Item = &'v mut Vector>,
        numbers: &mut [f64],
    ) -> Result<(), DistributedError> {
        if self.is_apart() {
            return Ok(());
        }
        let mut values: Vec<&mut Value> = vectors.into_iter().flat_map(|vector| &mut vector.0).collect();
        let packed = Packed::new(&values, numbers)?;
        let bytes = packed.bytes();
        self.announce(Kind::Sum, bytes)?;
        let summed = self.carried(bytes, |collective| packed.summed(collective))?;
        count(Cost::sent(bytes));
        summed.unpack(&mut values, numbers);
        Ok(())
    }
}

impl Packed {
    fn new(values: &[&mut Value], numbers: &[f64]) -> Result<Self, ReadError> {
        let is_double = values.is_empty() || values.iter().any(|value| value.dtype() == DType::F64);
        let data = values.iter().map(|value| value.to_data()).collect::<Result<Vec<TensorData>, _>>()?;
        Ok(if is_double {
            Packed::Double(data.iter().flat_map(|data| data.iter::<f64>()).chain(numbers.iter().copied()).collect())
        } else {
            let numbers = numbers.iter().map(|&number| number as f32);
            Packed::Single(data.iter().flat_map(|data| data.iter::<f32>()).chain(numbers).collect())
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Packed::Single(numbers) => size_of_val(numbers.as_slice()),
            Packed::Double(numbers) => size_of_val(numbers.as_slice()),
        }
    }

    fn summed(mut self, collective: &dyn super::Collective) -> Result<Self, super::CollectiveError> {
        match &mut self {
            Packed::Single(numbers) => collective.sum_f32(numbers)?,
            Packed::Double(numbers) => collective.sum_f64(numbers)?,
        }
        Ok(self)
    }

    fn unpack(self, values: &mut [&mut Value], numbers: &mut [f64]) {
        match self {
            Packed::Single(all) => {
                let rest = unpack(&all, values);
                numbers.iter_mut().zip(rest).for_each(|(number, &sum)| *number = f64::from(sum));
            }
            Packed::Double(all) => numbers.copy_from_slice(unpack(&all, values)),
        }
    }
}

/// Puts the first of these numbers into tensors, and answers the rest.
fn unpack<'a, N: burn::tensor::Element>(mut all: &'a [N], values: &mut [&mut Value]) -> &'a [N] {
    for value in values {
        let shape = value.shape();
        let (own, rest) = all.split_at(shape.iter().product());
        all = rest;
        let data = TensorData::new(own.to_vec(), shape).convert_dtype(value.dtype());
        **value = Value::from_data(data, &value.device());
    }
    all
}

//! Tensors of one rank, given to all.

use burn::tensor::TensorData;

use super::{DistributedError, Ranks};
use crate::execute::{Cost, Value, count};

impl Ranks {
    /// Puts the tensors of rank 0 in the place of these, which look the same.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn adopt(&self, values: &mut [Value]) -> Result<(), DistributedError> {
        self.adopt_from(0, values.iter_mut())
    }

    /// Puts the tensors of this rank in the place of these, which look the same, in one message.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn adopt_from<'v>(
        &self,
        rank: usize,
        values: impl Iterator<Item = &'v mut Value>,
    ) -> Result<(), DistributedError> {
        let values: Vec<&mut Value> = values.collect();
        let data = values.iter().map(|value| value.to_data()).collect::<Result<Vec<TensorData>, _>>()?;
        let mut bytes: Vec<u8> = data.iter().flat_map(|data| data.as_bytes().iter().copied()).collect();
        self.broadcast_from(rank, &mut bytes)?;
        count(Cost::sent(bytes.len()));
        if self.rank() != rank {
            let mut rest = bytes.as_slice();
            for (value, data) in values.into_iter().zip(&data) {
                let (own, others) = rest.split_at(data.as_bytes().len());
                rest = others;
                let given = TensorData::from_bytes_vec(own.to_vec(), value.shape(), data.dtype());
                *value = Value::from_data(given, &value.device());
            }
        }
        Ok(())
    }
}

//! Tensors of the first rank, given to all.

use burn::tensor::TensorData;

use super::{DistributedError, Ranks};
use crate::execute::{Cost, Value, count};

impl Ranks {
    /// Puts the tensors of rank 0 in the place of these, which look the same.
    ///
    /// # Errors
    /// [`DistributedError`].
    pub(crate) fn adopt(&self, values: &mut [Value]) -> Result<(), DistributedError> {
        let data = values.iter().map(Value::to_data).collect::<Result<Vec<TensorData>, _>>()?;
        let mut bytes: Vec<u8> = data.iter().flat_map(|data| data.as_bytes().iter().copied()).collect();
        self.broadcast(&mut bytes)?;
        count(Cost::sent(bytes.len()));
        if self.rank() > 0 {
            let mut rest = bytes.as_slice();
            for (value, data) in values.iter_mut().zip(&data) {
                let (own, others) = rest.split_at(data.as_bytes().len());
                rest = others;
                let given = TensorData::from_bytes_vec(own.to_vec(), value.shape(), data.dtype());
                *value = Value::from_data(given, &value.device());
            }
        }
        Ok(())
    }
}

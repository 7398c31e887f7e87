//! Sums over ranks inside of losses and steps.

use burn::tensor::{DType, Tensor, TensorData};

use super::Ranks;
use super::header::Kind;
use crate::graph::SumOverRanks;
use crate::trace;

/// The sum of a tensor over all ranks that share the examples of a batch, for a loss that is no mean over examples; in one process,
/// and where all ranks have the same batches, the tensor itself.
///
/// Ranks put losses of shares together as means, which is right for means over examples. Any other loss is one as well once all that it
/// forms of the whole batch is a sum of this kind: then every rank has the loss of the whole batch, and so does their mean. Derivatives of
/// every order go through: `S = Σᵣ xᵣ` moves by the sum of what its parts move by, and a rank's part moves `S` on all ranks.
///
/// ```
/// use betty_runtime::distributed::sum;
/// use burn::tensor::Tensor;
///
/// /// A mean with weights that are normalised over the batch, however it is divided.
/// fn weighted_mean(losses: Tensor<1>, weights: Tensor<1>) -> Tensor<1> {
///     sum((weights.clone() * losses).sum()) / sum(weights.sum())
/// }
/// # let device = burn::tensor::Device::flex();
/// # let found = weighted_mean(Tensor::from_floats([1.0, 4.0], &device), Tensor::from_floats([2.0, 1.0], &device));
/// # assert_eq!(found.into_scalar::<f32>(), 2.0);
/// ```
///
/// Each sum is a message, and one more for each of its derivatives: sum few numbers. All ranks have to form the same sums, so a loss
/// must not decide by what is in its share whether it forms one. A [gradient](crate::gradient) that is taken inside of a loss is that of
/// the rank's own part; sum it where that of the whole is meant.
pub fn sum<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    trace::summed(tensor)
}

impl SumOverRanks for Ranks {
    fn sum_of(&self, data: TensorData) -> TensorData {
        let (shape, dtype) = (data.shape().to_vec(), data.dtype());
        match dtype {
            DType::F64 => {
                let mut numbers: Vec<f64> = data.iter().collect();
                let bytes = size_of_val(numbers.as_slice());
                self.inside(bytes, |collective| collective.sum_f64(&mut numbers))
                    .unwrap_or_else(|| numbers.fill(f64::NAN));
                TensorData::new(numbers, shape)
            }
            _ => {
                let mut numbers: Vec<f32> = data.iter().collect();
                let bytes = size_of_val(numbers.as_slice());
                self.inside(bytes, |collective| collective.sum_f32(&mut numbers))
                    .unwrap_or_else(|| numbers.fill(f32::NAN));
                TensorData::new(numbers, shape).convert_dtype(dtype)
            }
        }
    }

    fn count(&self) -> usize {
        self.size()
    }
}

impl Ranks {
    /// Sums numbers of `bytes` in all, if ranks are together. Where they are not that is remembered, and is the answer to whatever is
    /// asked of them next.
    fn inside(
        &self,
        bytes: usize,
        sum: impl FnOnce(&dyn super::Collective) -> Result<(), super::CollectiveError>,
    ) -> Option<()> {
        if self.is_apart() {
            return Some(());
        }
        self.announce(Kind::Inside, bytes).ok()?;
        self.carried(bytes, sum).ok()
    }
}

//! The number of a step, which the engine puts into the batch of the step.

use burn::tensor::Tensor;

use super::number::Number;

/// The number of the step that a batch is taken for, as an input of the recorded loss: a [`Number`] that the engine gives.
///
/// Steps are counted from 0 wherever a level above begins to wait for them, each task and each of its `rounds` anew, as where
/// a learned number has `[step]` behind it; a level that no level waits for counts all its steps from the beginning of the run.
/// Where steps are differentiated, each has its own number; an implicit method differentiates the loss of the last step.
///
/// An engine replaces whatever number a stream gives, so that [`Stream::stepped`](crate::Stream::stepped) gives none. In a
/// [loop of your own](crate::Hypergradient) it is the one that you [put](Step::new) into the batch.
///
/// ```
/// use betty_runtime::{Step, Stream};
/// use burn::module::Param;
/// use burn::tensor::Tensor;
///
/// /// A pull towards the target that fades away.
/// fn pulled(x: &Param<Tensor<1>>, (target, step): (Tensor<1>, Step)) -> Tensor<1> {
///     let distance = (x.val() - target).square().sum();
///     let weight = (step.like(&distance) + 1.0).recip();
///     weight * distance
/// }
/// # fn example(targets: Stream<Tensor<1>>) {
/// let targets: Stream<(Tensor<1>, Step)> = targets.stepped();
/// # }
/// # let x = Param::from_tensor(Tensor::from_floats([3.0], &burn::tensor::Device::flex()));
/// # let target = Tensor::from_floats([1.0], &burn::tensor::Device::flex());
/// # assert_eq!(pulled(&x, (target, Step::new(3))).into_scalar::<f32>(), 1.0);
/// ```
#[derive(Clone, Debug)]
pub struct Step(Number);

impl Step {
    /// This step, for a loss that is called outside of an engine.
    pub fn new(number: u64) -> Self {
        Step(Number::new(number as f64))
    }

    /// The number as a tensor of the type and on the device of `other`, with one element along each of its dimensions: in an
    /// operation with `other` it is broadcast.
    pub fn like<const D: usize>(&self, other: &Tensor<D>) -> Tensor<D> {
        self.0.like(other)
    }

    /// The number that a mapper answers in its place.
    pub(super) fn map_number(self, map: impl FnOnce(Number) -> Number) -> Self {
        Step(map(self.0))
    }
}

/// The first step.
impl Default for Step {
    fn default() -> Self {
        Step::new(0)
    }
}

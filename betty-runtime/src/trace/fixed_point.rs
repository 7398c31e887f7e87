//! What the map of a fixed point answers, recorded so that its derivatives can be compared with Burn's.

use burn::tensor::{Bool, Int, Tensor, TensorData};

use super::batch::{Batch, BatchMapper};
use super::measured::Measured;
use super::output::output;

/// What the map of a fixed point may return: the level's next parameters, as a tensor, a tuple or a vector of tensors, or a struct
/// that is a [`Batch`]; one for each parameter that the level trains, in the order of its module.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what the map of a fixed point returns",
    note = "return the level's next parameters in the order of its module: a `Tensor`, or a tuple of them"
)]
pub trait NextParameters {
    /// The parameters as outputs of a recording, under one number that depends on all of them.
    fn into_measured(self) -> Measured;
}

impl<T: Batch> NextParameters for T {
    fn into_measured(self) -> Measured {
        let mut marked = Marked(None);
        self.map(&mut marked);
        Measured::new(marked.0.expect("the map of a fixed point returns at least one tensor of floats"))
    }
}

/// Marks tensors in their order, and adds them up with weights that no derivative hides behind.
struct Marked(Option<Tensor<1>>);

impl BatchMapper for Marked {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        // A tensor of its own for each, also where a map returns one twice.
        let tensor = output(tensor * 1.0);
        let count = tensor.shape().num_elements();
        let weights: Vec<f64> = (0..count).map(|index| 1.0 + 0.5 * (index as f64).sin()).collect();
        let place = (&tensor.device(), tensor.dtype());
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), place);
        let sum = (tensor.clone().reshape([count]) * weights).sum();
        self.0 = Some(match self.0.take() {
            None => sum,
            Some(others) => {
                let dtype = others.dtype();
                others + sum.cast(dtype)
            }
        });
        tensor
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        tensor
    }

    fn plain(&mut self, _hash: u64) {}
}

//! The network that is adapted to a task.

use betty_examples::init::linear;
use betty_runtime::Batch;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

/// Units of each hidden layer.
const HIDDEN: usize = 40;

/// A function of one number: a perceptron 1-40-40-1.
#[derive(Module, Debug)]
pub(crate) struct Regressor {
    first: Linear,
    second: Linear,
    output: Linear,
}

/// Points to learn from.
#[derive(Clone, Debug, Batch)]
pub(crate) struct Support {
    /// The points.
    pub(crate) samples: Samples,
    /// How strongly the adapted parameters are drawn to the initial ones; 0 for not at all.
    pub(crate) proximity: f64,
}

/// Points of a function, one a row.
#[derive(Clone, Debug, Batch)]
pub(crate) struct Samples {
    /// Where.
    pub(crate) x: Tensor<2>,
    /// The function there.
    pub(crate) y: Tensor<2>,
}

impl Regressor {
    /// A network with initial parameters from `rng`, the same on every device.
    pub(crate) fn new(rng: &mut impl RngExt, device: &Device) -> Self {
        Regressor {
            first: linear(1, HIDDEN, rng, device),
            second: linear(HIDDEN, HIDDEN, rng, device),
            output: linear(HIDDEN, 1, rng, device),
        }
    }

    /// The function at each row of `x`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.second.forward(relu(self.first.forward(x)))))
    }

    /// What adaptation to a task descends: the error, and ½·proximity·‖θ − φ‖² for the initial parameters φ.
    pub(crate) fn regularized(&self, initial: &Self, Support { samples, proximity }: Support) -> Tensor<1> {
        let error = self.error(samples);
        if proximity == 0.0 {
            return error;
        }
        let distance = self.parameters().into_iter().zip(initial.parameters());
        let squares = distance.map(|(theta, phi)| (theta - phi).square().sum().mul_scalar(0.5 * proximity));
        squares.fold(error, |total, square| total + square)
    }

    /// All parameters, each tensor as a vector.
    fn parameters(&self) -> Vec<Tensor<1>> {
        let layers = [&self.first, &self.second, &self.output].into_iter();
        let vectors = layers.flat_map(|layer| {
            let bias = layer.bias.iter().map(|bias| bias.val());
            std::iter::once(layer.weight.val().flatten::<1>(0, 1)).chain(bias)
        });
        vectors.collect()
    }

    /// The mean squared error at some points.
    pub(crate) fn error(&self, samples: Samples) -> Tensor<1> {
        (self.forward(samples.x) - samples.y).square().mean()
    }
}

//! A network of two convolutions.

use betty_examples::init::{convolution, linear};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor};
use rand::rngs::StdRng;

use crate::tasks::{PIXELS, SIDE, WAYS};

/// Channels of both convolutions, each of which halves the sides of an image.
const CHANNELS: [usize; 2] = [16, 32];
/// What the head sees.
const FEATURES: usize = CHANNELS[1] * PIXELS / 16;

/// The network: a body, and a head with an output for each class.
#[derive(Module, Debug)]
pub(crate) struct Net {
    first: Conv2d,
    second: Conv2d,
    head: Linear,
}

impl Net {
    /// Random parameters, for the classes of a task.
    pub(crate) fn new(rng: &mut StdRng, device: &Device) -> Self {
        let [first, second] = CHANNELS;
        Net {
            first: convolution([1, first], 3, 2, rng, device),
            second: convolution([first, second], 3, 2, rng, device),
            head: linear(FEATURES, WAYS, rng, device),
        }
    }

    /// The same body under a random head for so many classes.
    pub(crate) fn with_head(&self, classes: usize, rng: &mut StdRng, device: &Device) -> Self {
        Net { head: linear(FEATURES, classes, rng, device), ..self.clone() }
    }

    /// The same body under a head that knows nothing of the classes of a task.
    pub(crate) fn without_head(&self, device: &Device) -> Self {
        let head = Linear {
            weight: Param::from_tensor(Tensor::zeros([FEATURES, WAYS], device)),
            bias: Some(Param::from_tensor(Tensor::zeros([WAYS], device))),
        };
        Net { head, ..self.clone() }
    }

    /// What the head sees.
    pub(crate) fn features(&self, images: Tensor<2>) -> Tensor<2> {
        let [count, _] = images.dims();
        let images = images.reshape([count as i32, 1, SIDE as i32, SIDE as i32]);
        relu(self.second.forward(relu(self.first.forward(images)))).flatten(1, 3)
    }

    /// A number for each class.
    pub(crate) fn scores(&self, images: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.features(images))
    }

    /// Those of a head to which something was added.
    pub(crate) fn scores_with(&self, change: &Head, images: Tensor<2>) -> Tensor<2> {
        let features = self.features(images);
        self.head.forward(features.clone()) + features.matmul(change.weight.val()) + change.bias.val().unsqueeze()
    }

    /// ½‖θ − φ‖².
    pub(crate) fn half_distance(&self, other: &Self) -> Tensor<1> {
        let convolutions = [(&self.first, &other.first), (&self.second, &other.second)];
        let weights = convolutions.map(|(one, other)| (one.weight.val() - other.weight.val()).square().sum());
        let biases = convolutions.map(|(one, other)| (&one.bias, &other.bias)).into_iter();
        let biases = biases.chain([(&self.head.bias, &other.head.bias)]).filter_map(|pair| match pair {
            (Some(one), Some(other)) => Some((one.val() - other.val()).square().sum()),
            _ => None,
        });
        let head = (self.head.weight.val() - other.head.weight.val()).square().sum();
        weights.into_iter().chain(biases).fold(head, |sum, square| sum + square) * 0.5
    }
}

/// What a task adds to the head.
#[derive(Module, Debug)]
pub(crate) struct Head {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Head {
    /// Nothing.
    pub(crate) fn zero(device: &Device) -> Self {
        let weight = Param::from_tensor(Tensor::zeros([FEATURES, WAYS], device));
        Head { weight, bias: Param::from_tensor(Tensor::zeros([WAYS], device)) }
    }
}

/// The mean cross-entropy.
pub(crate) fn cross_entropy(scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    -log_softmax(scores, 1).gather(1, labels.unsqueeze_dim(1)).mean()
}

/// The share of images whose class has the highest score.
pub(crate) fn accuracy(scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    scores.argmax(1).squeeze_dim::<1>(1).equal(labels).float().mean()
}

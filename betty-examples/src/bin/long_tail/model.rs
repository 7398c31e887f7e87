//! A small convolutional network with batch norm.

use betty_examples::data::Dataset;
use betty_examples::init::{convolution, linear};
use betty_runtime::nn::{BatchNorm, BatchNormConfig, inference};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor};
use rand::rngs::StdRng;

/// Channels of the convolutions, each of which halves the sides of an image.
const CHANNELS: [usize; 2] = [16, 32];
/// Images that are tested at once.
const AT_ONCE: usize = 1000;

/// Two convolutions with batch norm, and a linear layer.
#[derive(Module, Debug)]
pub(crate) struct Cnn {
    first: Conv2d,
    first_norm: BatchNorm,
    second: Conv2d,
    second_norm: BatchNorm,
    head: Linear,
}

impl Cnn {
    /// For images of so many channels, rows and columns.
    pub(crate) fn new(shape: [usize; 3], classes: usize, rng: &mut StdRng, device: &Device) -> Self {
        let ([first, second], [channels, rows, columns]) = (CHANNELS, shape);
        let left = |side: usize| side.div_ceil(2).div_ceil(2);
        Cnn {
            first: convolution([channels, first], 3, 2, rng, device),
            first_norm: BatchNormConfig::new(first).init(device),
            second: convolution([first, second], 3, 2, rng, device),
            second_norm: BatchNormConfig::new(second).init(device),
            head: linear(second * left(rows) * left(columns), classes, rng, device),
        }
    }

    fn scores(&self, images: Tensor<4>) -> Tensor<2> {
        let seen = relu(self.first_norm.forward(self.first.forward(images)));
        let seen = relu(self.second_norm.forward(self.second.forward(seen)));
        self.head.forward(seen.flatten(1, 3))
    }

    /// The cross-entropy of each image.
    pub(crate) fn losses(&self, images: Tensor<4>, labels: Tensor<1, Int>) -> Tensor<1> {
        -log_softmax(self.scores(images), 1).gather(1, labels.unsqueeze_dim(1)).squeeze_dim::<1>(1)
    }

    /// The share that is right, by running statistics.
    pub(crate) fn accuracy(&self, examples: &Dataset, device: &Device) -> f64 {
        let net = inference(self);
        let all: Vec<usize> = (0..examples.len()).collect();
        let right = all.chunks(AT_ONCE).map(|chosen| {
            let part = examples.subset(chosen).to_device(device);
            let chosen = net.scores(shaped(part.images, examples.shape())).argmax(1).squeeze_dim::<1>(1);
            chosen.equal(part.labels).int().sum().into_scalar::<f64>()
        });
        right.sum::<f64>() / examples.len().max(1) as f64
    }
}

/// Images that stand in rows, as convolutions see them.
pub(crate) fn shaped(images: Tensor<2>, [channels, rows, columns]: [usize; 3]) -> Tensor<4> {
    let [count, _] = images.dims();
    images.reshape([count, channels, rows, columns])
}

//! A small convolutional network with batch norm.

use std::collections::BTreeMap;

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

    /// The share that is right of each class, in the mean over classes, by running statistics.
    pub(crate) fn accuracy(&self, examples: &Dataset, device: &Device) -> f64 {
        let net = inference(self);
        let all: Vec<usize> = (0..examples.len()).collect();
        let right = all.chunks(AT_ONCE).flat_map(|chosen| {
            let part = examples.subset(chosen).to_device(device);
            let chosen = net.scores(shaped(part.images, examples.shape())).argmax(1).squeeze_dim::<1>(1);
            chosen.equal(part.labels).into_data().iter::<bool>().collect::<Vec<_>>()
        });
        balanced(examples.labels().iter().copied().zip(right))
    }
}

/// The share that is right of each class, in the mean over the classes that there are.
fn balanced(examples: impl Iterator<Item = (u8, bool)>) -> f64 {
    let mut classes: BTreeMap<u8, (f64, f64)> = BTreeMap::new();
    for (class, is_right) in examples {
        let (right, all) = classes.entry(class).or_default();
        (*right, *all) = (*right + f64::from(u8::from(is_right)), *all + 1.0);
    }
    classes.values().map(|(right, all)| right / all).sum::<f64>() / classes.len().max(1) as f64
}

/// Images that stand in rows, as convolutions see them.
pub(crate) fn shaped(images: Tensor<2>, [channels, rows, columns]: [usize; 3]) -> Tensor<4> {
    let [count, _] = images.dims();
    images.reshape([count, channels, rows, columns])
}

#[cfg(test)]
mod tests {
    use super::balanced;

    #[test]
    fn one_class_is_worth_as_much_as_another() {
        // Nine cats that are told right, and a dog that is not.
        assert_eq!(balanced((0..10).map(|at| (u8::from(at == 9), at < 9))), 0.5);
        assert_eq!(balanced(std::iter::empty()), 0.0);
    }
}

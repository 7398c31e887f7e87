//! ResNet-18 for 32×32 images (He et al. 2016, with the 3×3 stem that is usual for small images).

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use burn::module::{Module, ModuleDisplay};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor};

use super::cross_entropy;

/// A normalisation over the channels of images.
pub trait Norm: Module + ModuleDisplay + 'static {
    /// For this many channels.
    fn new(channels: usize, device: &Device) -> Self;

    /// Normalises `[batch, channels, height, width]`.
    fn apply(&self, x: Tensor<4>) -> Tensor<4>;
}

impl Norm for BatchNorm {
    fn new(channels: usize, device: &Device) -> Self {
        BatchNormConfig::new(channels).init(device)
    }

    fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward(x)
    }
}

/// Group normalisation with at most 8 groups.
#[derive(Module, Debug)]
pub struct Group {
    norm: GroupNorm,
}

impl Norm for Group {
    fn new(channels: usize, device: &Device) -> Self {
        Group { norm: GroupNormConfig::new(channels.min(8), channels).init(device) }
    }

    fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(x)
    }
}

#[derive(Module, Debug)]
struct Convolution<N> {
    convolution: Conv2d,
    norm: N,
}

impl<N: Norm> Convolution<N> {
    fn new(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Self {
        let padding = kernel / 2;
        let config = Conv2dConfig::new(channels, [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .with_bias(false);
        Convolution { convolution: config.init(device), norm: N::new(channels[1], device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.apply(self.convolution.forward(x))
    }
}

#[derive(Module, Debug)]
struct Block<N> {
    first: Convolution<N>,
    second: Convolution<N>,
    shortcut: Option<Convolution<N>>,
}

impl<N: Norm> Block<N> {
    fn new(from: usize, to: usize, stride: usize, device: &Device) -> Self {
        Block {
            first: Convolution::new([from, to], 3, stride, device),
            second: Convolution::new([to, to], 3, 1, device),
            shortcut: (from != to || stride != 1).then(|| Convolution::new([from, to], 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let passed = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x.clone()),
            None => x.clone(),
        };
        relu(self.second.forward(relu(self.first.forward(x))) + passed)
    }
}

/// Eight residual blocks in four stages.
#[derive(Module, Debug)]
pub struct ResNet<N> {
    stem: Convolution<N>,
    blocks: Vec<Block<N>>,
    pool: AdaptiveAvgPool2d,
    head: Linear,
}

impl<N: Norm> ResNet<N> {
    /// With `width` channels in the first stage; ResNet-18 has 64.
    pub fn new(width: usize, classes: usize, device: &Device) -> Self {
        let mut blocks = Vec::new();
        let mut from = width;
        for (stage, to) in [width, 2 * width, 4 * width, 8 * width].into_iter().enumerate() {
            blocks.push(Block::new(from, to, if stage == 0 { 1 } else { 2 }, device));
            blocks.push(Block::new(to, to, 1, device));
            from = to;
        }
        ResNet {
            stem: Convolution::new([3, width], 3, 1, device),
            blocks,
            pool: AdaptiveAvgPool2dConfig::new([1, 1]).init(),
            head: LinearConfig::new(from, classes).init(device),
        }
    }

    /// Scores for `[batch, 3, height, width]` images.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let stem = relu(self.stem.forward(images));
        let features = self.blocks.iter().fold(stem, |x, block| block.forward(x));
        self.head.forward(self.pool.forward(features).flatten::<2>(1, 3))
    }

    /// Cross-entropy of images with their labels.
    pub fn loss(&self, (images, labels): (Tensor<4>, Tensor<1, Int>)) -> Tensor<1> {
        cross_entropy(self.forward(images), labels)
    }
}

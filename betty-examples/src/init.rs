//! Initial parameters that are the same on every device.

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, PaddingConfig2d};
use burn::tensor::{Device, TensorData};
use rand::RngExt;

/// A linear layer drawn uniformly from ±1/√inputs.
pub fn linear(inputs: usize, outputs: usize, rng: &mut impl RngExt, device: &Device) -> Linear {
    let bound = 1.0 / (inputs as f32).sqrt();
    let mut draw = |count: usize| (0..count).map(|_| rng.random_range(-bound..=bound)).collect::<Vec<f32>>();
    let weight = TensorData::new(draw(inputs * outputs), [inputs, outputs]);
    let bias = TensorData::new(draw(outputs), [outputs]);
    Linear { weight: Param::from_data(weight, device), bias: Some(Param::from_data(bias, device)) }
}

/// A convolution of this odd width, drawn as a linear layer is, whose images have `1/stride` of the sides.
pub fn convolution(
    [inputs, outputs]: [usize; 2],
    width: usize,
    stride: usize,
    rng: &mut impl RngExt,
    device: &Device,
) -> Conv2d {
    let drawn = linear(inputs * width * width, outputs, rng, device);
    let padding = width / 2;
    let mut layer = Conv2dConfig::new([inputs, outputs], [width, width])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .init(device);
    layer.weight = Param::from_tensor(drawn.weight.val().transpose().reshape([outputs, inputs, width, width]));
    layer.bias = drawn.bias;
    layer
}

//! Initial parameters that are the same on every device.

use burn::module::Param;
use burn::nn::Linear;
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

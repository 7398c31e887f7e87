//! The classifier.

use betty_examples::data::DeviceDataset;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;

/// A perceptron with one hidden layer.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Mlp {
    /// A classifier with initial parameters from `rng`, the same on every device.
    pub(crate) fn new(inputs: usize, hidden: usize, classes: usize, rng: &mut impl RngExt, device: &Device) -> Self {
        Mlp { hidden: linear(inputs, hidden, rng, device), output: linear(hidden, classes, rng, device) }
    }

    /// One score for each class, an example a row.
    pub(crate) fn logits(&self, images: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.hidden.forward(images)))
    }

    /// The cross-entropy of each example.
    pub(crate) fn losses(&self, images: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        log_softmax(self.logits(images), 1).gather(1, labels.unsqueeze_dim(1)).squeeze_dim::<1>(1).neg()
    }

    /// The share of examples whose class gets the highest score.
    pub(crate) fn accuracy(&self, examples: &DeviceDataset) -> f64 {
        let [count] = examples.labels.dims();
        let predicted = self.logits(examples.images.clone()).argmax(1).squeeze_dim::<1>(1);
        let hits = predicted.equal(examples.labels.clone()).int().sum().into_scalar::<i64>();
        hits as f64 / count.max(1) as f64
    }
}

/// A linear layer drawn uniformly from ±1/√inputs.
pub(crate) fn linear(inputs: usize, outputs: usize, rng: &mut impl RngExt, device: &Device) -> Linear {
    let bound = 1.0 / (inputs as f32).sqrt();
    let mut draw = |count: usize| (0..count).map(|_| rng.random_range(-bound..=bound)).collect::<Vec<f32>>();
    let weight = TensorData::new(draw(inputs * outputs), [inputs, outputs]);
    let bias = TensorData::new(draw(outputs), [outputs]);
    Linear { weight: Param::from_data(weight, device), bias: Some(Param::from_data(bias, device)) }
}

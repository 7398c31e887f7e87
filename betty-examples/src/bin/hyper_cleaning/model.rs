//! The classifier.

use betty_examples::data::DeviceDataset;
pub(crate) use betty_examples::init::linear;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor};
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

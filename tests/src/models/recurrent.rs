//! Two stacked LSTM layers that classify sequences.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, Lstm, LstmConfig};
use burn::tensor::{Device, Int, Tensor};

use super::cross_entropy;

/// Two LSTM layers, and a linear layer on the last state.
#[derive(Module, Debug)]
pub struct Recurrent {
    first: Lstm,
    second: Lstm,
    head: Linear,
}

impl Recurrent {
    /// With `features` inputs a step and `width` units a layer.
    pub fn new(features: usize, width: usize, classes: usize, device: &Device) -> Self {
        Recurrent {
            first: LstmConfig::new(features, width, true).init(device),
            second: LstmConfig::new(width, width, true).init(device),
            head: LinearConfig::new(width, classes).init(device),
        }
    }

    /// Cross-entropy of `[batch, length, features]` sequences with their labels.
    pub fn loss(&self, (sequences, labels): (Tensor<3>, Tensor<1, Int>)) -> Tensor<1> {
        let (hidden, _) = self.first.forward(sequences, None);
        let (_, last) = self.second.forward(hidden, None);
        cross_entropy(self.head.forward(last.hidden), labels)
    }
}

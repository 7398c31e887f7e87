//! A transformer encoder that classifies sequences of tokens.

use burn::module::Module;
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};

use super::cross_entropy;

/// Embedding, encoder layers, and a linear layer on the mean over positions.
#[derive(Module, Debug)]
pub struct Encoder {
    embedding: Embedding,
    encoder: TransformerEncoder,
    head: Linear,
}

impl Encoder {
    /// With this many layers of `width` features in 4 heads, without dropout.
    pub fn new(layers: usize, width: usize, tokens: usize, classes: usize, device: &Device) -> Self {
        let encoder = TransformerEncoderConfig::new(width, 4 * width, 4, layers).with_dropout(0.0);
        Encoder {
            embedding: EmbeddingConfig::new(tokens, width).init(device),
            encoder: encoder.init(device),
            head: LinearConfig::new(width, classes).init(device),
        }
    }

    /// Cross-entropy of `[batch, length]` tokens with their labels.
    pub fn loss(&self, (tokens, labels): (Tensor<2, Int>, Tensor<1, Int>)) -> Tensor<1> {
        let features = self.encoder.forward(TransformerEncoderInput::new(self.embedding.forward(tokens)));
        let mean = features.mean_dim(1).squeeze_dim::<2>(1);
        cross_entropy(self.head.forward(mean), labels)
    }
}

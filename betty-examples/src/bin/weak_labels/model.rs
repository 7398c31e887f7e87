//! An embedding, a transformer encoder, and a linear layer on the mean of what it says of each word.

use burn::module::Module;
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::text::{CLASSES, Sentences};

/// Size of what stands for a word, of the hidden layers, and how many heads attend.
const WIDTH: usize = 16;
const HIDDEN: usize = 32;
const HEADS: usize = 2;
/// Sentences that are tested at once.
const AT_ONCE: usize = 500;

/// Tells sentences apart.
#[derive(Module, Debug)]
pub(crate) struct Classifier {
    embedding: Embedding,
    encoder: TransformerEncoder,
    output: Linear,
}

impl Classifier {
    /// For so many words.
    pub(crate) fn new(words: usize, device: &Device) -> Self {
        Classifier {
            embedding: EmbeddingConfig::new(words, WIDTH).init(device),
            encoder: TransformerEncoderConfig::new(WIDTH, HIDDEN, HEADS, 1).with_dropout(0.1).init(device),
            output: LinearConfig::new(WIDTH, CLASSES).init(device),
        }
    }

    /// A number for each class of sentences, a row each; 0 stands for no word.
    pub(crate) fn scores(&self, words: Tensor<2, Int>) -> Tensor<2> {
        let empty = words.clone().equal_scalar(0);
        let seen = self.embedding.forward(words);
        let encoded = self.encoder.forward(TransformerEncoderInput::new(seen).mask_pad(empty.clone()));
        // The mean over the words that are there.
        let there = empty.bool_not().float().unsqueeze_dim::<3>(2);
        let mean = (encoded * there.clone()).sum_dim(1) / there.sum_dim(1);
        self.output.forward(mean.squeeze_dim::<2>(1))
    }

    /// The share that is right about what people say.
    pub(crate) fn accuracy(&self, sentences: &Sentences, device: &Device) -> f64 {
        let (net, sentences) = (self.valid(), sentences.judged());
        let all: Vec<usize> = (0..sentences.len()).collect();
        let right = all.chunks(AT_ONCE).map(|chosen| {
            let (words, classes) = sentences.batch(chosen);
            let count = chosen.len();
            let length = words.len() / count;
            let words = Tensor::from_data(TensorData::new(words, [count, length]), device);
            let classes = Tensor::<1, Int>::from_data(TensorData::new(classes, [count]), device);
            net.scores(words).argmax(1).squeeze_dim::<1>(1).equal(classes).int().sum().into_scalar::<f64>()
        });
        right.sum::<f64>() / sentences.len().max(1) as f64
    }
}

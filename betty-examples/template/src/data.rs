//! Examples of a line, from eight sources, and how they become batches. Replace it with your own.

use std::ops::Range;
use std::sync::Arc;

use betty_runtime::Batch;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Numbers of an input.
pub const INPUTS: usize = 2;

/// Where examples come from.
pub const SOURCES: usize = 8;

/// An input, a target, and the source of both.
#[derive(Clone, Debug)]
struct Example {
    input: [f32; INPUTS],
    target: f32,
    source: i32,
}

/// What a loss sees.
#[derive(Clone, Debug, Batch)]
pub struct Examples {
    /// One input a row.
    pub inputs: Tensor<2>,
    /// One target a row.
    pub targets: Tensor<2>,
    /// The source of each row.
    pub sources: Tensor<1, Int>,
}

/// The example of this number. Targets of sources with odd numbers are off by `wrong`.
fn example(number: usize, wrong: f32) -> Example {
    let input = [(number as f32).sin(), (number as f32 * 1.7).cos()];
    let source = number % SOURCES;
    Example { input, target: input[0] - input[1] + wrong * (source % 2) as f32, source: source as i32 }
}

struct Stack;

impl Batcher<Example, Examples> for Stack {
    fn batch(&self, items: Vec<Example>, device: &Device) -> Examples {
        let count = items.len();
        let inputs: Vec<f32> = items.iter().flat_map(|item| item.input).collect();
        let targets: Vec<f32> = items.iter().map(|item| item.target).collect();
        let sources: Vec<i32> = items.iter().map(|item| item.source).collect();
        Examples {
            inputs: Tensor::from_data(TensorData::new(inputs, [count, INPUTS]), device),
            targets: Tensor::from_data(TensorData::new(targets, [count, 1]), device),
            sources: Tensor::from_data(TensorData::new(sources, [count]), device),
        }
    }
}

/// Shuffled batches, epoch after epoch. A size that divides the number of examples keeps all batches of one shape.
pub fn loader(numbers: Range<usize>, size: usize, device: &Device) -> Arc<dyn DataLoader<Examples>> {
    let examples = InMemDataset::new(numbers.map(|number| example(number, 3.0)).collect());
    DataLoaderBuilder::new(Stack).batch_size(size).shuffle(0).set_device(device.clone()).build(examples)
}

/// All examples of these numbers as one batch.
pub fn batch(numbers: Range<usize>, wrong: f32, device: &Device) -> Examples {
    Stack.batch(numbers.map(|number| example(number, wrong)).collect(), device)
}

//! Burn's data loaders as streams.

use std::sync::Arc;

use betty_runtime::{Engine, Stream};
use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::tensor::{Device, Tensor};

use crate::problem::{CleaningConfig, CleaningData, Examples, data, examples, problem};

#[derive(Clone)]
struct Stack;

impl Batcher<Examples, Examples> for Stack {
    fn batch(&self, items: Vec<Examples>, _device: &Device) -> Examples {
        Examples {
            x: Tensor::cat(items.iter().map(|item| item.x.clone()).collect(), 0),
            y: Tensor::cat(items.iter().map(|item| item.y.clone()).collect(), 0),
            index: Tensor::cat(items.into_iter().map(|item| item.index).collect(), 0),
        }
    }
}

#[test]
fn a_burn_data_loader_feeds_a_level_epoch_after_epoch() {
    let dataset = InMemDataset::new((0..10).map(|seed| examples(3, seed)).collect());
    let loader = DataLoaderBuilder::new(Stack).batch_size(4).build(dataset);
    let data = CleaningData { model: Stream::loader(Arc::clone(&loader)), ..data() };
    let mut engine = Engine::new(problem(0.0), data, CleaningConfig::default()).unwrap();
    // Three batches an epoch, the last one smaller.
    assert_eq!(engine.run(3).unwrap().levels[1].steps, 9);
}

//! Burn's data loaders as streams, and streams made of several.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use betty_runtime::{Engine, EngineError, Stream, StreamError, StreamPosition};
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::tensor::{Device, Tensor};

use crate::problem::{CleaningConfig, CleaningData, Examples, data, examples, logits, problem};

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

/// So many batches an epoch, of three examples each; the same for equal arguments.
fn builder(batches: u64) -> (DataLoaderBuilder<Examples, Examples>, InMemDataset<Examples>) {
    let dataset = InMemDataset::new((0..batches).map(|seed| examples(3, seed)).collect());
    (DataLoaderBuilder::new(Stack).batch_size(1), dataset)
}

fn both_of(loader: &Arc<dyn DataLoader<Examples>>) -> CleaningData {
    CleaningData { weights: Stream::loader(Arc::clone(loader)), model: Stream::loader(Arc::clone(loader)) }
}

#[test]
fn two_levels_of_one_shuffled_loader_resume_bit_for_bit() {
    let engine = || {
        let (builder, dataset) = builder(4);
        let data = both_of(&builder.shuffle(7).build(dataset));
        Engine::new(problem(0.0), data, CleaningConfig::default()).unwrap()
    };
    // Three batches of the model for one of the weights: epochs of four end at different times.
    let mut whole = engine();
    whole.run(5).unwrap();
    let saved = whole.checkpoint().unwrap();
    whole.run(5).unwrap();
    let mut resumed = engine();
    resumed.resume(&saved, StreamPosition::Start).unwrap();
    resumed.run(5).unwrap();
    assert_eq!(logits(resumed.problem()), logits(whole.problem()));
}

#[test]
fn streams_of_one_loader_with_workers_do_not_wait_for_each_other() {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        // More batches an epoch than a worker makes before anybody takes one.
        let (builder, dataset) = builder(300);
        let data = both_of(&builder.shuffle(7).num_workers(1).build(dataset));
        let mut engine = Engine::new(problem(0.0), data, CleaningConfig::default()).unwrap();
        tell.send(engine.run(3).unwrap().levels[1].steps).unwrap();
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(9));
}

/// One batch of two sources that go round after 3 and after 2, or of one of them in turns.
fn combined() -> CleaningData {
    let source = |first: u64, length: u64| {
        Stream::epochs(move |_| (first..first + length).map(|seed| Ok::<_, std::io::Error>(examples(6, seed))))
    };
    let together = source(10, 3).zip(source(20, 2)).map(|(a, b)| Examples {
        x: Tensor::cat(vec![a.x, b.x], 0),
        y: Tensor::cat(vec![a.y, b.y], 0),
        index: Tensor::cat(vec![a.index, b.index], 0),
    });
    let turns = Stream::mix([(2.0, source(30, 3)), (1.0, source(40, 2))], 4).unwrap();
    CleaningData { weights: turns, model: together }
}

#[test]
fn a_run_on_streams_made_of_several_resumes_bit_for_bit() {
    let engine = || Engine::new(problem(0.3), combined(), CleaningConfig::default()).unwrap();
    let mut whole = engine();
    whole.run(3).unwrap();
    let saved = whole.checkpoint().unwrap();
    whole.run(4).unwrap();
    let mut resumed = engine();
    resumed.resume(&saved, StreamPosition::Start).unwrap();
    resumed.run(4).unwrap();
    assert_eq!(logits(resumed.problem()), logits(whole.problem()));
}

#[test]
fn a_source_that_fails_is_named() {
    let broken = Stream::batches([Ok(examples(6, 1)), Err("the disk is gone")]);
    let model = Stream::constant(examples(6, 2)).zip(broken).map(|(a, _)| a);
    let mut engine = Engine::new(problem(0.0), CleaningData { model, ..data() }, CleaningConfig::default()).unwrap();
    match engine.run(1).unwrap_err() {
        EngineError::Data { level, source } => {
            assert_eq!(level, "model");
            assert!(matches!(source.downcast_ref(), Some(StreamError::Source { number: 2, .. })), "{source}");
        }
        error => panic!("{error}"),
    }
}

//! Data that come from the host, moved by their streams.

use std::io;

use betty_runtime::{Engine, EngineError, Stream};
use betty_tests::devices::other;
use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::tensor::{DType, Device};

use crate::apart;
use crate::problem::{Cleaning, CleaningConfig, CleaningData, Examples, examples, parameters, problem};

/// Batches on the CPU that all differ.
fn on_host(first: u32) -> Stream<Examples> {
    Stream::batches(
        (first..).map(|number| Ok::<_, io::Error>(examples(&Device::flex(), DType::F32, f64::from(number)))),
    )
}

fn engine(device: &Device, moved: bool) -> Engine<Cleaning> {
    let place = |stream: Stream<Examples>| {
        let device = device.clone();
        let to_device =
            move |batch: Examples| Examples { x: batch.x.to_device(&device), y: batch.y.to_device(&device) };
        if moved { stream.map(to_device) } else { stream }
    };
    let data = CleaningData { weights: place(on_host(100)), model: place(on_host(0)) };
    Engine::new(problem(device, DType::F32), data, CleaningConfig::default()).unwrap().seed(5)
}

#[test]
fn a_stream_moves_its_batches() {
    let run = |device: &Device| {
        let mut engine = engine(device, true);
        engine.run(3).unwrap();
        parameters(&mut engine)
    };
    let difference = apart(&run(&other()), &run(&Device::flex()));
    println!("moved by streams: {difference:.1e}");
    assert!(difference < 1e-3, "{difference:.1e}");
}

#[test]
fn a_stream_that_does_not_is_an_error() {
    let mut engine = engine(&other(), false);
    let error = engine.run(1).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, EngineError::WrongDevice { .. }), "{text}");
    assert!(text.contains("of the batch of level `model`") && text.contains("`to_device`"), "{text}");
}

/// All examples of a batch, by the number that they are drawn from.
struct Drawn;

impl Batcher<u32, Examples> for Drawn {
    fn batch(&self, items: Vec<u32>, device: &Device) -> Examples {
        examples(device, DType::F32, items.into_iter().map(f64::from).sum())
    }
}

/// A loader's thread makes tensors on the device while steps wait there for somebody to read them.
#[test]
fn a_loader_fills_a_device_whose_steps_are_not_read() {
    let run = |device: &Device, every: u64| {
        let loader = |seed: u64| {
            let numbers = InMemDataset::new((0..12).collect());
            DataLoaderBuilder::new(Drawn).batch_size(1).shuffle(seed).set_device(device.clone()).build(numbers)
        };
        let data = CleaningData { weights: Stream::loader(loader(1)), model: Stream::loader(loader(2)) };
        let engine = Engine::new(problem(device, DType::F32), data, CleaningConfig::default()).unwrap();
        let mut engine = engine.seed(5).read_every(every);
        // 120 batches of the model, ten epochs of it.
        engine.run(40).unwrap();
        parameters(&mut engine)
    };
    let late = run(&other(), 16);
    assert_eq!(late, run(&other(), 1));
    let difference = apart(&late, &run(&Device::flex(), 1));
    println!("from a loader: {difference:.1e}");
    assert!(difference < 1e-3, "{difference:.1e}");
}

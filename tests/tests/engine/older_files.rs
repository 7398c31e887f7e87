//! Files that earlier releases wrote.

use std::fs;
use std::path::PathBuf;

use betty_runtime::{Checkpoint, Engine, ProgramConfig, StreamPosition};
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;

use crate::checkpoints::{changing, warm};
use crate::problem::{Cleaning, CleaningConfig, first_weight, logits, problem};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/engine/fixtures").join(name)
}

/// A tensor of a file, read by the rules of the safetensors format alone.
fn tensor(bytes: &[u8], name: &str) -> Vec<f32> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offset = |i: usize| 8 + length + header[name]["data_offsets"][i].as_u64().unwrap() as usize;
    bytes[offset(0)..offset(1)].chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
}

/// Saved after 4 iterations with momentum, Adam's moments, the solution of a system and a scheduler.
#[test]
fn a_checkpoint_of_the_first_release_is_gone_on_with() {
    let file = fixture("checkpoint-1.safetensors");
    let checkpoint = Checkpoint::open(&file).unwrap();
    assert_eq!((checkpoint.program(), checkpoint.iterations()), ("Cleaning", 4));
    assert_eq!([checkpoint.steps("model"), checkpoint.batches("model")], [Some(12), Some(12)]);
    let scheduler = ExponentialLrSchedulerConfig::new(0.1, 0.9).init().unwrap();
    let engine: Engine<Cleaning> = Engine::new(problem(0.3), changing(), warm()).unwrap();
    let mut engine = engine.scheduler("model", scheduler).unwrap();
    engine.resume(&checkpoint, StreamPosition::Start).unwrap();
    let bytes = fs::read(&file).unwrap();
    assert_eq!(logits(engine.problem()), tensor(&bytes, "weights.logits"));
    assert_eq!(first_weight(engine.problem()), tensor(&bytes, "model.first.weight"));
    assert_ne!(first_weight(engine.problem()), first_weight(&problem(0.3)));
    engine.run(1).unwrap();
    assert_eq!(engine.checkpoint().unwrap().steps("model"), Some(15));
}

#[test]
fn a_config_of_the_first_release_is_read() {
    assert_eq!(CleaningConfig::from_file(fixture("config.json")).unwrap(), CleaningConfig::default());
}

//! Runs that are saved and resumed.

mod refused;
mod schedulers;

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use betty_runtime::{
    Checkpoint, CheckpointError, Engine, EngineError, Goal, OptimizerConfig, ProgramConfig, Start, Stream,
    StreamPosition, Validation, multilevel,
};
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};

use crate::problem::{
    Cleaning, CleaningConfig, CleaningData, Examples, Mlp, TRAIN, Weights, clean, data, examples, first_weight, logits,
    problem, weighted,
};

/// Batches that differ from step to step, and are the same in every stream.
pub(crate) fn changing() -> CleaningData {
    let epoch = |number: usize| (0..4).map(move |i| Ok::<_, std::io::Error>(examples(8, (4 * number + i) as u64 + 10)));
    CleaningData { weights: Stream::constant(examples(12, 1)), model: Stream::epochs(epoch) }
}

/// An engine with all that a checkpoint must hold: momentum, Adam's moments, the solution of the last system, a scheduler,
/// dropout, changing batches.
fn fresh(seed: u64) -> Engine<Cleaning> {
    let scheduler = ExponentialLrSchedulerConfig::new(0.1, 0.9).init().unwrap();
    let engine = Engine::new(problem(0.3), changing(), warm()).unwrap();
    engine.seed(seed).scheduler("model", scheduler).unwrap()
}

pub(crate) fn warm() -> CleaningConfig {
    let json = r#"{ "model": { "hypergradient": { "iterations": 1, "warm_start": true } } }"#;
    CleaningConfig::from_json(json).unwrap()
}

fn everything(engine: &mut Engine<Cleaning>) -> (Vec<f32>, Vec<f32>, u64) {
    (logits(engine.problem()), first_weight(engine.problem()), engine.iterations())
}

#[test]
fn a_resumed_run_continues_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut whole = fresh(3);
    let steps = Rc::new(RefCell::new(Vec::new()));
    whole.run(4).unwrap();
    whole.checkpoint().unwrap().save(&file).unwrap();
    let report = whole.run(5).unwrap();

    let log = Rc::clone(&steps);
    // Another seed, to be replaced by the saved one.
    let mut resumed = fresh(99).observe(move |event| log.borrow_mut().push(format!("{event:?}")));
    resumed.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start).unwrap();
    let rest = resumed.run(5).unwrap();
    assert_eq!(rest.levels, report.levels);
    assert_eq!(everything(&mut resumed), everything(&mut whole));
    assert_eq!(steps.borrow()[..2], ["Resumed { iteration: 4 }", "Started { iteration: 4, until: 9 }"]);
    assert!(steps.borrow()[2].contains("step: 13"), "{:?}", steps.borrow());
}

#[test]
fn streams_may_be_placed_by_the_caller() {
    let mut whole = fresh(3);
    whole.run(4).unwrap();
    let checkpoint = whole.checkpoint().unwrap();
    whole.run(3).unwrap();

    let taken = checkpoint.batches("model").unwrap() as usize;
    assert_eq!((taken, checkpoint.steps("model"), checkpoint.iterations()), (12, Some(12), 4));
    let rest = (taken..).map(|i| Ok::<_, std::io::Error>(examples(8, i as u64 + 10)));
    let data = CleaningData { model: Stream::batches(rest), ..data() };
    let scheduler = ExponentialLrSchedulerConfig::new(0.1, 0.9).init().unwrap();
    let resumed = Engine::new(problem(0.3), data, warm()).unwrap();
    let mut resumed = resumed.scheduler("model", scheduler).unwrap();
    resumed.resume(&checkpoint, StreamPosition::Placed).unwrap();
    resumed.run(3).unwrap();
    assert_eq!(everything(&mut resumed), everything(&mut whole));
}

#[test]
fn every_optimizer_goes_on_where_it_stopped() {
    for optimizer in [
        r#"{"name": "sgd", "lr": 0.1, "momentum": 0.9, "dampening": 0.5, "nesterov": true}"#,
        r#"{"name": "sgd", "lr": 0.1}"#,
        r#"{"name": "adam", "lr": 0.05}"#,
        r#"{"name": "adamw", "lr": 0.05}"#,
    ] {
        let mut config = CleaningConfig::default();
        config.model.optimizer = serde_json::from_str(optimizer).unwrap();
        let mut whole = Engine::new(problem(0.0), data(), config.clone()).unwrap();
        whole.run(2).unwrap();
        let checkpoint = whole.checkpoint().unwrap();
        whole.run(2).unwrap();
        let mut resumed = Engine::new(problem(0.0), data(), config).unwrap();
        resumed.resume(&checkpoint, StreamPosition::Start).unwrap();
        resumed.run(2).unwrap();
        assert_eq!(everything(&mut resumed), everything(&mut whole), "{optimizer}");
    }
}

#[test]
fn every_method_goes_on_where_it_stopped() {
    for method in [r#"{"method": "unrolled"}"#, r#"{"method": "unrolled", "truncate": 2}"#, r#"{"method": "neumann"}"#]
    {
        let engine = || {
            let mut config = CleaningConfig::default();
            config.model.hypergradient = Some(serde_json::from_str(method).unwrap());
            Engine::new(problem(0.3), changing(), config).unwrap()
        };
        let mut whole = engine();
        whole.run(3).unwrap();
        let checkpoint = whole.checkpoint().unwrap();
        whole.run(2).unwrap();
        let mut resumed = engine();
        // What it did before is forgotten: its steps lead elsewhere.
        resumed.run(1).unwrap();
        resumed.resume(&checkpoint, StreamPosition::Start).unwrap();
        resumed.run(2).unwrap();
        assert_eq!(everything(&mut resumed), everything(&mut whole), "{method}");
    }
}

#[test]
fn every_start_goes_on_where_it_stopped() {
    for start in [Start::Initial, Start::LookAhead] {
        let engine = |first: f32| {
            let mut config = CleaningConfig::default();
            config.model.start = start;
            config.weights.warmup = 2;
            config.weights.tasks = 2;
            let mut problem = problem(0.3);
            problem.model = problem.model.map(&mut Shift(first));
            Engine::new(problem, changing(), config).unwrap()
        };
        let mut whole = engine(0.0);
        whole.run(3).unwrap();
        let checkpoint = whole.checkpoint().unwrap();
        whole.run(3).unwrap();
        // It begins elsewhere; the first parameters are the saved ones all the same.
        let mut resumed = engine(1.0);
        resumed.resume(&checkpoint, StreamPosition::Start).unwrap();
        resumed.run(3).unwrap();
        assert_eq!(everything(&mut resumed), everything(&mut whole), "{start:?}");
    }
}

/// Moves all floats of a module.
struct Shift(f32);

impl ModuleMapper for Shift {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor + self.0)
    }
}

#[test]
fn a_best_response_on_an_older_batch_is_differentiated_on_that_batch() {
    // Two programs share the model. The first one steps in iterations in which the model does not, on the model's last
    // batch, which then lies before the checkpoint.
    multilevel! {
        struct Shared;
        level first: Weights { lower: [model], batch: Examples, loss: clean, optimizer: sgd(lr = 1.0) }
        level second: Weights { lower: [between], batch: Examples, loss: of_between, optimizer: sgd(lr = 1.0) }
        level between: Weights { lower: [model], upper: [second], batch: Examples, loss: between, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: identity(scale = 1.0) }
        level model: Mlp {
            upper: [first, between], batch: Examples, loss: under_both, optimizer: sgd(lr = 0.1), unroll: 3,
            hypergradient: identity(scale = 1.0),
        }
    }
    fn under_both(model: &Mlp, first: &Weights, between: &Weights, batch: Examples) -> Tensor<1> {
        weighted(model, first, batch.clone()) + weighted(model, between, batch)
    }
    fn of_between(_second: &Weights, between: &Weights, _batch: Examples) -> Tensor<1> {
        between.logits.val().square().mean()
    }
    fn between(between: &Weights, second: &Weights, model: &Mlp, batch: Examples) -> Tensor<1> {
        let distance = (between.logits.val() - second.logits.val() - 0.1).square().mean();
        distance + model.forward(batch.x).square().mean() * 0.01
    }
    let engine = || {
        let epoch =
            |number: usize| (0..4).map(move |i| Ok::<_, std::io::Error>(examples(TRAIN, (4 * number + i) as u64)));
        let device = Device::flex();
        let Cleaning { weights, model } = problem(0.0);
        let data = SharedData {
            first: Stream::constant(examples(12, 1)),
            second: Stream::constant(examples(12, 1)),
            between: Stream::constant(examples(12, 1)),
            model: Stream::epochs(epoch),
        };
        let problem = Shared { first: weights, second: Weights::new(&device), between: Weights::new(&device), model };
        Engine::new(problem, data, SharedConfig::default()).unwrap()
    };
    let values = |engine: &mut Engine<Shared>| -> Vec<f32> {
        engine.problem().first.logits.val().into_data().try_to_vec().unwrap()
    };
    let mut whole = engine();
    whole.run(1).unwrap();
    let checkpoint = whole.checkpoint().unwrap();
    let before = whole.run(1).unwrap();
    let mut resumed = engine();
    resumed.resume(&checkpoint, StreamPosition::Start).unwrap();
    assert_eq!(resumed.run(1).unwrap().levels, before.levels);
    assert_eq!(values(&mut resumed), values(&mut whole));
    // The premise: on the next batch it comes out differently.
    let mut elsewhere = engine();
    elsewhere.resume(&checkpoint, StreamPosition::Placed).unwrap();
    elsewhere.run(1).unwrap();
    assert_ne!(values(&mut elsewhere), values(&mut whole));
}

#[test]
fn validation_keeps_its_best_and_its_patience() {
    let values = [3.0, 2.0, f64::INFINITY, 2.6, 2.7, 1.0];
    let engine = |mut call: usize| {
        let validation = Validation::every(1, Goal::Min, move |_: &Cleaning| {
            call += 1;
            Ok(values[call - 1])
        });
        Engine::new(problem(0.0), data(), CleaningConfig::default()).unwrap().validate(validation.patience(3))
    };
    let mut whole = engine(0);
    whole.run(4).unwrap();
    let mut resumed = engine(4);
    resumed.resume(&whole.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    let report = resumed.run(10).unwrap();
    assert_eq!((report.stopped_early, report.iterations, report.best), (true, 1, Some((2, 2.0))));
}

#[test]
fn a_run_saves_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let (seen, path) = (Rc::new(RefCell::new(Vec::new())), file.clone());
    let log = Rc::clone(&seen);
    let mut engine = fresh(0).save_every(3, &file).observe(move |event| {
        if matches!(event, betty_runtime::Event::Iteration { .. }) {
            log.borrow_mut().push(Checkpoint::open(&path).ok().map(|checkpoint| checkpoint.iterations()));
        }
    });
    engine.run(7).unwrap();
    // Seen at the start of each save, so one iteration late.
    assert_eq!(*seen.borrow(), [None, None, None, Some(3), Some(3), Some(3), Some(6)]);
    assert_eq!(Checkpoint::open(&file).unwrap().iterations(), 7);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["run.safetensors"], "no temporary file stays");
}

#[test]
fn the_file_is_safetensors_with_the_modules_paths() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut engine = fresh(0);
    engine.run(1).unwrap();
    engine.checkpoint().unwrap().save(&file).unwrap();
    let bytes = fs::read(&file).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let entry = &header["model.first.weight"];
    assert_eq!(entry["dtype"], "F32");
    let offset = |i: usize| 8 + length + entry["data_offsets"][i].as_u64().unwrap() as usize;
    let values = bytes[offset(0)..offset(1)].chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()));
    assert_eq!(values.collect::<Vec<_>>(), first_weight(engine.problem()));
    assert_eq!(header["weights.logits"]["shape"], serde_json::json!([TRAIN]));
    assert_eq!(header["optimizer:weights.logits:1"]["shape"], serde_json::json!([TRAIN]));
}

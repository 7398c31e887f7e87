//! Questions between steps, and edits that change nothing, leave a run as it was, bit for bit.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use betty_runtime::{
    Checkpoint, Engine, EngineError, Goal, ModuleError, ProgramConfig, Stream, StreamPosition, Validation,
};
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::problem::{Cleaning, CleaningConfig, CleaningData, examples, logits, problem, seeded};

/// Batches that differ from step to step in both levels, momentum, Adam's moments, dropout, and a scheduler.
fn engine(json: &str) -> Engine<Cleaning> {
    let stream = |first: u64| {
        let epoch = move |number: usize| {
            (0..5).map(move |i| Ok::<_, std::io::Error>(examples(8, first + (5 * number + i) as u64)))
        };
        Stream::epochs(epoch)
    };
    let data = CleaningData { weights: stream(1000), model: stream(10) };
    let scheduler = ExponentialLrSchedulerConfig::new(0.1, 0.9).init().unwrap();
    let engine = Engine::new(problem(0.3), data, CleaningConfig::from_json(json).unwrap()).unwrap();
    let validation = Validation::every(2, Goal::Max, |problem: &Cleaning| Ok(f64::from(logits(problem)[0])));
    engine.seed(5).scheduler("model", scheduler).unwrap().validate(validation)
}

/// All tensors, states and counters.
fn saved(engine: &Engine<Cleaning>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    engine.checkpoint().unwrap().save(&file).unwrap();
    fs::read(&file).unwrap()
}

const METHODS: [&str; 6] = [
    r#"{ "method": "cg", "iterations": 2, "damping": 1.0, "warm_start": true }"#,
    r#"{ "method": "minres", "iterations": 2, "damping": 1.0, "warm_start": true, "batch": "fresh" }"#,
    r#"{ "method": "neumann", "terms": 1, "step_size": 0.1, "warm_start": true }"#,
    r#"{ "method": "penalty", "steps": 1, "step_size": 0.1, "warm_start": true }"#,
    r#"{ "method": "unrolled" }"#,
    r#"{ "method": "forward_gradient", "directions": 3 }"#,
];

#[test]
fn every_question_between_steps_changes_nothing() {
    for method in METHODS {
        let json = format!(r#"{{ "model": {{ "hypergradient": {method} }} }}"#);
        let (mut silent, events) = (engine(&json), Rc::new(Cell::new(0)));
        let count = Rc::clone(&events);
        let mut asked = engine(&json).observe(move |_| count.set(count.get() + 1));
        for iteration in 0..4 {
            silent.run(1).unwrap();
            asked.run(1).unwrap();
            let first = asked.gradient("weights").unwrap().gradient.to_vec().unwrap();
            asked.gradient("model").unwrap();
            asked.explain().unwrap();
            if iteration == 1 {
                // A rectifier that nothing gets through makes the reference's matrix singular; that is an answer, too.
                let checked = asked.verify_hypergradient("weights");
                assert!(matches!(checked, Ok(_) | Err(EngineError::Hypergradient { .. })), "{checked:?}");
                assert!(matches!(asked.gradient("wheights"), Err(EngineError::UnknownLevel { .. })));
            }
            logits(asked.problem());
            saved(&asked);
            asked.edit(|_| ()).unwrap();
            // The same question has the same answer.
            assert_eq!(asked.gradient("weights").unwrap().gradient.to_vec().unwrap(), first, "{method}");
            assert!(saved(&asked) == saved(&silent), "{method}, iteration {iteration}");
        }
        assert!(events.get() > 0);
    }
}

#[test]
fn a_question_is_about_the_next_step() {
    let mut engine =
        engine(r#"{ "weights": { "optimizer": { "name": "sgd", "lr": 0.5 } }, "model": { "warmup": 9 } }"#);
    let before = logits(engine.problem());
    let gradient = engine.gradient("weights");
    assert!(gradient.is_ok());
    engine.run(1).unwrap();
    let moved = logits(engine.problem());
    let gradient = gradient.unwrap().gradient.to_vec().unwrap();
    for ((before, moved), slope) in before.iter().zip(moved).zip(gradient) {
        assert!((f64::from(*before) - 0.5 * slope - f64::from(moved)).abs() < 1e-7);
    }
}

#[test]
fn a_parameter_of_another_shape_starts_with_a_new_optimizer() {
    let mut engine = engine("{}");
    engine.run(3).unwrap();
    engine.edit(|problem| problem.weights.logits = Param::from_tensor(Tensor::zeros([30], &Device::flex()))).unwrap();
    engine.run(1).unwrap();
    // Adam's first step is as long as its learning rate of 0.1 wherever there is a gradient; its fourth, with moments of
    // one, would be half as long.
    let longest = logits(engine.problem()).iter().fold(0.0, |longest: f32, logit| longest.max(logit.abs()));
    assert!((longest - 0.1).abs() < 5e-3, "{longest}");
}

#[test]
fn what_is_not_edited_keeps_its_warm_start() {
    let json = format!(r#"{{ "model": {{ "hypergradient": {} }} }}"#, METHODS[0]);
    let mut engine = engine(&json);
    engine.run(2).unwrap();
    let before = saved(&engine);
    engine.edit(|problem| problem.weights.logits = Param::from_tensor(problem.weights.logits.val() * 2.0)).unwrap();
    let solutions = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches("solution:weights:model").count();
    assert!(solutions(&before) > 0);
    assert_eq!(solutions(&saved(&engine)), solutions(&before));
}

#[test]
fn after_an_edit_that_failed_nothing_runs_until_the_next() {
    let (mut whole, mut edited) = (engine("{}"), engine("{}"));
    whole.run(3).unwrap();
    edited.run(2).unwrap();
    let before = saved(&edited);
    let good = edited.problem().model.clone();
    let error = edited.edit(|problem| problem.model = problem.model.clone().no_grad()).unwrap_err();
    assert!(matches!(error, EngineError::Module(ModuleError::NothingToTrain { .. })), "{error}");
    let refused = |answer: Result<(), EngineError>| {
        let error = answer.unwrap_err();
        assert!(matches!(error, EngineError::EditFailed { .. }), "{error}");
        assert!(error.to_string().contains("no trainable parameter") && error.to_string().contains("edit it again"));
    };
    refused(edited.run(1).map(|_| ()));
    refused(edited.gradient("weights").map(|_| ()));
    refused(edited.explain().map(|_| ()));
    refused(edited.verify_hypergradient("weights").map(|_| ()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    fs::write(&file, &before).unwrap();
    refused(edited.resume(&Checkpoint::open(&file).unwrap(), StreamPosition::Start));
    assert!(saved(&edited) == before);
    edited.edit(|problem| problem.model = good).unwrap();
    edited.run(1).unwrap();
    assert!(saved(&edited) == saved(&whole));
}

#[test]
fn a_change_that_panics_is_an_edit_that_failed() {
    let mut engine = engine("{}");
    engine.run(1).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = engine.edit(|problem| {
            problem.model = seeded(problem.model.clone());
            panic!("my own bug")
        });
    }));
    assert!(panicked.is_err());
    assert!(matches!(engine.run(1), Err(EngineError::EditFailed { .. })));
    engine.edit(|_| ()).unwrap();
    engine.run(1).unwrap();
}

#[test]
fn a_setting_that_is_edited_is_recorded_again() {
    let run = |rate: f64| {
        let mut engine = engine("{}");
        engine.run(1).unwrap();
        engine.edit(|problem| problem.model.set_dropout(rate)).unwrap();
        engine.run(1).unwrap();
        saved(&engine)
    };
    assert!(run(0.3) == run(0.3));
    assert!(run(0.3) != run(0.7));
}

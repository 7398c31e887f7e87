//! Checkpoints that do not fit are refused, and nothing is lost.

use super::*;

/// Resumes an engine that must refuse, and checks that it runs on as if nothing had happened.
fn refused(checkpoint: &Checkpoint, engine: impl Fn() -> Engine<Cleaning>) -> EngineError {
    let (mut tried, mut untouched) = (engine(), engine());
    let error = tried.resume(checkpoint, StreamPosition::Start).unwrap_err();
    tried.run(2).unwrap();
    untouched.run(2).unwrap();
    assert_eq!(everything(&mut tried), everything(&mut untouched));
    error
}

fn saved(mut engine: Engine<Cleaning>) -> Checkpoint {
    engine.run(2).unwrap();
    engine.checkpoint().unwrap()
}

fn reason(error: EngineError) -> CheckpointError {
    match error {
        EngineError::Checkpoint(reason) => *reason,
        other => panic!("{other}"),
    }
}

#[test]
fn another_program_is_refused() {
    multilevel! {
        struct Other;
        level weights: Weights { lower: [model], batch: Examples, loss: clean, optimizer: adam(lr = 0.1) }
        level model: Mlp {
            upper: [weights], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.1, momentum = 0.9), unroll: 3,
            hypergradient: identity(scale = 1.0),
        }
    }
    let Cleaning { weights, model } = problem(0.0);
    let data = OtherData { weights: Stream::constant(examples(12, 1)), model: Stream::constant(examples(TRAIN, 2)) };
    let mut other = Engine::new(Other { weights, model }, data, OtherConfig::default()).unwrap();
    other.run(1).unwrap();
    let error = refused(&other.checkpoint().unwrap(), || crate::problem::engine(0.0));
    assert_eq!(error.to_string(), "it was saved by the program `Other`, but the engine runs `Cleaning`");
}

#[test]
fn another_module_is_refused_by_the_tensors_name() {
    let checkpoint = saved(crate::problem::engine(0.0));
    let wider = || {
        let mut problem = problem(0.0);
        problem.weights.logits = Param::from_tensor(Tensor::zeros([TRAIN + 1], &Device::flex()));
        Engine::new(problem, data(), CleaningConfig::default()).unwrap()
    };
    let error = refused(&checkpoint, wider);
    let text = error.to_string();
    assert!(text.contains("`weights.logits`") && text.contains("[24]") && text.contains("[25]"), "{text}");
    assert!(matches!(reason(error), CheckpointError::OtherShape { .. }));
}

#[test]
fn another_optimizer_is_refused() {
    let checkpoint = saved(crate::problem::engine(0.0));
    let with = |optimizer: &'static str| {
        move || {
            let mut config = CleaningConfig::default();
            config.model.optimizer = Some(serde_json::from_str::<OptimizerConfig>(optimizer).unwrap());
            Engine::new(problem(0.0), data(), config).unwrap()
        }
    };
    for optimizer in [r#"{"name": "adam", "lr": 0.1}"#, r#"{"name": "sgd", "lr": 0.1}"#] {
        let error = refused(&checkpoint, with(optimizer));
        assert!(matches!(reason(error), CheckpointError::OtherOptimizer { .. }), "{optimizer}");
    }
    // Another rate is not another optimizer.
    let mut engine = with(r#"{"name": "sgd", "lr": 0.01, "momentum": 0.5}"#)();
    engine.resume(&checkpoint, StreamPosition::Start).unwrap();
    engine.run(1).unwrap();
}

#[test]
fn states_that_mean_something_else_are_refused() {
    let with = |numbers: &'static str| {
        move || {
            let mut config = CleaningConfig::default();
            let text = format!(r#"{{ "name": "rmsprop", "lr": 0.01, {numbers} }}"#);
            config.model.optimizer = Some(serde_json::from_str::<OptimizerConfig>(&text).unwrap());
            Engine::new(problem(0.0), data(), config).unwrap()
        }
    };
    let (velocity, mean) = (r#""momentum": 0.9"#, r#""centered": true"#);
    let checkpoint = saved(with(velocity)());
    let error = refused(&checkpoint, with(mean));
    let text = error.to_string();
    assert!(text.contains("square, velocity") && text.contains("square, mean"), "{text}");
    assert!(matches!(reason(error), CheckpointError::OtherOptimizer { .. }));
    let mut engine = with(velocity)();
    engine.resume(&checkpoint, StreamPosition::Start).unwrap();
    engine.run(1).unwrap();
}

#[test]
fn another_scheduler_is_refused() {
    let plain = || crate::problem::engine(0.0);
    let cosine = || plain().scheduler("model", CosineAnnealingLrSchedulerConfig::new(0.1, 10).init().unwrap()).unwrap();
    let exponential =
        || plain().scheduler("model", ExponentialLrSchedulerConfig::new(0.1, 0.9).init().unwrap()).unwrap();
    for error in [
        refused(&saved(cosine()), plain),
        refused(&saved(plain()), cosine),
        refused(&saved(cosine()), exponential),
        refused(&saved(exponential()), cosine),
    ] {
        assert!(error.to_string().contains("`model`"), "{error}");
        assert!(matches!(reason(error), CheckpointError::OtherScheduler { .. }));
    }
}

#[test]
fn a_stream_that_is_ahead_or_too_short_is_refused() {
    let checkpoint = saved(crate::problem::engine(0.0));
    let mut ahead = crate::problem::engine(0.0);
    ahead.run(3).unwrap();
    let error = ahead.resume(&checkpoint, StreamPosition::Start).unwrap_err();
    assert!(matches!(reason(error), CheckpointError::StreamIsAhead { taken: 3, saved: 2, .. }));
    ahead.resume(&checkpoint, StreamPosition::Placed).unwrap();
    assert_eq!(ahead.iterations(), 2);

    let three = (0..3).map(|i| Ok::<_, std::io::Error>(examples(8, i)));
    let short = CleaningData { model: Stream::batches(three), ..data() };
    let mut short = Engine::new(problem(0.0), short, CleaningConfig::default()).unwrap();
    let before = everything(&mut short);
    let error = short.resume(&checkpoint, StreamPosition::Start).unwrap_err();
    assert!(matches!(error, EngineError::OutOfData { batches: 3, .. }), "{error}");
    assert_eq!(everything(&mut short), before);
}

#[test]
fn a_damaged_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    saved(crate::problem::engine(0.0)).save(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let open = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        Checkpoint::open(&file).unwrap_err()
    };
    let mut flipped = whole.clone();
    *flipped.iter_mut().rev().nth(100).unwrap() ^= 1;
    for (bytes, says) in [
        (&whole[..whole.len() - 7], "it was cut short"),
        (&flipped, "bytes changed since it was written"),
        (b"weights: none", "no checkpoint of betty"),
    ] {
        let text = open(bytes).to_string();
        assert!(text.contains(says) && text.contains("run.safetensors"), "{text}");
    }
    let nowhere = folder.path().join("nowhere").join("run.safetensors");
    assert!(matches!(Checkpoint::open(&nowhere), Err(CheckpointError::Read { .. })));
    let error = crate::problem::engine(0.0).save_every(1, &nowhere).run(1).unwrap_err();
    assert!(matches!(reason(error), CheckpointError::Write { .. }));
}

//! Runs that save themselves, are asked to stop, and go on.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::rc::Rc;

use betty_runtime::{
    Checkpoint, CheckpointError, Engine, EngineError, Event, Goal, Stream, StreamPosition, Validation,
};

use crate::problem::{
    Cleaning, CleaningConfig, CleaningData, TRAIN, data, engine, examples, first_weight, logits, problem,
};

fn everything(engine: &mut Engine<Cleaning>) -> (Vec<f32>, Vec<f32>, u64) {
    (logits(engine.problem()), first_weight(engine.problem()), engine.iterations())
}

fn saved_iterations(file: &Path) -> u64 {
    Checkpoint::open(file).unwrap().iterations()
}

#[test]
fn a_run_until_an_iteration_goes_no_further() {
    let mut whole = engine(0.3);
    whole.run(5).unwrap();
    let mut parts = engine(0.3);
    for (until, done, in_all) in [(2, 2, 2), (2, 0, 2), (0, 0, 2), (5, 3, 5), (5, 0, 5), (1, 0, 5)] {
        let report = parts.run_until(until).unwrap();
        assert_eq!((report.iterations, parts.iterations()), (done, in_all), "until {until}");
        assert!(!report.stopped_early && !report.interrupted);
    }
    assert_eq!(everything(&mut parts), everything(&mut whole));
    assert!(matches!(parts.run(0), Err(EngineError::NoIterations)));
}

#[test]
fn a_run_that_validation_ended_stays_at_its_end() {
    let mut calls = 0;
    let validation = Validation::every(1, Goal::Min, move |_: &Cleaning| {
        calls += 1;
        Ok(f64::from(calls))
    });
    let mut engine = engine(0.0).validate(validation.patience(2));
    for done in [3, 0, 0] {
        let report = engine.run_until(10).unwrap();
        assert_eq!((report.iterations, report.stopped_early, report.best), (done, true, Some((1, 1.0))));
    }
}

#[test]
fn a_run_that_is_asked_to_stop_saves_and_goes_on_bit_for_bit() {
    let mut whole = engine(0.3);
    whole.run(6).unwrap();
    for stop_at in 0..=6 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let asked = Rc::new(Cell::new(stop_at == 0));
        let (set, seen) = (Rc::clone(&asked), Rc::clone(&asked));
        let mut stopped = engine(0.3).save_every(100, &file).stop_when(move || seen.get()).observe(move |event| {
            // In the middle of the iteration, which is not broken off.
            if matches!(event, Event::Step { name: "model", step, .. } if *step + 1 == 3 * stop_at) {
                set.set(true);
            }
        });
        let report = stopped.run_until(6).unwrap();
        assert_eq!((report.iterations, report.interrupted), (stop_at, stop_at < 6));
        if stop_at == 0 {
            assert!(!file.exists(), "nothing was done, so nothing is written over");
        } else {
            assert_eq!(saved_iterations(&file), stop_at);
        }
        let mut resumed = engine(0.3);
        assert_eq!(resumed.resume_if_present(&file, StreamPosition::Start).unwrap(), stop_at > 0);
        resumed.run_until(6).unwrap();
        assert_eq!(everything(&mut resumed), everything(&mut whole), "stopped after {stop_at}");
        // The same engine goes on, too, once it is not asked any more.
        asked.set(false);
        stopped.run_until(6).unwrap();
        assert_eq!(everything(&mut stopped), everything(&mut whole), "stopped after {stop_at}");
    }
}

/// What ends a run after a whole iteration, and the iteration.
fn ended(how: &str, file: &Path) -> (Engine<Cleaning>, EngineError) {
    let streams = |batches: Option<u64>| {
        let count = batches.unwrap_or(u64::MAX);
        CleaningData {
            model: Stream::batches((0..count).map(|_| Ok::<_, std::io::Error>(examples(TRAIN, 2)))),
            ..data()
        }
    };
    let with = |batches| Engine::new(problem(0.3), streams(batches), CleaningConfig::default()).unwrap();
    let validation = |_: &Cleaning| Err::<f64, _>("the validation set is gone".into());
    let engine = match how {
        "validation" => with(None).validate(Validation::every(2, Goal::Min, validation)),
        "observer" => with(None).observe(|event| assert!(!matches!(event, Event::Iteration { iteration: 2 }))),
        "data" => with(Some(6)),
        _ => with(Some(7)),
    };
    let mut engine = engine.save_every(100, file);
    let error = engine.run(5).unwrap_err();
    assert_eq!(engine.iterations(), 2, "{how}: {error}");
    (engine, error)
}

#[test]
fn a_run_that_an_error_ends_after_a_whole_iteration_is_saved() {
    let mut whole = engine(0.3);
    whole.run(5).unwrap();
    for how in ["validation", "observer", "data"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let (_, error) = ended(how, &file);
        assert_eq!(saved_iterations(&file), 2, "{how}: {error}");
        let mut resumed = engine(0.3);
        assert!(resumed.resume_if_present(&file, StreamPosition::Start).unwrap());
        resumed.run_until(5).unwrap();
        assert_eq!(everything(&mut resumed), everything(&mut whole), "{how}");
    }
    // In the middle of one there is nothing whole to be saved.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let (mut cut, error) = ended("data in the middle", &file);
    assert!(matches!(error, EngineError::OutOfData { batches: 7, .. }) && !file.exists(), "{error}");
    // Nor if nothing was done.
    assert!(matches!(cut.run(1), Err(EngineError::OutOfData { .. })) && !file.exists());
}

#[test]
fn a_run_that_goes_on_after_an_early_stop_goes_on_to_the_next_validation() {
    let validation = Validation::every(3, Goal::Min, |_: &Cleaning| Ok(1.0)).patience(1);
    let mut engine = engine(0.0).validate(validation);
    for done in [6, 3, 3] {
        let report = engine.run(10).unwrap();
        assert_eq!((report.iterations, report.stopped_early), (done, true));
    }
    assert!(!engine.run(2).unwrap().stopped_early);
}

#[test]
fn a_save_that_fails_is_told_and_tried_again() {
    let parent = tempfile::tempdir().unwrap();
    let (here, away) = (parent.path().join("here"), parent.path().join("away"));
    fs::create_dir(&here).unwrap();
    let (file, moved) = (here.join("run.safetensors"), away.join("run.safetensors"));
    let events = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&events);
    let mut engine = engine(0.0).save_every(2, &file).observe(move |event| match *event {
        Event::Iteration { iteration: 3 } => fs::rename(&here, &away).unwrap(),
        Event::Iteration { iteration: 7 } => {
            assert_eq!(saved_iterations(&moved), 2, "the last good one stays");
            fs::rename(&away, &here).unwrap();
        }
        Event::Saving { iteration, .. } => log.borrow_mut().push(("tried", iteration)),
        Event::SaveFailed { iteration, reason, next, .. } => {
            assert!(reason.contains("cannot write the checkpoint") && reason.contains("run.safetensors"), "{reason}");
            assert_eq!(log.borrow_mut().pop(), Some(("tried", iteration)));
            log.borrow_mut().push(("failed until", next));
        }
        _ => {}
    });
    engine.run(9).unwrap();
    let expected =
        [("tried", 2), ("failed until", 5), ("failed until", 6), ("failed until", 8), ("tried", 8), ("tried", 9)];
    assert_eq!(*events.borrow(), expected);
    assert_eq!(saved_iterations(&file), 9);
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing/run.safetensors");
    let mut engine = engine(0.0).save_every(1000, &file);
    let error = engine.run(1).unwrap_err();
    assert!(matches!(&error, EngineError::Checkpoint(reason) if matches!(**reason, CheckpointError::Write { .. })));
    assert_eq!(engine.iterations(), 0);
    fs::create_dir(folder.path().join("missing")).unwrap();
    engine.run(1).unwrap();
    // Before each run, …
    let missing = folder.path().join("missing");
    fs::remove_dir_all(&missing).unwrap();
    engine.run(1).unwrap_err();
    assert_eq!(engine.iterations(), 1);
    // … and at its end, too, and what was done is still there.
    fs::create_dir(&missing).unwrap();
    let mut engine = engine.observe(move |event| {
        if let Event::Iteration { .. } = event {
            drop(fs::remove_dir_all(&missing));
        }
    });
    engine.run(1).unwrap_err();
    assert_eq!(engine.iterations(), 2);
    engine.checkpoint().unwrap().save(folder.path().join("elsewhere.safetensors")).unwrap();
}

#[test]
fn only_a_file_that_is_not_there_is_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(Checkpoint::find(at("run.safetensors")).unwrap().is_none());
    assert!(Checkpoint::find("run.safetensors").unwrap().is_none(), "in the current folder");
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    let mut engine = engine(0.0);
    let error = engine.resume_if_present(at("file"), StreamPosition::Start).unwrap_err();
    assert!(error.to_string().contains("is no checkpoint of betty"), "{error}");
    // A folder that is missing may be one that is not mounted.
    for name in ["folder", "file/run.safetensors", "missing/run.safetensors"] {
        let error = engine.resume_if_present(at(name), StreamPosition::Start).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the checkpoint"), "{name}: {error}");
    }
    #[cfg(unix)]
    {
        // As with permissions that are missing, nobody can say what is there.
        std::os::unix::fs::symlink(at("circle"), at("circle")).unwrap();
        assert!(!at("circle").exists());
        engine.resume_if_present(at("circle"), StreamPosition::Start).unwrap_err();
        // A link to nothing is a place for a checkpoint.
        std::os::unix::fs::symlink(at("later"), at("link")).unwrap();
        assert!(!engine.resume_if_present(at("link"), StreamPosition::Start).unwrap());
        engine.run(1).unwrap();
        engine.checkpoint().unwrap().save(at("link")).unwrap();
        assert_eq!(saved_iterations(&at("later")), 1);
    }
}

/// Each thread has an engine of its own; all of them save into the same file.
#[test]
fn engines_that_save_into_one_file_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut engine = engine(0.0);
                engine.run(1).unwrap();
                let checkpoint = engine.checkpoint().unwrap();
                (0..400).for_each(|_| checkpoint.save(&file).unwrap());
            });
        }
    });
    assert_eq!(saved_iterations(&file), 1);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["run.safetensors"]);
}

#[test]
fn a_checkpoint_is_written_by_one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let refused = Rc::new(RefCell::new(None));
    let (log, same) = (Rc::clone(&refused), file.clone());
    let mut first = engine(0.3).save_every(2, &file).observe(move |event| {
        if matches!(event, Event::Iteration { iteration: 3 }) {
            log.replace(Some(engine(0.0).save_every(1, &same).run(1).unwrap_err().to_string()));
        }
    });
    first.run(5).unwrap();
    let refused = refused.take().unwrap();
    assert!(refused.contains("run.safetensors") && refused.contains("another run is writing it"), "{refused}");
    assert_eq!(saved_iterations(&file), 5);
    // Between runs it is free, and nothing stays behind.
    engine(0.0).save_every(1, &file).run(1).unwrap();
    first.run(1).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // A folder is refused before the first step.
    let error = engine(0.0).save_every(1, folder.path()).run(1).unwrap_err();
    let EngineError::Checkpoint(reason) = &error else { panic!("{error}") };
    assert!(matches!(**reason, CheckpointError::Write { .. }), "{error}");
}

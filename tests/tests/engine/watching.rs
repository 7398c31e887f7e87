//! Observers that read the program, and that end a run.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;

use betty_runtime::{
    Checkpoint, CheckpointError, Current, Engine, EngineError, Event, Goal, StreamPosition, Validation,
};

use crate::problem::{Cleaning, engine, first_weight, logits};

fn everything(engine: &mut Engine<Cleaning>) -> (Vec<f32>, Vec<f32>, u64) {
    (logits(engine.problem()), first_weight(engine.problem()), engine.iterations())
}

#[test]
fn an_observer_reads_the_program_as_it_is() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let mut watched = engine(0.3).watch(move |event: &Event<'_>, program: &Current<'_, Cleaning>| {
        if let Event::Step { .. } | Event::Iteration { .. } | Event::Hypergradient { .. } = event {
            log.borrow_mut().push((format!("{event:?}"), logits(program), first_weight(program)));
        }
    });
    let mut silent = engine(0.3);
    watched.run(3).unwrap();
    for _ in 0..3 {
        let at_iteration = {
            silent.run(1).unwrap();
            (logits(silent.problem()), first_weight(silent.problem()))
        };
        let now = seen.borrow();
        let of_iteration =
            now.iter().find(|(event, ..)| *event == format!("Iteration {{ iteration: {} }}", silent.iterations()));
        let (_, logits, weight) = of_iteration.unwrap();
        assert_eq!((logits, weight), (&at_iteration.0, &at_iteration.1));
    }
    // Each step is seen where it leads: the lower level moves in its own steps only, and so does the upper one.
    let seen = seen.borrow();
    assert_eq!(seen.len(), 3 * (3 + 1 + 1 + 1));
    for pair in seen.windows(2) {
        let (before, (event, logits, weight)) = (&pair[0], &pair[1]);
        assert_eq!(before.1 != *logits, event.contains(r#"name: "weights", step"#), "{event}");
        assert_eq!(before.2 != *weight, event.contains(r#"name: "model", step"#), "{event}");
    }
    // Nothing changes by looking.
    assert_eq!(everything(&mut watched), everything(&mut silent));
}

#[test]
fn a_run_that_an_observer_ends_is_saved_and_goes_on_bit_for_bit() {
    let mut whole = engine(0.3);
    whole.run(6).unwrap();
    for stop_at in 1..=6 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let mut stopped = engine(0.3).save_every(100, &file).watch(move |event, _| match *event {
            // In the middle of the iteration, which is not broken off.
            Event::Step { name: "model", step, .. } if step + 1 == 3 * stop_at => {
                ControlFlow::Break(format!("it is step {step}"))
            }
            _ => ControlFlow::Continue(()),
        });
        let report = stopped.run_until(6).unwrap();
        assert_eq!((report.iterations, report.interrupted), (stop_at, stop_at < 6));
        assert_eq!(report.reason, Some(format!("it is step {}", 3 * stop_at - 1)));
        assert!(!report.stopped_early);
        assert_eq!(Checkpoint::open(&file).unwrap().iterations(), stop_at);
        let mut resumed = engine(0.3);
        assert!(resumed.resume_if_present(&file, StreamPosition::Start).unwrap());
        assert_eq!(resumed.run_until(6).unwrap().reason, None);
        assert_eq!(everything(&mut resumed), everything(&mut whole), "stopped after {stop_at}");
        // The same engine goes on, too.
        assert_eq!(stopped.run_until(6).unwrap().reason, None);
        assert_eq!(everything(&mut stopped), everything(&mut whole), "stopped after {stop_at}");
    }
}

#[test]
fn the_first_reason_is_told_and_every_observer_hears_all() {
    let heard = Rc::new(Cell::new(0));
    let count = Rc::clone(&heard);
    let stop = |at: u64, reason: &'static str| {
        move |event: &Event<'_>, _: &Current<'_, Cleaning>| match *event {
            Event::Iteration { iteration } if iteration >= at => ControlFlow::Break(reason),
            _ => ControlFlow::Continue(()),
        }
    };
    let mut engine =
        engine(0.0).watch(stop(3, "late")).watch(stop(2, "first")).watch(stop(2, "second")).watch(move |event, _| {
            if matches!(event, Event::Iteration { .. }) {
                count.set(count.get() + 1);
            }
        });
    let report = engine.run(9).unwrap();
    assert_eq!((report.iterations, report.reason.as_deref(), heard.get()), (2, Some("first"), 2));
}

#[test]
fn an_observer_may_end_a_run_on_its_validation_or_save() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let validation = || Validation::every(2, Goal::Min, |problem: &Cleaning| Ok(f64::from(logits(problem)[0])));
    let mut validated = engine(0.0).validate(validation()).watch(|event, _| match event {
        Event::Validation { iteration: 4, .. } => ControlFlow::Break("good enough"),
        _ => ControlFlow::Continue(()),
    });
    let report = validated.run(9).unwrap();
    assert_eq!((report.iterations, report.interrupted, report.reason.as_deref()), (4, true, Some("good enough")));
    let mut saved = engine(0.0).save_every(2, &file).watch(|event, _| match event {
        Event::Saving { iteration: 4, .. } => ControlFlow::Break("there is no more room"),
        _ => ControlFlow::Continue(()),
    });
    let report = saved.run(9).unwrap();
    assert_eq!((report.iterations, report.reason.as_deref()), (4, Some("there is no more room")));
    assert_eq!(Checkpoint::open(&file).unwrap().iterations(), 4);
    // Patience is no reason of an observer's.
    let constant = Validation::every(1, Goal::Min, |_: &Cleaning| Ok(1.0)).patience(2);
    let report = engine(0.0).validate(constant).run(9).unwrap();
    assert_eq!((report.iterations, report.stopped_early, report.interrupted, report.reason), (3, true, false, None));
}

#[test]
fn a_question_ends_no_run() {
    let mut engine = engine(0.0).watch(|event, _| match event {
        Event::Hypergradient { .. } => ControlFlow::Break("a hypergradient"),
        _ => ControlFlow::Continue(()),
    });
    engine.run(1).unwrap();
    engine.gradient("weights").unwrap();
    let report = engine.run(2).unwrap();
    assert_eq!((report.iterations, report.reason.as_deref()), (1, Some("a hypergradient")));
}

#[test]
fn an_observer_that_panics_while_it_looks_ends_the_run_with_an_error() {
    let mut engine = engine(0.0).watch(|event, program| {
        if let Event::Iteration { iteration: 2 } = event {
            assert!(logits(program).is_empty(), "my own bug");
        }
    });
    let error = engine.run(3).unwrap_err();
    assert!(
        matches!(&error, EngineError::Observer { iteration: 2, reason } if reason.contains("my own bug")),
        "{error}"
    );
    assert_eq!(engine.iterations(), 2);
    engine.run(1).unwrap();
}

#[test]
fn an_observer_saves_what_was_best() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let best = file.clone();
    // Best at the second call, in iteration 4.
    let validation = || {
        let mut calls = 0;
        Validation::every(2, Goal::Max, move |_: &Cleaning| {
            calls += 1;
            Ok([1.0, 3.0, 2.0, 0.0][calls - 1])
        })
    };
    let mut whole = engine(0.3).validate(validation()).watch(move |event, program| match event {
        Event::Validation { best: true, .. } => program.checkpoint().unwrap().save(&best).unwrap(),
        Event::Step { .. } | Event::Hypergradient { .. } => {
            let refused = program.checkpoint().err();
            assert!(matches!(refused, Some(CheckpointError::WithinIteration)), "{event:?}");
        }
        _ => {}
    });
    whole.run_until(5).unwrap();
    let saved = Checkpoint::open(&file).unwrap();
    assert_eq!(saved.iterations(), 4);
    let mut resumed = engine(0.3).validate(validation());
    resumed.resume(&saved, StreamPosition::Start).unwrap();
    let report = resumed.run_until(5).unwrap();
    assert_eq!(report.best, Some((4, 3.0)));
    assert_eq!(everything(&mut resumed), everything(&mut whole));
    // Between iterations, a question is no obstacle.
    let asked = Rc::new(Cell::new(false));
    let set = Rc::clone(&asked);
    let mut asking = engine(0.0).watch(move |event, program| {
        if let Event::Hypergradient { .. } = event {
            set.set(program.checkpoint().is_ok());
        }
    });
    asking.run(1).unwrap();
    assert!(!asked.get());
    asking.gradient("weights").unwrap();
    assert!(asked.get());
}

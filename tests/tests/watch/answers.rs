//! What an observer may answer, and what it is told of.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use betty_runtime::{Checkpoint, EngineError, Event, StreamPosition, Warning};

use crate::problem::{engine, told};

#[test]
fn a_run_is_told_of_from_its_beginning_to_its_end() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&heard);
    let mut engine = engine().watch(move |event, program| {
        if matches!(event, Event::Started { .. } | Event::Resumed { .. } | Event::Ended { .. }) {
            log.borrow_mut().push(told(event));
        }
        let facts = program.facts();
        assert_eq!((facts.schedule.name, facts.seed), ("Pair", 11));
        match event {
            Event::Step { name: "y", step: 5, .. } => ControlFlow::Break("it is late"),
            _ => ControlFlow::Continue(()),
        }
    });
    engine.run(2).unwrap();
    let checkpoint = engine.checkpoint().unwrap();
    engine.run_until(9).unwrap();
    engine.resume(&checkpoint, StreamPosition::Placed).unwrap();
    // Nothing to do.
    engine.run_until(2).unwrap();
    assert_eq!(
        *heard.borrow(),
        [
            "Started { iteration: 0, until: 2 }",
            "Ended { iteration: 2, reason: None }",
            "Started { iteration: 2, until: 9 }",
            r#"Ended { iteration: 5, reason: Some("it is late") }"#,
            "Resumed { iteration: 2 }",
        ]
    );
}

#[test]
fn an_observer_that_fails_ends_the_run_once_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let ends = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&ends);
    let mut engine = engine()
        .save_every(100, &file)
        .watch(|event, _| match event {
            Event::Step { name: "x", step: 3, .. } => Err("no more paper"),
            _ => Ok(()),
        })
        .observe(move |event| {
            if let Event::Ended { reason, .. } = event {
                log.borrow_mut().push(reason.map(str::to_owned));
            }
        });
    let error = engine.run(9).unwrap_err();
    assert!(matches!(&error, EngineError::ObserverFailed { iteration: 2, .. }), "{error}");
    assert_eq!(error.to_string(), "an observer failed after iteration 2: no more paper");
    assert_eq!(*ends.borrow(), [Some(error.to_string())]);
    assert_eq!(Checkpoint::open(&file).unwrap().iterations(), 2);
    assert_eq!(engine.run(1).unwrap().iterations, 1);
}

#[test]
fn a_warning_is_told_to_everybody_and_answered_by_nobody() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&heard);
    let warning = |fact: &str| Warning {
        rule: "mine".into(),
        level: Some("x".into()),
        fact: fact.into(),
        advice: "look at it".into(),
    };
    let mut engine = engine().observe(move |event| log.borrow_mut().extend(event.warning())).watch(
        move |event, program| match event {
            Event::Iteration { iteration: 2 } => program.warn(warning("it is two")),
            Event::Warning(_) => program.warn(warning("there was a warning")),
            _ => {}
        },
    );
    engine.run(4).unwrap();
    assert_eq!(*heard.borrow(), [warning("it is two")]);
}

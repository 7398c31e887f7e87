//! Runs that are tried again: with which numbers, and from where.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;

use betty_runtime::error::DataError;
use betty_runtime::watch::{Health, KeepLast, OnUnhealthy, Retry};
use betty_runtime::{
    Checkpoint, Current, Engine, EngineError, Event, Goal, Observer, ProgramConfig, Stream, Validation, Warning,
    multilevel,
};
use burn::tensor::Tensor;

use crate::health::{Ill, IllConfig, IllData, ill, problem, shift};
use crate::problem::Point;

#[test]
fn another_try_has_more_damping_or_smaller_steps_and_there_are_few() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let told = Rc::new(RefCell::new(Vec::new()));
    let run = |retry: &Retry, config: &str, hessian: f32| {
        let log = Rc::clone(&told);
        let file = retry.file.clone();
        retry.run(IllConfig::from_json(config).unwrap(), 30, move |config: IllConfig| {
            let log = Rc::clone(&log);
            let engine = ill(hessian, 1.0, &config.to_json()?).save_every(10, &file).attach(KeepLast::new(3));
            Ok(engine.observe(move |event| {
                log.borrow_mut().extend(event.warning().filter(|warning| warning.rule == "retry"))
            }))
        })
    };
    // The damping that makes -0.02 positive is 0.1 after three tries.
    let (engine, report) = run(&Retry::new(&file), "{}", -0.02).unwrap();
    assert_eq!((engine.iterations(), report.reason), (30, None));
    let facts: Vec<String> = told.take().into_iter().map(|warning| warning.advice).collect();
    assert_eq!(facts.len(), 3, "{facts:?}");
    assert_eq!(
        facts[0],
        "x.hypergradient.damping is 1e-3 in the place of 0e0 from here on; begin with that the next time"
    );
    drop(engine);
    std::fs::remove_file(&file).unwrap();
    let error = run(&Retry { tries: 1, ..Retry::new(&file) }, "{}", -5.0).err().unwrap();
    assert!(matches!(error, EngineError::Hypergradient { .. }), "{error}");
    assert_eq!(told.take().len(), 1);
    // What nobody can mend is not tried again.
    let error = Retry::new(&file).run::<Ill>(IllConfig::default(), 30, |config| {
        let few = (0..3).map(|_| Ok::<_, std::io::Error>(shift(1.0, 1.0, 2.0)));
        let x = Stream::constant(shift(1.0, 1.0, 2.0));
        Engine::new(problem(), IllData { y: Stream::batches(few), x }, config)
    });
    assert!(matches!(error.err(), Some(EngineError::OutOfData { .. })));
}

#[test]
fn another_try_leaves_all_other_numbers_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut configs = Vec::new();
    // A number whose last bit is lost where it is read carelessly.
    let text =
        r#"{ "y": { "clip": { "norm": 0.45454195830986427 } }, "x": { "optimizer": { "lr": 0.24493945741755202 } } }"#;
    let first = IllConfig::from_json(text).unwrap();
    let run = Retry::new(&file).run(first.clone(), 30, |config: IllConfig| {
        configs.push(config.clone());
        Ok(ill(-0.02, 1.0, &config.to_json()?).save_every(10, &file))
    });
    run.unwrap();
    assert_eq!(configs.len(), 4);
    for config in &mut configs {
        config.x.hypergradient = first.x.hypergradient.clone();
    }
    assert!(configs.iter().all(|config| *config == first), "{configs:?}");
}

#[test]
fn a_rate_that_a_scheduler_decides_is_no_reason_for_another_try() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut tries = 0;
    let (engine, report) = Retry::new(&file)
        .run(IllConfig::default(), 300, |config: IllConfig| {
            tries += 1;
            let health = Health::default().on_unhealthy(OnUnhealthy::Stop).without("slowing");
            let engine = ill(2.0, 1.0, &config.to_json()?).save_every(10, &file).attach(health);
            engine.scheduler("x", burn::lr_scheduler::constant::ConstantLr::new(0.335))
        })
        .unwrap();
    assert!(engine.iterations() < 300 && report.reason.is_some(), "{:?}", report.reason);
    assert_eq!(tries, 1);
}

#[test]
fn a_run_that_health_ended_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let away = r#"{ "x": { "optimizer": { "name": "sgd", "lr": 0.335 } } }"#;
    let mut is_first = true;
    let run = Retry::new(&file).run(IllConfig::from_json(away).unwrap(), 300, |config: IllConfig| {
        let health = Health::default().on_unhealthy(OnUnhealthy::Stop).without("slowing");
        let engine = ill(2.0, 1.0, &config.to_json()?).save_every(10, &file).attach(KeepLast::new(3)).attach(health);
        // What is warned of after that, in the same iteration, has not ended the run.
        let mut warns = std::mem::take(&mut is_first);
        Ok(engine.watch(move |event, program| {
            if matches!(event, Event::Iteration { iteration: 200 }) && std::mem::take(&mut warns) {
                let (fact, advice) = ("it is the last of these".to_owned(), "wait".to_owned());
                program.warn(Warning { rule: "own".into(), level: None, fact, advice });
            }
        }))
    });
    let (engine, report) = run.unwrap();
    assert_eq!((engine.iterations(), report.reason), (300, None));
    let rate = engine.config().x.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed());
    assert_eq!(rate, Some(0.1675));
}

/// Ends a run after an iteration, with a warning of this rule.
pub(crate) struct EndsAfter(pub(crate) u64, pub(crate) &'static str);

impl Observer<Ill> for EndsAfter {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, Ill>) -> Result<ControlFlow<String>, DataError> {
        let Event::Iteration { iteration } = *event else { return Ok(ControlFlow::Continue(())) };
        if iteration != self.0 {
            return Ok(ControlFlow::Continue(()));
        }
        let (fact, advice) = (format!("iteration {iteration} was not liked"), "wait".to_owned());
        program.warn(Warning { rule: self.1.into(), level: Some("x".into()), fact: fact.clone(), advice });
        Ok(ControlFlow::Break(fact))
    }
}

#[test]
fn no_try_begins_at_what_an_earlier_one_came_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let begun = Rc::new(RefCell::new(Vec::new()));
    let mut tries = 0;
    let run = Retry::new(&file).run(IllConfig::default(), 30, |config| {
        tries += 1;
        let (ends, fails) = [(12, u64::MAX), (u64::MAX, 11), (11, u64::MAX), (u64::MAX, u64::MAX)][tries - 1];
        // A batch without a gradient: what is not finite ends the run before it is saved again.
        let batch = move |number| shift(1.0, 1.0, if number >= fails { f32::NAN } else { 2.0 });
        let x = Stream::batches((1..).map(move |number| Ok::<_, std::io::Error>(batch(number))));
        let data = IllData { y: Stream::constant(shift(1.0, 1.0, 2.0)), x };
        let log = Rc::clone(&begun);
        let engine = Engine::new(problem(), data, config)?.save_every(5, &file).attach(KeepLast::new(3));
        Ok(engine.attach(EndsAfter(ends, "far")).observe(move |event| {
            if let Event::Started { iteration, .. } = event {
                log.borrow_mut().push(*iteration);
            }
        }))
    });
    let (engine, report) = run.unwrap();
    assert_eq!((engine.iterations(), report.reason), (30, None));
    // The first try was saved after 12, the third one after 11, and neither is gone on with.
    assert_eq!(begun.take(), [0, 10, 10, 10]);
}

/// A try that is killed before it is saved, or the last one that fails, leaves the checkpoint that it began at, and not what ended the
/// try before.
#[test]
fn whoever_starts_again_goes_on_from_where_the_last_try_began() {
    type Build<'a> = &'a dyn Fn(IllConfig, &std::path::Path) -> Result<Engine<Ill>, EngineError>;
    let ended = |second: Build<'_>| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let mut tries = 0;
        let run = Retry { tries: 1, ..Retry::new(&file) }.run(IllConfig::default(), 30, |config| {
            tries += 1;
            if tries == 2 {
                return second(config, &file);
            }
            let engine = ill(2.0, 1.0, &config.to_json()?).save_every(5, &file).attach(KeepLast::new(3));
            Ok(engine.attach(EndsAfter(12, "far")))
        });
        assert!(run.is_err() && tries == 2);
        let numbered = |iteration: u64| std::fs::read(folder.path().join(format!("run.{iteration}.safetensors")));
        assert!(std::fs::read(&file).unwrap() == numbered(10).unwrap());
        // What was rejected is still there to be looked at.
        numbered(12).unwrap();
        assert_eq!(Checkpoint::open(&file).unwrap().iterations(), 10);
    };
    ended(&|_, _| Err(EngineError::NoIterations));
    ended(&|config, file| {
        let batch = move |number| shift(1.0, 1.0, if number >= 12 { f32::NAN } else { 2.0 });
        let x = Stream::batches((1..).map(move |number| Ok::<_, std::io::Error>(batch(number))));
        let data = IllData { y: Stream::constant(shift(1.0, 1.0, 2.0)), x };
        Ok(Engine::new(problem(), data, config)?.save_every(5, file).attach(KeepLast::new(3)))
    });
}

#[test]
fn what_no_rate_mends_is_not_tried_again() {
    for rule in [
        "vanishing",
        "still",
        "bound",
        "zero-edge",
        "no-rate",
        "unsolved",
        "retracing",
        "costly",
        "unverified",
        "rounding",
        "last-task",
        "one-by-one",
        "last-read",
        "unseen-number",
        "reading",
        "own",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let mut tries = 0;
        let run = Retry::new(&file).run(IllConfig::default(), 30, |config: IllConfig| {
            tries += 1;
            Ok(ill(2.0, 1.0, &config.to_json()?).save_every(5, &file).attach(EndsAfter(12, rule)))
        });
        let (engine, report) = run.unwrap();
        assert_eq!((tries, engine.iterations(), report.interrupted), (1, 12, true), "{rule}");
    }
    // As the rule itself speaks of a level that only adds what it reads.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut tries = 0;
    let run = Retry::new(&file).run(AddingConfig::default(), 10, |config: AddingConfig| {
        tries += 1;
        let health = Health::default().on_unhealthy(OnUnhealthy::Stop).without("slowing");
        let problem = Adding { y: Point::new(&[1.0]), x: Point::new(&[0.5]) };
        Ok(Engine::new(problem, AddingData { y: ().into(), x: ().into() }, config)?.save_every(1, &file).attach(health))
    });
    let (engine, report) = run.unwrap();
    assert!(report.reason.unwrap().contains("only adds what it reads"));
    assert_eq!((tries, engine.iterations()), (1, 1));
}

#[test]
fn a_run_that_validation_has_ended_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut tries = 0;
    let run = Retry::new(&file).run(IllConfig::default(), 30, |config: IllConfig| {
        tries += 1;
        let validation = Validation::every(4, Goal::Min, |_: &Ill| Ok(1.0)).patience(2);
        let engine = ill(2.0, 1.0, &config.to_json()?).save_every(5, &file).validate(validation);
        Ok(engine.attach(EndsAfter(12, "far")))
    });
    let (engine, report) = run.unwrap();
    assert_eq!((tries, engine.iterations(), report.stopped_early), (1, 12, true));
}

pub(crate) fn look(y: &Point, x: &Point, _batch: ()) -> Tensor<1> {
    x.at.val().square().sum() + y.at.val().square().sum()
}

fn add(x: &Point, y: &Point, _batch: ()) -> Tensor<1> {
    x.at.val().square().sum() + y.at.val().sum()
}

multilevel! {
    pub(crate) struct Adding;
    level y: Point { lower: [x], batch: (), loss: look, optimizer: sgd(lr = 0.01) }
    level x: Point { upper: [y], batch: (), loss: add, optimizer: sgd(lr = 0.1), hypergradient: cg }
}

#[test]
fn trying_again_leaves_steps_to_be_read_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let (drawn, at_first) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let run = Retry::new(&file).run(IllConfig::default(), 20, |config: IllConfig| {
        let (count, drawn, at_first) = (Rc::clone(&drawn), Rc::clone(&drawn), Rc::clone(&at_first));
        let of = move |_: usize| {
            count.set(count.get() + 1);
            shift(1.0, 1.0, 2.0)
        };
        let data = IllData { y: Stream::constant(shift(1.0, 1.0, 2.0)), x: Stream::of((0..).map(of)) };
        Ok(Engine::new(problem(), data, config)?.read_every(10).observe(move |event| {
            if matches!(event, Event::Step { .. }) && at_first.get() == 0 {
                at_first.set(drawn.get());
            }
        }))
    });
    run.unwrap();
    // A batch for every step, before anybody hears of the first one.
    assert!(at_first.get() >= 10, "{}", at_first.get());
}

//! Runs that are tried again: with which numbers, from where, and on several ranks.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use betty_runtime::distributed::{Collective, Split, Threads};
use betty_runtime::error::DataError;
use betty_runtime::watch::{Health, KeepLast, OnUnhealthy, Retry};
use betty_runtime::{
    Current, Engine, EngineError, Event, Goal, Observer, ProgramConfig, Stream, Validation, Warning, multilevel,
};
use burn::tensor::{Device, Tensor};

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
struct EndsAfter(u64, &'static str);

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

fn climb(x: &Point, y: &Point, batch: Tensor<1>) -> Tensor<1> {
    (x.at.val().square().square() * batch).sum() + (x.at.val() - y.at.val()).square().sum() * 0.05
}

fn look(y: &Point, x: &Point, _batch: ()) -> Tensor<1> {
    x.at.val().square().sum() + y.at.val().square().sum()
}

multilevel! {
    struct Climbs;
    level y: Point { lower: [x], batch: (), loss: look, optimizer: sgd(lr = 0.01), tasks: 2 }
    level x: Point {
        upper: [y], start: initial, batch: Tensor<1>, loss: climb, optimizer: sgd(lr = 1.0), unroll: 12,
        hypergradient: unrolled,
    }
}

fn add(x: &Point, y: &Point, _batch: ()) -> Tensor<1> {
    x.at.val().square().sum() + y.at.val().sum()
}

multilevel! {
    struct Adding;
    level y: Point { lower: [x], batch: (), loss: look, optimizer: sgd(lr = 0.01) }
    level x: Point { upper: [y], batch: (), loss: add, optimizer: sgd(lr = 0.1), hypergradient: cg }
}

/// `x⁴` from 2 on is climbed by steps of 1.0 and of 0.25, and not by those of 0.0625; every other task has nothing to climb.
#[test]
fn what_became_infinite_in_the_task_of_one_rank_is_tried_again_by_all() {
    for size in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.safetensors");
        let found = Threads::run(size, |rank| {
            let rank = Rc::new(rank.deadline(Duration::from_secs(20)));
            let told = Rc::new(RefCell::new(Vec::new()));
            let retry = Retry { tries: 2, rate: 0.25, ..Retry::new(&file) };
            let run = retry.run(ClimbsConfig::default(), 4, |config: ClimbsConfig| {
                let batch = |number: usize| Tensor::from_floats([(number / 12 % 2) as f32], &Device::flex());
                let x = Stream::batches((0..).map(move |number| Ok::<_, std::io::Error>(batch(number))));
                let problem = Climbs { y: Point::new(&[0.5]), x: Point::new(&[2.0]) };
                let engine = Engine::new(problem, ClimbsData { y: ().into(), x }, config)?.split(Split::Tasks)?;
                let log = Rc::clone(&told);
                let engine = engine.distributed(Rc::clone(&rank) as Rc<dyn Collective>)?.save_every(10, &file);
                Ok(engine.observe(move |event| log.borrow_mut().extend(event.warning().map(|warning| warning.rule))))
            });
            let (mut engine, _) = run?;
            let rate = engine.config().x.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed());
            let values = engine.problem().y.at.val().into_data().iter::<f32>().collect::<Vec<_>>();
            Ok::<_, EngineError>((engine.iterations(), rate, values, told.take()))
        });
        let found: Vec<_> = found.into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!((found[0].0, found[0].1), (4, Some(0.0625)), "on {size}");
        assert!(found.iter().all(|rank| rank == &found[0]), "{found:?}");
        assert_eq!(found[0].3, ["non-finite", "retry", "non-finite", "retry"], "on {size}");
    }
}

#[test]
fn ranks_try_again_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let found = Threads::run(2, |rank| {
        let rank = Rc::new(rank);
        let away = r#"{ "x": { "optimizer": { "name": "sgd", "lr": 0.335 } } }"#;
        let run = Retry::new(&file).run(IllConfig::from_json(away)?, 300, |config: IllConfig| {
            let health = Health::default().on_unhealthy(OnUnhealthy::Stop).without("slowing");
            let engine = ill(2.0, 1.0, &config.to_json()?).replicated("x")?.replicated("y")?;
            let engine = engine.distributed(Rc::clone(&rank) as Rc<dyn Collective>)?;
            Ok(engine.save_every(10, &file).attach(KeepLast::new(3)).attach(health))
        });
        let (mut engine, report) = run?;
        let rate = engine.config().x.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed());
        let values = engine.problem().x.at.val().into_data().iter::<f32>().collect::<Vec<_>>();
        Ok::<_, EngineError>((engine.iterations(), report.reason, rate, values))
    });
    let found: Vec<_> = found.into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!((found[0].0, &found[0].1, found[0].2), (300, &None, Some(0.1675)));
    assert_eq!(found[0], found[1]);
}

#[test]
fn a_checkpoint_that_one_rank_cannot_read_ends_the_run_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let found = Threads::run(2, |rank| {
        let file = folder.path().join(format!("{}.safetensors", rank.rank()));
        if rank.rank() == 1 {
            std::fs::write(&file, "no checkpoint").unwrap();
        }
        let rank = Rc::new(rank.deadline(Duration::from_secs(20)));
        let run = Retry::new(&file).run(IllConfig::default(), 3, |config: IllConfig| {
            let engine = ill(2.0, 1.0, &config.to_json()?).replicated("x")?.replicated("y")?;
            engine.distributed(Rc::clone(&rank) as Rc<dyn Collective>)
        });
        run.map(|(engine, _)| engine.iterations())
    });
    for error in found.into_iter().map(|found| found.expect_err("one has no checkpoint").to_string()) {
        assert!(error.contains("1.safetensors") && error.contains("all ranks stop"), "{error}");
    }
}

#[test]
fn every_rank_hears_why_the_run_ended() {
    // Also where it ended in any case.
    for until in [10, 3] {
        let found = Threads::run(2, |rank| {
            let engine = ill(2.0, 1.0, "{}").replicated("x")?.replicated("y")?.distributed(rank)?;
            let report = engine.attach(EndsAfter(3, "far")).run(until)?;
            Ok::<_, EngineError>((report.iterations, report.reason))
        });
        for found in found {
            assert_eq!(found.unwrap(), (3, Some("iteration 3 was not liked".to_owned())), "of {until}");
        }
    }
}

/// Fails when the run is over.
struct FailsAtTheEnd;

impl Observer<Ill> for FailsAtTheEnd {
    fn hear(&mut self, event: &Event<'_>, _program: &Current<'_, Ill>) -> Result<ControlFlow<String>, DataError> {
        assert!(!matches!(event, Event::Ended { .. }), "the disk is full");
        Ok(ControlFlow::Continue(()))
    }
}

#[test]
fn what_fails_on_the_rank_that_is_watched_fails_on_all() {
    let found = Threads::run(2, |rank| {
        let engine = ill(2.0, 1.0, "{}").replicated("x")?.replicated("y")?.distributed(rank)?;
        engine.attach(FailsAtTheEnd).run(2).map(drop)
    });
    for error in found.into_iter().map(|found| found.expect_err("an observer failed").to_string()) {
        assert!(error.contains("the disk is full"), "{error}");
    }
}

//! Observers on several ranks, of which the first one alone is told, and runs that all of them try again.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use betty_runtime::distributed::{Collective, Split, Threads};
use betty_runtime::error::DataError;
use betty_runtime::watch::{Health, KeepLast, OnUnhealthy, Retry};
use betty_runtime::{Current, Engine, EngineError, Event, Observer, ProgramConfig, Stream, multilevel};
use burn::tensor::{Device, Tensor};

use crate::health::{Ill, IllConfig, ill};
use crate::problem::Point;
use crate::retry::{EndsAfter, look};

fn climb(x: &Point, y: &Point, batch: Tensor<1>) -> Tensor<1> {
    (x.at.val().square().square() * batch).sum() + (x.at.val() - y.at.val()).square().sum() * 0.05
}

multilevel! {
    struct Climbs;
    level y: Point { lower: [x], batch: (), loss: look, optimizer: sgd(lr = 0.01), tasks: 2 }
    level x: Point {
        upper: [y], start: initial, batch: Tensor<1>, loss: climb, optimizer: sgd(lr = 1.0), unroll: 12,
        hypergradient: unrolled,
    }
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

//! Schedulers of runs that are gone on with: the numbers are those that are given, where the run stands.

use std::cell::RefCell;
use std::f64::consts::PI;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use betty_runtime::Event;
use betty_runtime::{Checkpoint, Engine, StreamPosition};
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::sequential::SequentialLrSchedulerConfig;
use burn::lr_scheduler::{LrScheduler, LrSchedulerConfig, LrSchedulerRecord};

use crate::problem::Cleaning;

fn engine(scheduler: ModuleLrScheduler) -> Engine<Cleaning> {
    crate::problem::engine(0.0).scheduler("model", scheduler).unwrap()
}

/// A checkpoint after 12 steps of the level, by way of a file.
fn saved(scheduler: ModuleLrScheduler) -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    let mut engine = engine(scheduler);
    engine.run(4).unwrap();
    engine.checkpoint().unwrap().save(&file).unwrap();
    Checkpoint::open(&file).unwrap()
}

/// The rates of the three steps after a checkpoint, and what is warned of.
fn resumed(checkpoint: &Checkpoint, scheduler: ModuleLrScheduler) -> (Vec<f64>, Vec<String>) {
    let told = Rc::new(RefCell::new((Vec::new(), Vec::new())));
    let log = Rc::clone(&told);
    let mut engine = engine(scheduler).observe(move |event| {
        if let Event::Step { name: "model", learning_rate, .. } = event {
            log.borrow_mut().0.push(*learning_rate);
        }
        log.borrow_mut().1.extend(event.warning().map(|warning| warning.rule));
    });
    engine.resume(checkpoint, StreamPosition::Start).unwrap();
    engine.run(1).unwrap();
    // What is saved from here on says how often it was asked, too.
    let again = engine.checkpoint().unwrap();
    engine.resume(&again, StreamPosition::Placed).unwrap();
    drop(engine);
    told.take()
}

fn linear(rate: f64, steps: usize) -> ModuleLrScheduler {
    LinearLrSchedulerConfig::new(rate, 0.0, steps).init().unwrap()
}

fn exponential(rate: f64, gamma: f64) -> ModuleLrScheduler {
    ExponentialLrSchedulerConfig::new(rate, gamma).init().unwrap()
}

fn cosine(rate: f64, steps: usize) -> ModuleLrScheduler {
    CosineAnnealingLrSchedulerConfig::new(rate, steps).init().unwrap()
}

/// Falls from 0.1 to 0.05 until a milestone, and from there by a factor for each step.
fn both(milestone: usize) -> ModuleLrScheduler {
    let schedulers = vec![
        LrSchedulerConfig::Linear(LinearLrSchedulerConfig::new(0.1, 0.05, 100)),
        LrSchedulerConfig::Exponential(ExponentialLrSchedulerConfig::new(0.05, 0.9)),
    ];
    SequentialLrSchedulerConfig::new(schedulers, vec![milestone]).init().unwrap()
}

/// Each in closed form: what comes after 12 steps with the numbers that are given, whatever those of the saved run were.
#[test]
fn the_numbers_that_are_given_decide_from_where_the_run_stands() {
    let close = |found: &[f64], expected: &dyn Fn(f64) -> f64, what: &str| {
        let expected: Vec<f64> = [12.0, 13.0, 14.0].into_iter().map(expected).collect();
        let error = found.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(found.len() == 3 && error < 1e-12, "{what}: {found:?} instead of {expected:?}");
    };
    type Rate<'a> = &'a dyn Fn(f64) -> f64;
    let cases: [(&str, ModuleLrScheduler, ModuleLrScheduler, Rate<'_>, bool); 6] = [
        // The one that was saved has come to its end, at a rate of 0.
        ("linear", linear(0.1, 12), linear(0.1, 120), &|after| 0.1 * (1.0 - after / 120.0), true),
        ("linear, other rates", linear(0.1, 120), linear(0.2, 120), &|after| 0.2 * (1.0 - after / 120.0), false),
        ("exponential", exponential(0.1, 0.9), exponential(0.2, 0.99), &|after| 0.2 * 0.99_f64.powf(after), true),
        // These begin at one state, `rate / factor`.
        ("exponential, alike at first", exponential(0.1, 0.5), exponential(0.2, 1.0), &|_| 0.2, true),
        ("cosine", cosine(0.1, 12), cosine(0.2, 40), &|after| 0.1 * (1.0 + (PI * after / 40.0).cos()), false),
        ("sequential", both(9), both(10), &|after| 0.05 * 0.9_f64.powf(after - 10.0), true),
    ];
    for (what, before, given, rate, is_told) in cases {
        let checkpoint = saved(before.clone());
        let (rates, told) = resumed(&checkpoint, given);
        close(&rates, rate, what);
        assert_eq!(told.iter().filter(|rule| *rule == "scheduler").count(), usize::from(is_told), "{what}: {told:?}");
        assert!(!resumed(&checkpoint, before).1.contains(&"scheduler".to_owned()), "{what}");
    }
}

/// Halves its rate whenever it is told that things go badly, which no number of steps says.
#[derive(Clone)]
struct Plateau {
    rate: f64,
    bad: Arc<AtomicU64>,
}

impl LrScheduler for Plateau {
    fn step(&mut self) -> f64 {
        (0..self.bad.swap(0, Ordering::Relaxed)).for_each(|_| self.rate /= 2.0);
        self.rate
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new().with_scalar("rate", self.rate)
    }

    fn load_record(&mut self, record: LrSchedulerRecord) {
        self.rate = record.scalar("rate").unwrap_or(self.rate);
    }
}

#[test]
fn a_scheduler_whose_state_follows_something_else_goes_on_from_its_record() {
    let plateau = |bad: &Arc<AtomicU64>| ModuleLrScheduler::new(Plateau { rate: 0.1, bad: Arc::clone(bad) });
    let bad = Arc::new(AtomicU64::new(0));
    let mut engine = engine(plateau(&bad));
    engine.run(2).unwrap();
    bad.store(3, Ordering::Relaxed);
    engine.run(2).unwrap();
    let checkpoint = engine.checkpoint().unwrap();
    let (rates, told) = resumed(&checkpoint, plateau(&Arc::default()));
    assert_eq!(rates, [0.1 / 8.0; 3]);
    assert!(!told.contains(&"scheduler".to_owned()), "{told:?}");
}

//! Levels that look ahead: what their undone steps count for, which is nothing.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::Tensor;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::problem::{Knobs, Net, Samples, tensor};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let x = batch.x + knobs.shift.val().unsqueeze();
    net.error(Samples { x, y: batch.y }) + net.second.val().powi_scalar(2).sum() * knobs.penalty.val().exp()
}

fn judge(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.shift.val().powi_scalar(2).sum() * 0.1
}

fn judge_knobs(top: &Knobs, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum() + batch.y.mean() * top.penalty.val()
}

fn judge_below(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    judge(knobs, net, batch) + (knobs.shift.val() * top.shift.val()).sum()
}

multilevel! {
    struct Ahead;
    level knobs: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: adam(lr = 0.1) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: adam(lr = 0.1), unroll: 2, start: look_ahead,
        hypergradient: unrolled,
    }
}

multilevel! {
    struct Above;
    level top: Knobs { lower: [knobs], batch: Samples, loss: judge_knobs, optimizer: sgd(lr = 0.1) }
    level knobs: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: judge_below, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 2,
        start: look_ahead, hypergradient: unrolled,
    }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 2, start: look_ahead,
        hypergradient: unrolled,
    }
}

/// Different batches, with failures in between.
fn stream(seed: u64, at: &'static [usize]) -> Stream<Samples> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut next = move || Samples { x: tensor([4, 3], &mut random), y: tensor([4, 2], &mut random) };
    Stream::batches((0..).map(move |index| match at.contains(&index) {
        true => Err(io::Error::other("the disk is away")),
        false => Ok(next()),
    }))
}

fn schedule(steps: usize) -> ModuleLrScheduler {
    LinearLrSchedulerConfig::new(0.5, 0.1, steps).init().unwrap()
}

type Log = Rc<RefCell<Vec<(u64, f64, bool)>>>;

/// The program with a scheduler below, and a log of the lower level's steps: number, rate, undone or not.
fn ahead(json: &str, knobs: &'static [usize], net: &'static [usize], steps: usize) -> (Engine<Ahead>, Log) {
    let problem = Ahead { knobs: Knobs::new(0), net: Net::new(1) };
    let data = AheadData { knobs: stream(2, knobs), net: stream(3, net) };
    let log = Log::default();
    let seen = Rc::clone(&log);
    let engine = Engine::new(problem, data, AheadConfig::from_json(json).unwrap()).unwrap();
    let engine = engine.scheduler("net", schedule(steps)).unwrap().observe(move |event| {
        if let Event::Step { name: "net", step, learning_rate, looks_ahead, .. } = *event {
            seen.borrow_mut().push((step, learning_rate, looks_ahead));
        }
    });
    (engine, log)
}

fn values(problem: &Ahead) -> Vec<f64> {
    [problem.knobs.values(), problem.net.values()].concat()
}

/// What a step said, with its rate in thousandths.
fn told(log: &Log) -> Vec<(u64, u64, bool)> {
    log.borrow().iter().map(|&(step, rate, ahead)| (step, (rate * 1000.0).round() as u64, ahead)).collect()
}

#[test]
fn steps_that_are_taken_again_have_the_rates_of_those_undone() {
    let (mut engine, log) = ahead(r#"{ "knobs": { "tasks": 2 } }"#, &[], &[], 4);
    let report = engine.run(2).unwrap();
    let round = |first: u64, rates: [u64; 2]| {
        let round = move |ahead| [(first, rates[0], ahead), (first + 1, rates[1], ahead)];
        [round(true), round(true), round(false)].concat()
    };
    assert_eq!(told(&log), [round(1, [500, 400]), round(3, [300, 200])].concat());
    assert_eq!(report.levels[1].steps, 4);
    assert_eq!(engine.checkpoint().unwrap().steps("net"), Some(4));
}

#[test]
fn steps_of_earlier_tasks_that_begin_anew_are_not_undone() {
    let (mut engine, log) = ahead(r#"{ "knobs": { "tasks": 2 }, "net": { "start": "initial" } }"#, &[], &[], 4);
    let report = engine.run(1).unwrap();
    let steps = [(1, 500, false), (2, 400, false), (3, 300, false), (4, 200, false)];
    assert_eq!(told(&log), steps);
    assert_eq!(report.levels[1].steps, 4);
}

#[test]
fn levels_above_that_warm_up_undo_nothing() {
    let (mut engine, log) = ahead(r#"{ "knobs": { "warmup": 1 } }"#, &[], &[], 4);
    engine.run(2).unwrap();
    let ahead = [(3, 300, true), (4, 200, true)];
    let taken = [(3, 300, false), (4, 200, false)];
    assert_eq!(told(&log), [[(1, 500, false), (2, 400, false)], ahead, taken].concat());
}

#[test]
fn a_run_that_looks_ahead_resumes_to_the_same_bits() {
    let mut whole = ahead("{}", &[], &[], 20).0;
    whole.run(2).unwrap();
    let saved = whole.checkpoint().unwrap();
    whole.run(2).unwrap();
    let mut resumed = ahead("{}", &[], &[], 20).0;
    resumed.resume(&saved, StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    assert_eq!(values(resumed.problem()), values(whole.problem()));
}

/// Whatever batch of a turn fails: the first of the level below, its second, that of the level above, or one of the steps
/// that are taken again.
#[test]
fn a_turn_whose_data_fail_is_taken_again_as_if_nothing_had_happened() {
    let failures: [(&[usize], &[usize]); 8] = [
        (&[], &[6]),
        (&[], &[7]),
        (&[], &[8]),
        (&[], &[9]),
        (&[2], &[]),
        (&[3], &[]),
        (&[2, 4], &[8, 11]),
        (&[0], &[3]),
    ];
    for method in ["unrolled", "forward", "minres", "sama"] {
        for tasks in [1, 2] {
            let json = format!(
                r#"{{ "knobs": {{ "tasks": {tasks}, "accumulate": 2 }}, "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#
            );
            let lasting = |log: &Log| {
                let mut steps = log.borrow().clone();
                steps.retain(|&(_, _, looks_ahead)| !looks_ahead);
                steps.dedup();
                steps
            };
            let (mut whole, steps) = ahead(&json, &[], &[], 20);
            whole.run(4).unwrap();
            for (knobs, net) in failures {
                let (mut interrupted, taken) = ahead(&json, knobs, net, 20);
                let mut errors = 0;
                while interrupted.iterations() < 4 {
                    errors += u32::from(interrupted.run(4 - interrupted.iterations()).is_err());
                }
                let of = format!("{json}, {knobs:?}, {net:?}");
                assert!(errors > 0, "{of}");
                assert_eq!(values(interrupted.problem()), values(whole.problem()), "{of}");
                let (saved, expected) = (interrupted.checkpoint().unwrap(), whole.checkpoint().unwrap());
                for level in ["knobs", "net"] {
                    assert_eq!(saved.steps(level), expected.steps(level), "{of}");
                    assert_eq!(saved.batches(level), expected.batches(level), "{of}");
                }
                let mut taken = lasting(&taken);
                taken.sort_by_key(|&(step, _, _)| step);
                taken.dedup();
                assert_eq!(taken, lasting(&steps), "{of}");
            }
        }
    }
}

#[test]
fn a_turn_inside_of_a_turn_that_looks_ahead_is_taken_back_with_it() {
    let values = |problem: &Above| [problem.top.values(), problem.knobs.values(), problem.net.values()].concat();
    let above = |top, knobs, net| {
        let problem = Above { top: Knobs::new(3), knobs: Knobs::new(0), net: Net::new(1) };
        let data = AboveData { top: stream(4, top), knobs: stream(2, knobs), net: stream(3, net) };
        let engine = Engine::new(problem, data, AboveConfig::default()).unwrap();
        let engine = engine.scheduler("knobs", schedule(30)).unwrap();
        engine.scheduler("net", schedule(30)).unwrap()
    };
    let mut whole = above(&[], &[], &[]);
    let report = whole.run(3).unwrap();
    // Two turns ahead and two that last, each with two steps of the level below, which count: only its own undone do not.
    let steps: Vec<u64> = report.levels.iter().map(|level| level.steps).collect();
    assert_eq!(steps, [3, 6, 24]);
    let failures: [[&'static [usize]; 3]; 4] =
        [[&[1], &[], &[]], [&[], &[5], &[]], [&[], &[], &[19]], [&[2], &[3], &[27]]];
    for [top, knobs, net] in failures {
        let mut interrupted = above(top, knobs, net);
        while interrupted.iterations() < 3 {
            let done = interrupted.run(3 - interrupted.iterations());
            assert!(done.is_ok() || matches!(done, Err(EngineError::Data { .. })));
        }
        assert_eq!(values(interrupted.problem()), values(whole.problem()), "{top:?}, {knobs:?}, {net:?}");
    }
}

//! What an error or an edit between two steps leaves as it was.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::module::Param;
use burn::tensor::Tensor;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::problem::{Knobs, Net, Samples, assert_close, tensor};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let x = batch.x + knobs.shift.val().unsqueeze();
    net.error(Samples { x, y: batch.y }) + net.second.val().powi_scalar(2).sum() * knobs.penalty.val().exp()
}

fn judge(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.shift.val().powi_scalar(2).sum() * 0.1
}

multilevel! {
    struct Tuned;
    level knobs: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: adam(lr = 0.1) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 4,
        hypergradient: unrolled,
    }
}

/// The same batch again and again, with failures in between.
fn failing(seed: u64, at: &'static [usize]) -> Stream<Samples> {
    let random = &mut StdRng::seed_from_u64(seed);
    let batch = Samples { x: tensor([4, 3], random), y: tensor([4, 2], random) };
    Stream::batches((0..).map(move |index| match at.contains(&index) {
        true => Err(io::Error::other("the disk is away")),
        false => Ok(batch.clone()),
    }))
}

fn engine(json: &str, knobs: &'static [usize], net: &'static [usize]) -> Engine<Tuned> {
    let problem = Tuned { knobs: Knobs::new(0), net: Net::new(1) };
    let data = TunedData { knobs: failing(2, knobs), net: failing(3, net) };
    Engine::new(problem, data, TunedConfig::from_json(json).unwrap()).unwrap()
}

/// Different batches, with failures in between.
fn different(seed: u64, at: &'static [usize]) -> Stream<Samples> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut next = move || Samples { x: tensor([4, 3], &mut random), y: tensor([4, 2], &mut random) };
    Stream::batches((0..).map(move |index| match at.contains(&index) {
        true => Err(io::Error::other("the disk is away")),
        false => Ok(next()),
    }))
}

fn changing(json: &str, knobs: &'static [usize], net: &'static [usize]) -> Engine<Tuned> {
    let problem = Tuned { knobs: Knobs::new(0), net: Net::new(1) };
    let data = TunedData { knobs: different(2, knobs), net: different(3, net) };
    Engine::new(problem, data, TunedConfig::from_json(json).unwrap()).unwrap()
}

fn values(problem: &Tuned) -> Vec<f64> {
    [problem.knobs.values(), problem.net.values()].concat()
}

const STARTS: [&str; 3] = ["kept", "initial", "look_ahead"];

#[test]
fn a_run_that_goes_on_after_an_error_is_the_run_without_it() {
    for start in STARTS {
        for method in ["unrolled", "forward", "minres"] {
            let json = format!(r#"{{ "net": {{ "start": "{start}", "hypergradient": {{ "method": "{method}" }} }} }}"#);
            let mut whole = engine(&json, &[], &[]);
            whole.run(3).unwrap();
            // Where the level above fails, and where the level below does, in the middle of a round.
            for (knobs, net) in [([1].as_slice(), [].as_slice()), (&[], &[2])] {
                let mut interrupted = engine(&json, knobs, net);
                assert!(matches!(interrupted.run(3), Err(EngineError::Data { .. })));
                interrupted.run(3 - interrupted.iterations()).unwrap();
                let of = format!("{start}, {method}, {knobs:?}, {net:?}");
                assert_close(&values(interrupted.problem()), &values(whole.problem()), 1e-13, &of);
            }
        }
    }
}

/// Batches that were drawn before one that does not come, for the same gradient or the same mean of tasks, come again.
#[test]
fn batches_before_one_that_does_not_come_are_not_lost() {
    let solved = r#""hypergradient": { "method": "cg", "iterations": 3, "damping": 1.0, "warm_start": true"#;
    let settings = [
        format!(r#"{{ "knobs": {{ "accumulate": 3 }}, "net": {{ {solved} }} }} }}"#),
        format!(r#"{{ "net": {{ {solved}, "batch": "fresh" }} }} }}"#),
        r#"{ "knobs": { "tasks": 3 } }"#.to_owned(),
        r#"{ "knobs": { "tasks": 2, "accumulate": 2 }, "net": { "start": "initial", "accumulate": 2 } }"#.to_owned(),
    ];
    for json in settings {
        let mut whole = changing(&json, &[], &[]);
        whole.run(3).unwrap();
        for (knobs, net) in [([2].as_slice(), [].as_slice()), (&[], &[9]), (&[], &[11]), (&[0, 2, 5], &[4, 5, 14])] {
            let mut interrupted = changing(&json, knobs, net);
            let mut failures = 0;
            while interrupted.iterations() < 3 {
                // The streams go on behind their errors.
                failures += usize::from(interrupted.run(3 - interrupted.iterations()).is_err());
            }
            let of = format!("{json}, {knobs:?}, {net:?}");
            assert!(failures > 0, "{of}");
            assert_eq!(values(interrupted.problem()), values(whole.problem()), "{of}");
        }
    }
}

#[test]
fn a_batch_that_came_again_is_gone_past_where_a_step_fails_on_it() {
    let mut engine = changing(r#"{ "knobs": { "tasks": 2 } }"#, &[1], &[]);
    assert!(matches!(engine.run(1), Err(EngineError::Data { .. })));
    let shift = engine.problem().knobs.shift.val();
    engine.edit(|problem| problem.knobs.shift = Param::from_tensor(shift.clone() * f64::NAN)).unwrap();
    for batches in 1..=3 {
        assert!(matches!(engine.run(1), Err(EngineError::NonFinite { .. })));
        assert_eq!(engine.checkpoint().unwrap().batches("net"), Some(batches));
    }
}

/// Where the level above fails on a batch, those below go on with what belongs to its next one.
#[test]
fn batches_that_belong_together_stay_together_after_an_error() {
    let run = |left_out: usize, fails: bool, json: &str| {
        let stream = move |seed, each: usize, mistake: usize| {
            let mut random = StdRng::seed_from_u64(seed);
            let mut next =
                move |columns| Samples { x: tensor([4, 3], &mut random), y: tensor([4, columns], &mut random) };
            let batches = (0..40).map(move |index| (index / each, next(if index == mistake { 5 } else { 2 })));
            Stream::batches(
                batches.filter(move |(of, _)| fails || *of != left_out).map(|(_, batch)| Ok::<_, io::Error>(batch)),
            )
        };
        let problem = Tuned { knobs: Knobs::new(0), net: Net::new(1) };
        let data = TunedData { knobs: stream(2, 1, left_out), net: stream(3, 4, usize::MAX) };
        let mut engine = Engine::new(problem, data, TunedConfig::from_json(json).unwrap()).unwrap();
        let failed = engine.run(4);
        assert_eq!(failed.is_err(), fails, "{failed:?}");
        if fails {
            // Five columns instead of two: the loss cannot be recorded.
            engine.run(4 - engine.iterations()).unwrap();
        }
        values(engine.problem())
    };
    for method in [r#""unrolled""#, r#""cg", "iterations": 3, "damping": 1.0"#] {
        let json = format!(r#"{{ "net": {{ "start": "initial", "hypergradient": {{ "method": {method} }} }} }}"#);
        for left_out in [0, 2] {
            assert_eq!(run(left_out, true, &json), run(left_out, false, &json), "{method}, {left_out}");
        }
    }
}

multilevel! {
    struct Two;
    level first: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: adam(lr = 0.1) }
    level second: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: adam(lr = 0.1) }
    level net: Net {
        upper: [first, second], batch: Samples, loss: fit_both, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 2,
        hypergradient: cg(iterations = 3, damping = 1.0),
    }
}

fn fit_both(net: &Net, first: &Knobs, second: &Knobs, batch: Samples) -> Tensor<1> {
    fit(net, first, batch) + second.penalty.val().exp() * net.first.val().powi_scalar(2).sum()
}

/// Each uppermost level has one turn in an iteration, also in one that an error has cut in two.
#[test]
fn an_iteration_that_was_cut_goes_on_where_it_was() {
    let two = |failing: &'static [usize]| {
        let problem = Two { first: Knobs::new(0), second: Knobs::new(2), net: Net::new(1) };
        let data = TwoData { first: different(2, &[]), second: different(4, failing), net: different(3, &[]) };
        Engine::new(problem, data, TwoConfig::default()).unwrap()
    };
    let values = |problem: &Two| [problem.first.values(), problem.second.values(), problem.net.values()].concat();
    let mut whole = two(&[]);
    whole.run(3).unwrap();
    let mut cut = two(&[1]);
    assert!(matches!(cut.run(3), Err(EngineError::Data { .. })));
    assert_eq!(cut.iterations(), 1);
    let saved = cut.checkpoint().unwrap();
    cut.run(2).unwrap();
    assert_eq!(values(cut.problem()), values(whole.problem()));
    let mut resumed = two(&[]);
    resumed.resume(&saved, StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    assert_eq!(values(resumed.problem()), values(whole.problem()));
}

/// Nothing is taken of tasks that are computed together unless all of it is there.
#[test]
fn tasks_together_go_on_after_an_error() {
    for scheduled in [false, true] {
        let tuned = |knobs, net| {
            let json = r#"{ "knobs": { "tasks": 3, "vectorize": true }, "net": { "start": "initial" } }"#;
            let engine = changing(json, knobs, net);
            match scheduled {
                false => engine,
                true => engine.scheduler("net", LinearLrSchedulerConfig::new(0.1, 0.01, 30).init().unwrap()).unwrap(),
            }
        };
        let mut whole = tuned(&[], &[]);
        whole.run(3).unwrap();
        for (knobs, net) in [([4].as_slice(), [].as_slice()), (&[], &[17]), (&[0], &[3])] {
            let mut interrupted = tuned(knobs, net);
            while interrupted.iterations() < 3 {
                // The streams go on behind their errors.
                let _ = interrupted.run(3 - interrupted.iterations());
            }
            assert_eq!(values(interrupted.problem()), values(whole.problem()), "{knobs:?}, {net:?}");
        }
    }
}

#[test]
fn tasks_that_came_to_no_number_have_taken_no_step() {
    let json = r#"{ "knobs": { "tasks": 3, "vectorize": true }, "net": { "start": "initial", "unroll": 2 } }"#;
    let rates = |fails: bool| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let scheduler = LinearLrSchedulerConfig::new(0.1, 0.01, 30).init().unwrap();
        let engine = engine(json, &[], &[]).scheduler("net", scheduler).unwrap();
        let mut engine = engine.observe(move |event| {
            if let Event::Step { name: "net", learning_rate, .. } = event {
                log.borrow_mut().push(*learning_rate);
            }
        });
        if fails {
            let shift = engine.problem().knobs.shift.val();
            engine.edit(|problem| problem.knobs.shift = Param::from_tensor(shift.clone() * f64::NAN)).unwrap();
            assert!(matches!(engine.run(1), Err(EngineError::NonFinite { .. })));
            engine.edit(|problem| problem.knobs.shift = Param::from_tensor(shift)).unwrap();
        }
        engine.run(1).unwrap();
        let seen = seen.borrow();
        seen.clone()
    };
    assert_eq!(rates(true), rates(false));
}

#[test]
fn an_edit_that_changes_nothing_changes_nothing() {
    for start in STARTS {
        let json = format!(r#"{{ "net": {{ "start": "{start}" }} }}"#);
        let (mut whole, mut edited) = (engine(&json, &[], &[]), engine(&json, &[], &[]));
        whole.run(4).unwrap();
        edited.run(2).unwrap();
        edited.edit(|_| {}).unwrap();
        edited.run(2).unwrap();
        assert_eq!(values(edited.problem()), values(whole.problem()), "{start}");
    }
}

#[test]
fn an_edited_tensor_is_what_a_level_begins_with() {
    let mut engine = engine(r#"{ "net": { "start": "initial", "freeze": ["bias", "second"] } }"#, &[], &[]);
    engine.run(1).unwrap();
    let bias = tensor([4], &mut StdRng::seed_from_u64(9));
    engine.edit(|problem| problem.net.bias = Param::from_tensor(bias.clone())).unwrap();
    engine.run(1).unwrap();
    let found: Vec<f64> = engine.problem().net.bias.val().into_data().try_to_vec().unwrap();
    assert_eq!(found, bias.into_data().try_to_vec::<f64>().unwrap());
}

//! What an error or an edit between two steps leaves as it was.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, ProgramConfig, Stream, multilevel};
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
fn changing(json: &str, knobs: &'static [usize], net: &'static [usize]) -> Engine<Tuned> {
    let stream = |seed, at: &'static [usize]| {
        let mut random = StdRng::seed_from_u64(seed);
        let mut next = move || Samples { x: tensor([4, 3], &mut random), y: tensor([4, 2], &mut random) };
        Stream::batches((0..).map(move |index| match at.contains(&index) {
            true => Err(io::Error::other("the disk is away")),
            false => Ok(next()),
        }))
    };
    let problem = Tuned { knobs: Knobs::new(0), net: Net::new(1) };
    let data = TunedData { knobs: stream(2, knobs), net: stream(3, net) };
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

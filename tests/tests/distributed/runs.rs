//! What surrounds gradients in a run: validation, stopping, metrics, parameters of the first rank, checkpoints.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use betty_runtime::distributed::{Collective, DistributedError, SingleProcess, Threads};
use betty_runtime::execute::launched;
use betty_runtime::{
    Checkpoint, Engine, EngineError, Event, Goal, Measured, ProgramConfig, StreamPosition, Validation, multilevel,
};
use burn::tensor::Tensor;

use super::problem::{Knobs, Net, Samples, View};

fn choose(_knobs: &Knobs, net: &Net, batch: Samples) -> Measured {
    let scale = batch.x.clone().powi_scalar(2).mean();
    Measured::new(net.error(batch)).with("scale", scale)
}

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    net.error(batch) + net.penalty() * (knobs.penalty.val().exp() + 1.0)
}

multilevel! {
    struct Two;
    level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: adam(lr = 0.01) }
    level net: Net { upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: cg }
}

const SIZES: &[&[usize]] = &[&[3, 5], &[4, 2]];

fn engine(view: View, seed: u64) -> Result<Engine<Two>, EngineError> {
    let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
    Engine::new(Two { knobs: Knobs::new(seed), net: Net::new(seed + 1) }, data, TwoConfig::default())
}

fn of_rank(rank: &Threads) -> View {
    View { rank: Some(rank.rank()), sizes: SIZES }
}

fn values(engine: &mut Engine<Two>) -> Vec<f64> {
    [engine.problem().knobs.values(), engine.problem().net.values()].concat()
}

#[test]
fn one_rank_is_a_run_as_without_ranks() {
    let whole = View { rank: None, sizes: SIZES };
    let run = |mut engine: Engine<Two>| engine.run(3).map(|_| values(&mut engine));
    let alone = run(engine(whole, 0).expect("an engine")).expect("a run");
    let single = engine(whole, 0).expect("an engine").distributed(SingleProcess).expect("nobody to differ from");
    assert_eq!(run(single).expect("a run"), alone);
}

#[test]
fn all_begin_with_the_parameters_of_the_first() {
    let found = Threads::run(3, |rank| {
        let view = View { rank: Some(rank.rank()), sizes: &[&[2, 3, 1]] };
        let mut engine = engine(view, 10 * rank.rank() as u64)?.distributed(rank)?;
        let begun = values(&mut engine);
        engine.run(2)?;
        Ok::<_, EngineError>((begun, values(&mut engine)))
    });
    let (begun, _) = found[0].as_ref().expect("a run");
    assert_eq!(*begun, [Knobs::new(0).values(), Net::new(1).values()].concat());
    assert!(found.iter().all(|rank| rank.as_ref().ok() == found[0].as_ref().ok()));
}

#[test]
fn another_config_or_program_is_an_error_of_all() {
    let found = Threads::run(2, |rank| {
        let json = if rank.rank() == 0 { "{}" } else { r#"{ "net": { "unroll": 3 } }"# };
        let data = TwoData { knobs: of_rank(&rank).samples(1), net: of_rank(&rank).samples(2) };
        Engine::new(Two { knobs: Knobs::new(0), net: Net::new(1) }, data, TwoConfig::from_json(json)?)?
            .distributed(rank)
            .map(drop)
    });
    let differs = DistributedError::Differs { what: "config", rank: 1 };
    assert!(found.iter().all(|found| matches!(found, Err(EngineError::Distributed(error)) if *error == differs)));
}

#[test]
fn metrics_losses_and_validation_are_means_over_all_examples() {
    let watch = |engine: Engine<Two>, answer: f64| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let note = Rc::clone(&seen);
        let validation = Validation::every(1, Goal::Min, move |_: &Two| Ok(answer));
        let mut engine = engine.validate(validation).observe(move |event| match event {
            Event::Step { name: "knobs", loss, metrics, gradient_norm, .. } => {
                note.borrow_mut().extend([*loss, *gradient_norm, metrics[0].1]);
            }
            Event::Validation { value, .. } => note.borrow_mut().push(*value),
            _ => {}
        });
        engine.run(2).map(|_| seen.take())
    };
    let whole = watch(engine(View { rank: None, sizes: SIZES }, 0).expect("an engine"), 1.5).expect("a run");
    let ranks = Threads::run(2, |rank| {
        let answer = [1.0, 2.0][rank.rank()];
        watch(engine(of_rank(&rank), 0)?.distributed(rank)?, answer)
    });
    super::problem::assert_exact(&whole, &ranks, 1e-12, "events");
}

#[test]
fn one_rank_ends_the_run_of_all() {
    let found = Threads::run(2, |rank| {
        let is_last = rank.rank() == 1;
        let mut asked = 0;
        let mut engine = engine(of_rank(&rank), 0)?.distributed(rank)?.stop_when(move || {
            asked += 1;
            is_last && asked > 3
        });
        let report = engine.run(10)?;
        Ok::<_, EngineError>((report.iterations, report.interrupted, values(&mut engine)))
    });
    let first = found[0].as_ref().expect("a run");
    assert_eq!((first.0, first.1), (3, true));
    assert!(found.iter().all(|rank| rank.as_ref().ok() == Some(first)));
}

#[test]
fn a_run_that_resumes_goes_on_bit_for_bit() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("run.safetensors");
    let run = |until: u64| {
        Threads::run(2, |rank| {
            let mut engine = engine(of_rank(&rank), 0)?.save_every(1000, &file).distributed(rank)?;
            engine.resume_if_present(&file, StreamPosition::Start)?;
            engine.run_until(until)?;
            Ok::<_, EngineError>(values(&mut engine))
        })
    };
    run(3);
    let resumed = run(7);
    let whole = Threads::run(2, |rank| {
        let mut engine = engine(of_rank(&rank), 0)?.distributed(rank)?;
        engine.run(7)?;
        Ok::<_, EngineError>(values(&mut engine))
    });
    for (resumed, whole) in resumed.iter().zip(&whole) {
        assert_eq!(resumed.as_ref().expect("a run"), whole.as_ref().expect("a run"));
    }
}

/// As when the numbers of a program are changed in the middle, in memory.
#[test]
fn each_rank_can_go_on_from_a_checkpoint_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |rank: usize| directory.path().join(format!("{rank}.safetensors"));
    let found = Threads::run(2, |rank| {
        let of = rank.rank();
        let rank: Rc<dyn Collective> = Rc::new(rank.deadline(Duration::from_secs(20)));
        let data = || TwoData {
            knobs: View { rank: Some(of), sizes: SIZES }.samples(1),
            net: View { rank: Some(of), sizes: SIZES }.samples(2),
        };
        // The lower level is differentiated on the batch of its last step.
        let config = TwoConfig::from_json(r#"{ "net": { "hypergradient": { "method": "cg", "batch": "last" } } }"#)?;
        let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
        let mut engine = Engine::new(problem, data(), config.clone())?.distributed(Rc::clone(&rank))?;
        engine.run(3)?;
        let checkpoint = engine.checkpoint()?;
        checkpoint.save(file(of))?;
        let bits = |engine: &mut Engine<Two>| Ok::<_, EngineError>(engine.gradient("knobs")?.gradient.to_vec()?);
        let expected = bits(&mut engine)?;
        let mut other = Engine::new(engine.into_problem(), data(), config)?.distributed(rank)?;
        other.resume(&checkpoint, StreamPosition::Start)?;
        Ok::<_, EngineError>((expected, bits(&mut other)?))
    });
    for found in found {
        let (expected, resumed) = found.expect("both ranks go on");
        assert_eq!(expected, resumed);
    }
    let [first, second] = [0, 1].map(|rank| std::fs::read(file(rank)).expect("a file"));
    assert!(first == second, "ranks that have the same parameters make the same checkpoint");
}

#[test]
fn messages_are_foretold() {
    for (method, exactly) in [(r#""neumann", "terms": 4"#, true), (r#""dense""#, true), (r#""cg""#, false)] {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": {method} }} }} }}"#);
        let found = Threads::run(2, |rank| {
            let data = TwoData { knobs: of_rank(&rank).samples(1), net: of_rank(&rank).samples(2) };
            let config = TwoConfig::from_json(&json)?;
            let mut engine =
                Engine::new(Two { knobs: Knobs::new(0), net: Net::new(1) }, data, config)?.distributed(rank)?;
            // The first iterations compare shares with what they are shares of.
            engine.run(2)?;
            let foretold = engine.explain()?.total();
            let before = launched();
            engine.run(1)?;
            let after = launched();
            Ok::<_, EngineError>((foretold, after.messages - before.messages, after.sent - before.sent))
        });
        for found in found {
            let (foretold, messages, sent) = found.expect("a run");
            assert!(messages > 0.0 && messages <= foretold.messages && sent <= foretold.sent, "{method}: {foretold:?}");
            assert!(
                !exactly || (messages, sent) == (foretold.messages, foretold.sent),
                "{method}: {messages}, {sent}, {foretold:?}"
            );
        }
    }
}

#[test]
fn another_number_of_ranks_goes_on_from_the_same_parameters() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("run.safetensors");
    let part = |sizes: &'static [&'static [usize]], until: u64| {
        Threads::run(sizes[0].len(), |rank| {
            let view = View { rank: Some(rank.rank()), sizes };
            let mut engine = engine(view, 0)?.save_every(1000, &file).distributed(rank)?;
            engine.resume_if_present(&file, StreamPosition::Start)?;
            let begun = values(&mut engine);
            engine.run_until(until)?;
            Ok::<_, EngineError>((begun, values(&mut engine)))
        })
    };
    let two = part(SIZES, 3);
    // The same batches, divided among more: what follows is what would have followed, but for rounding.
    let three = part(&[&[3, 4, 1], &[1, 3, 2]], 6);
    let whole = part(&[&[8], &[6]], 6);
    let whole_run = Threads::run(2, |rank| {
        let mut engine = engine(of_rank(&rank), 0)?.distributed(rank)?;
        engine.run(6)?;
        Ok::<_, EngineError>(values(&mut engine))
    });
    let (_, ended) = two[0].as_ref().expect("a run");
    for found in &three {
        let (begun, after) = found.as_ref().expect("a run");
        assert_eq!(begun, ended);
        let expected = whole_run[0].as_ref().expect("a run");
        let gap = after.iter().zip(expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-12, "{gap:e}");
    }
    assert_eq!(whole[0].as_ref().expect("a run").0, three[0].as_ref().expect("a run").1);
}

#[test]
fn the_last_iteration_is_saved_whichever_rank_has_an_observer_that_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    for failing in [0, 1] {
        let file = folder.path().join(format!("{failing}.safetensors"));
        let found = Threads::run(2, |rank| {
            let number = rank.rank();
            let engine = engine(of_rank(&rank), 0)?.distributed(rank)?.save_every(1000, &file);
            let mut engine = engine.watch(move |event, _| {
                if matches!(event, Event::Iteration { iteration: 3 }) && number == failing {
                    panic!("the screen is gone");
                }
            });
            let error = engine.run(10).expect_err("an observer has failed");
            Ok::<_, EngineError>((error.to_string(), engine.iterations()))
        });
        for found in found {
            let (error, iterations) = found.expect("an engine");
            assert!(error.contains("the screen is gone"), "{error}");
            assert_eq!(iterations, 3);
        }
        let saved = Checkpoint::find(&file).expect("a checkpoint").expect("one was written");
        assert_eq!(saved.iterations(), 3, "where it failed on rank {failing}");
    }
}

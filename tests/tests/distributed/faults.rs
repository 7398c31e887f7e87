//! One rank fails: all of them get one error, none waits for ever, and none goes on with wrong numbers.

use std::io;
use std::time::{Duration, Instant};

use betty_runtime::distributed::{Collective, CollectiveError, DistributedError, Threads};
use betty_runtime::{Engine, EngineError, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::module::Module;
use burn::tensor::Tensor;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::problem::{Knobs, Net, Samples, View, tensor};

fn choose(_knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
}

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    net.error(batch) + net.penalty() * (knobs.penalty.val().exp() + 1.0)
}

multilevel! {
    struct Two;
    level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: sgd(lr = 0.01) }
    level net: Net { upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: cg }
}

const DEADLINE: Duration = Duration::from_secs(5);

fn engine(rank: Threads, net: Stream<Samples>) -> Result<Engine<Two>, EngineError> {
    let view = View { rank: Some(rank.rank()), sizes: &[&[2, 3, 1]] };
    let data = TwoData { knobs: view.samples(1), net };
    let config = TwoConfig::default();
    Engine::new(Two { knobs: Knobs::new(0), net: Net::new(1) }, data, config)?.distributed(rank.deadline(DEADLINE))
}

/// Batches of which one goes wrong on one rank.
fn spoiled(
    rank: usize,
    faulty: usize,
    at: usize,
    with: impl Fn() -> Option<io::Result<Samples>> + 'static,
) -> Stream<Samples> {
    let mut count = 0;
    Stream::batches(std::iter::from_fn(move || {
        count += 1;
        let values = |shift: usize| (0..6).map(|k| (k + shift + rank + count) as f64 % 3.0 - 1.0).collect::<Vec<_>>();
        match rank == faulty && count == at {
            true => with(),
            false => Some(Ok(Samples { x: tensor([2, 3], values(0)), y: tensor([2, 2], values(1)[..4].to_vec()) })),
        }
    }))
}

/// Runs three ranks, and answers the errors of all.
fn errors(run: impl Fn(Threads) -> Result<(), EngineError> + Sync) -> Vec<EngineError> {
    let begun = Instant::now();
    let found = Threads::run(3, run);
    assert!(begun.elapsed() < 4 * DEADLINE, "it took {:?}", begun.elapsed());
    found.into_iter().map(|found| found.expect_err("one has failed")).collect()
}

#[test]
fn data_that_end_or_fail_on_one_rank_end_the_run_of_all() {
    for at in 1..=20 {
        let faulty = at % 3;
        let found = errors(|rank| {
            let fault = move || match at % 2 {
                0 => None,
                _ => Some(Err(io::Error::other("the disk is gone"))),
            };
            let stream = spoiled(rank.rank(), faulty, at, fault);
            engine(rank, stream)?.run(40).map(drop)
        });
        for error in &found {
            let EngineError::Distributed(DistributedError::OnRank { rank, message }) = error else { panic!("{error}") };
            assert_eq!(*rank, faulty);
            let reasons = if at % 2 == 1 { &["the disk is gone"][..] } else { &["ran out of data", "has no data"] };
            assert!(reasons.iter().any(|reason| message.contains(reason)), "{message}");
            assert_eq!(error.to_string(), found[0].to_string());
        }
    }
}

#[test]
fn what_is_not_finite_on_one_rank_is_so_on_all() {
    for at in 1..=20 {
        let faulty = at % 3;
        let found = errors(|rank| {
            let bad = || Some(Ok(Samples { x: tensor([2, 3], vec![f64::NAN; 6]), y: tensor([2, 2], vec![0.0; 4]) }));
            let stream = spoiled(rank.rank(), faulty, at, bad);
            engine(rank, stream)?.run(40).map(drop)
        });
        for error in &found {
            let EngineError::NonFinite { level, quantity, .. } = error else { panic!("{at}: {error}") };
            assert!(level == "net" && *quantity == "loss", "{error}");
        }
    }
}

/// What a run comes to whose streams fail where these say, each on one rank; the run goes on behind every failure.
fn stubbornly(json: &str, failing: &'static [(usize, &'static str, usize)]) -> Vec<Vec<f64>> {
    let found = Threads::run(3, |rank| {
        let number = rank.rank();
        let stream = |level: &'static str, seed: u64| {
            let mut random = StdRng::seed_from_u64(seed + number as u64);
            let mut next = move || {
                let mut numbers = |count| (0..count).map(|_| random.random_range(-1.0..1.0)).collect();
                Samples { x: tensor([2, 3], numbers(6)), y: tensor([2, 2], numbers(4)) }
            };
            Stream::batches((0..).map(move |index| match failing.contains(&(number, level, index)) {
                true => Err(io::Error::other("the disk is away")),
                false => Ok(next()),
            }))
        };
        let data = TwoData { knobs: stream("knobs", 10), net: stream("net", 20) };
        let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
        let engine = Engine::new(problem, data, TwoConfig::from_json(json)?)?;
        let mut engine = engine.distributed(rank.deadline(DEADLINE))?;
        let mut failures = 0;
        while engine.iterations() < 3 {
            if let Err(error) = engine.run(3 - engine.iterations()) {
                failures += 1;
                assert!(error.to_string().contains("the disk is away") && failures <= failing.len(), "{error}");
            }
        }
        assert_eq!(failures, failing.len());
        let saved = engine.checkpoint()?;
        let taken = ["knobs", "net"].map(|level| saved.batches(level).unwrap_or_default() as f64);
        Ok::<_, EngineError>([engine.problem().knobs.values(), engine.problem().net.values(), taken.to_vec()].concat())
    });
    found.into_iter().map(|found| found.expect("it goes on behind failures")).collect()
}

#[test]
fn no_rank_loses_a_batch_where_another_has_none() {
    for json in [
        "{}",
        r#"{ "knobs": { "accumulate": 2 }, "net": { "hypergradient": { "method": "cg", "batch": "fresh" } } }"#,
        r#"{ "knobs": { "tasks": 2 }, "net": { "start": "initial" } }"#,
        r#"{ "net": { "start": "look_ahead", "hypergradient": { "method": "unrolled" } } }"#,
    ] {
        let whole = stubbornly(json, &[]);
        let cut = stubbornly(json, &[(1, "knobs", 1), (0, "net", 3), (2, "net", 0), (2, "knobs", 2), (1, "net", 5)]);
        assert_eq!(cut, whole, "{json}");
    }
}

#[test]
fn an_engine_that_has_begun_joins_no_ranks() {
    for begun_on in [&[0, 1][..], &[1]] {
        let found = Threads::run(2, |rank| {
            let number = rank.rank();
            let view = View { rank: Some(number), sizes: &[&[2, 3]] };
            let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
            let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
            let mut engine = Engine::new(problem, data, TwoConfig::default())?;
            if begun_on.contains(&number) {
                engine.explain()?;
            }
            engine.distributed(rank.deadline(DEADLINE)).map(drop)
        });
        for found in found {
            let error = found.expect_err("what it has recorded is no share").to_string();
            assert!(error.contains("call `distributed` right after `Engine::new`"), "{error}");
        }
    }
}

/// An engine of two ranks that meet no faults.
fn sound(rank: Threads) -> Result<Engine<Two>, EngineError> {
    let view = View { rank: Some(rank.rank()), sizes: &[&[2, 3]] };
    let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
    let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
    Engine::new(problem, data, TwoConfig::default())?.distributed(rank.deadline(DEADLINE))
}

/// What a rank said when it failed, and what it came to after that: iterations and values.
type Outcome = (String, u64, Vec<f64>);

/// Asserts that both ranks failed with the same words, and then came to the same.
#[track_caller]
fn assert_together(found: Vec<Result<Outcome, EngineError>>, why: &str) {
    let found: Vec<_> = found.into_iter().map(|found| found.unwrap_or_else(|error| panic!("{error}"))).collect();
    for (said, iterations, values) in &found {
        assert!(said.contains(why), "{said}");
        assert_eq!((*iterations, values), (2, &found[0].2));
    }
}

#[test]
fn a_file_that_cannot_be_written_leaves_ranks_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("not there yet");
    let found = Threads::run(2, |rank| {
        let mut engine = sound(rank)?.save_every(1, place.join("run.safetensors"));
        let said = engine.run(2).expect_err("there is no folder").to_string();
        std::fs::create_dir_all(&place).expect("a folder");
        engine.run(2)?;
        Ok((said, engine.iterations(), engine.problem().net.values()))
    });
    assert_together(found, "not there yet");
}

#[test]
fn an_edit_that_failed_on_one_rank_leaves_ranks_together() {
    for what in 0..3 {
        let found = Threads::run(2, |rank| {
            let fails = rank.rank() == 1;
            let mut engine = sound(rank)?;
            let saved = engine.checkpoint()?;
            let net = engine.problem().net.clone();
            if fails {
                let edited = engine.edit(|problem| problem.net = problem.net.clone().no_grad());
                assert!(edited.is_err(), "nothing is left to train");
            }
            let failed = match what {
                0 => engine.run(2).map(drop),
                1 => engine.gradient("knobs").map(drop),
                _ => engine.resume(&saved, StreamPosition::Placed),
            };
            engine.edit(|problem| problem.net = net)?;
            engine.run(2)?;
            let said = failed.expect_err("one rank cannot run").to_string();
            Ok((said, engine.iterations(), engine.problem().net.values()))
        });
        assert_together(found, "edit it again");
    }
}

#[test]
fn a_rank_that_leaves_is_named() {
    for iterations in 1..=20 {
        let faulty = iterations as usize % 3;
        let found = Threads::run(3, |rank| {
            let number = rank.rank();
            let stream = spoiled(number, usize::MAX, 0, || None);
            let mut engine = engine(rank, stream)?;
            engine.run(if number == faulty { iterations } else { 40 }).map(drop)
        });
        let lost = |error: &EngineError| match error {
            EngineError::Distributed(DistributedError::OutOfStep { .. }) => true,
            EngineError::Distributed(DistributedError::Collective(CollectiveError::Lost { lost, .. })) => {
                *lost == faulty
            }
            _ => false,
        };
        assert!(found.iter().all(|found| found.as_ref().is_err_and(lost)), "{found:?}");
    }
}

#[test]
fn a_rank_that_stalls_is_waited_for_until_the_deadline() {
    let late = Duration::from_millis(200);
    let found = Threads::run(2, |rank| {
        let number = rank.rank();
        let view = View { rank: Some(number), sizes: &[&[2, 3]] };
        let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
        let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
        let mut engine = Engine::new(problem, data, TwoConfig::default())?.distributed(rank.deadline(late))?;
        engine.run(1)?;
        if number == 1 {
            std::thread::sleep(5 * late);
        }
        engine.run(1).map(drop)
    });
    let Err(EngineError::Distributed(DistributedError::Collective(error))) = &found[0] else { panic!("{found:?}") };
    assert_eq!(*error, CollectiveError::TimedOut { rank: 0, waited: late, missing: vec![1] });
    assert!(found[1].is_err());
}

#[test]
fn ranks_that_ask_different_things_are_told_so() {
    let found = Threads::run(2, |rank| {
        let number = rank.rank();
        let view = View { rank: Some(number), sizes: &[&[2, 3]] };
        let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
        let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
        let mut engine = Engine::new(problem, data, TwoConfig::default())?.distributed(rank.deadline(DEADLINE))?;
        let first = match number {
            0 => engine.gradient("net").map(drop),
            _ => engine.run(1).map(drop),
        };
        // Nothing was sent, so nothing is lost.
        engine.run(2)?;
        Ok::<_, EngineError>((first, engine.problem().net.values()))
    });
    let values: Vec<Vec<f64>> = found
        .into_iter()
        .map(|found| {
            let (first, values) = found.expect("it goes on");
            let Err(EngineError::Distributed(DistributedError::OutOfStep { rank: 1, theirs, ours })) = first else {
                panic!("{first:?}")
            };
            assert_eq!(theirs, "a run (iteration 0, seed 0, replicated [])");
            assert_eq!(ours, "a gradient of `net` (iteration 0, seed 0, replicated [])");
            values
        })
        .collect();
    assert_eq!(values[0], values[1]);
}

#[test]
fn gradients_of_different_levels_are_not_summed() {
    let found = Threads::run(2, |rank| {
        let number = rank.rank();
        let view = View { rank: Some(number), sizes: &[&[2, 3]] };
        let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
        let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
        let mut engine = Engine::new(problem, data, TwoConfig::default())?.distributed(rank.deadline(DEADLINE))?;
        let first = engine.gradient(["net", "knobs"][number]).map(drop);
        let second = match number {
            0 => engine.gradient("knobs").map(drop),
            _ => engine.verify_hypergradient("knobs").map(drop),
        };
        Ok::<_, EngineError>([first, second])
    });
    let of_ranks = ["gradient of `net`", "gradient of `knobs`", "verification of the hypergradient of `knobs`"];
    for found in found.into_iter().flat_map(|found| found.expect("an engine")).enumerate() {
        let (asked, Err(EngineError::Distributed(DistributedError::OutOfStep { rank: 1, theirs, ours }))) = found
        else {
            panic!("{found:?}")
        };
        let (of, other) = (of_ranks[asked % 2], of_ranks[asked % 2 + 1]);
        assert!(
            ours.starts_with(&format!("a {of} (")) && theirs.starts_with(&format!("a {other} (")),
            "{ours}, {theirs}"
        );
    }
}

#[test]
fn parameters_that_went_apart_are_found() {
    // In a long run every so often, and at the end of a short one.
    parameters_that_went_apart_are_found_within(200);
    parameters_that_went_apart_are_found_within(2);
}

fn parameters_that_went_apart_are_found_within(iterations: u64) {
    let found = Threads::run(2, |rank| {
        let number = rank.rank();
        let view = View { rank: Some(number), sizes: &[&[1, 1]] };
        let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
        let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
        let config = TwoConfig::default();
        let mut engine = Engine::new(problem, data, config)?.distributed(rank.deadline(DEADLINE))?;
        engine.run(1)?;
        engine.edit(|problem| {
            if number == 1 {
                problem.net = Net::new(3);
            }
        })?;
        engine.run(iterations).map(drop)
    });
    let differs = DistributedError::Differs { what: "parameters", rank: 1 };
    assert!(
        found.iter().all(|found| matches!(found, Err(EngineError::Distributed(error)) if *error == differs)),
        "{found:?}"
    );
}

/// The same levels, written in another order.
mod reordered {
    use super::*;

    multilevel! {
        pub(super) struct Two;
        level net: Net { upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: cg }
        level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: sgd(lr = 0.01) }
    }
}

#[test]
fn ranks_whose_levels_are_in_another_order_sum_nothing() {
    for (ranks, other) in [(2, 0), (2, 1), (3, 1)] {
        let begun = Instant::now();
        let found = Threads::run(ranks, |rank| {
            let number = rank.rank();
            let view = View { rank: Some(number), sizes: &[&[2, 3, 1]] };
            let (knobs, net) = (Knobs::new(0), Net::new(1));
            let rank = rank.deadline(DEADLINE);
            if number == other {
                let data = reordered::TwoData { knobs: view.samples(1), net: view.samples(2) };
                let config = reordered::TwoConfig::default();
                let engine = Engine::new(reordered::Two { knobs, net }, data, config)?;
                return engine.distributed(rank)?.run(2).map(drop);
            }
            let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
            Engine::new(Two { knobs, net }, data, TwoConfig::default())?.distributed(rank)?.run(2).map(drop)
        });
        let is_told = |found: &Result<(), EngineError>| {
            matches!(found, Err(EngineError::Distributed(error)) if !matches!(
                error, DistributedError::Collective(CollectiveError::TimedOut { .. })
            ))
        };
        assert!(found.iter().all(is_told) && begun.elapsed() < DEADLINE, "{found:?}");
    }
}

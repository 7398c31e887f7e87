//! One rank fails: all of them get one error, none waits for ever, and none goes on with wrong numbers.

use std::io;
use std::time::{Duration, Instant};

use betty_runtime::distributed::{Collective, CollectiveError, DistributedError, Threads};
use betty_runtime::{Engine, EngineError, Stream, multilevel};
use burn::tensor::Tensor;

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
            assert_eq!(ours, "a question (iteration 0, seed 0, replicated [])");
            values
        })
        .collect();
    assert_eq!(values[0], values[1]);
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

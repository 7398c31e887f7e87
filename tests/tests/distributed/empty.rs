//! Shares without examples: an error on all ranks, once.

use std::io;

use betty_runtime::distributed::{Collective, Threads};
use betty_runtime::{Engine, EngineError, ShardError, Stream, StreamPosition, multilevel};
use burn::tensor::Tensor;

use super::problem::{Knobs, Net, Samples, tensor};

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

/// Batches of two examples, and of none where these say.
fn stream(rank: usize, seed: usize, empty: &'static [usize]) -> Stream<Samples> {
    Stream::batches((0..).map(move |index: usize| {
        let rows = if rank == 1 && empty.contains(&index) { 0 } else { 2 };
        let values = |shift: usize| (0..).map(move |k| ((7 * k + 3 * index + shift + seed) % 11) as f64 / 5.0 - 1.0);
        Ok::<_, io::Error>(Samples {
            x: tensor([rows, 3], values(rank).take(3 * rows).collect()),
            y: tensor([rows, 2], values(5 + rank).take(2 * rows).collect()),
        })
    }))
}

fn engine(rank: Threads, of_knobs: &'static [usize], of_net: &'static [usize]) -> Result<Engine<Two>, EngineError> {
    let number = rank.rank();
    let data = TwoData { knobs: stream(number, 1, of_knobs), net: stream(number, 2, of_net) };
    Engine::new(Two { knobs: Knobs::new(0), net: Net::new(1) }, data, TwoConfig::default())?.distributed(rank)
}

#[test]
fn a_run_goes_on_behind_a_share_without_examples() {
    let found = Threads::run(2, |rank| {
        let mut engine = engine(rank, &[2], &[0, 5])?;
        let mut errors = Vec::new();
        while engine.iterations() < 6 {
            if let Err(error) = engine.run(6 - engine.iterations()) {
                errors.push(error);
                assert!(errors.len() <= 3, "it fails again and again: {errors:?}");
            }
        }
        Ok::<_, EngineError>((errors, engine.problem().knobs.values(), engine.problem().net.values()))
    });
    let found: Vec<_> = found.into_iter().map(|found| found.expect("it goes on")).collect();
    for (errors, knobs, net) in &found {
        let levels: Vec<&str> = errors
            .iter()
            .map(|error| match error {
                EngineError::Shard(ShardError::NoExamples { level, rank: 1 }) => level.as_str(),
                _ => panic!("{error}"),
            })
            .collect();
        assert_eq!(levels, ["net", "net", "knobs"]);
        assert_eq!((knobs, net), (&found[0].1, &found[0].2));
    }
}

#[test]
fn one_that_resumes_goes_past_it() {
    let found = Threads::run(2, |rank| {
        let rank = std::rc::Rc::new(rank);
        let number = rank.rank();
        let with = |rank: &std::rc::Rc<Threads>| {
            let data = TwoData { knobs: stream(number, 1, &[]), net: stream(number, 2, &[3]) };
            let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
            Engine::new(problem, data, TwoConfig::default())?.distributed(std::rc::Rc::clone(rank))
        };
        let mut first = with(&rank)?;
        first.run(3).expect_err("a share is empty");
        first.run(2)?;
        let saved = first.checkpoint()?;
        first.run(2)?;
        let mut second = with(&rank)?;
        second.resume(&saved, StreamPosition::Start)?;
        second.run(2)?;
        let values =
            |engine: &mut Engine<Two>| [engine.problem().knobs.values(), engine.problem().net.values()].concat();
        Ok::<_, EngineError>((values(&mut first), values(&mut second)))
    });
    for found in found {
        let (first, second) = found.expect("it resumes");
        assert_eq!(first, second);
    }
}

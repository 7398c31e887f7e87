//! Whole tasks divided among ranks: each takes some of every step with all their examples.

use std::io;
use std::time::Duration;

use betty_runtime::distributed::{Collective, Split, Threads};
use betty_runtime::execute::launched;
use betty_runtime::{
    BatchStream, Engine, EngineError, Measured, ProgramConfig, ShardError, StepsError, Stream, StreamPosition,
    multilevel,
};
use burn::nn::{Dropout, DropoutConfig};

use super::problem::{Net, Outcome, Samples, View, assert_exact};

/// Half of the inputs are dropped, the same ones wherever a batch is seen.
fn support(adapted: &Net, meta: &Net, batch: Samples) -> Measured {
    let dropout: Dropout = DropoutConfig::new(0.5).init();
    let far = (adapted.first.val() - meta.first.val()).powi_scalar(2).sum();
    let scale = batch.x.clone().powi_scalar(2).mean();
    let error = adapted.error(Samples { x: dropout.forward(batch.x), y: batch.y });
    Measured::new(error + adapted.penalty() * 0.01 + far).with("scale", scale)
}

fn query(_meta: &Net, adapted: &Net, batch: Samples) -> Measured {
    let scale = batch.y.clone().powi_scalar(2).mean();
    Measured::new(adapted.error(batch)).with("scale", scale)
}

multilevel! {
    struct Meta;
    level meta: Net { lower: [adapted], batch: Samples, loss: query, optimizer: adam(lr = 0.01), tasks: 5 }
    level adapted: Net {
        upper: [meta], start: from(meta), batch: Samples, loss: support, optimizer: sgd(lr = 0.1, momentum = 0.5),
        unroll: 3, hypergradient: unrolled,
    }
}

/// All rows of every batch, for every rank.
pub(crate) const ALL: View = View { rank: None, sizes: &[&[4]] };
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

fn meta(json: &str) -> Result<Engine<Meta>, EngineError> {
    let data = MetaData { meta: ALL.samples(1), adapted: ALL.samples(2) };
    let problem = Meta { meta: Net::new(0), adapted: Net::new(1) };
    Engine::new(problem, data, MetaConfig::from_json(json)?)?.split(Split::Tasks)
}

fn values(engine: &mut Engine<Meta>) -> Vec<f64> {
    [engine.problem().meta.values(), engine.problem().adapted.values()].concat()
}

/// Losses and metrics of the last step of each level, how many steps there were, and all parameters.
fn run(engine: &mut Engine<Meta>) -> Outcome {
    let report = engine.run(3)?;
    let mut found = values(engine);
    for level in report.levels {
        found.extend(level.loss.iter().chain(level.metrics.iter().map(|(_, value)| value)));
        found.push(level.steps as f64);
    }
    let saved = engine.checkpoint()?;
    found.extend(["meta", "adapted"].map(|level| saved.batches(level).unwrap_or_default() as f64));
    Ok(found)
}

#[test]
fn whole_tasks_come_to_what_one_process_does_with_all_of_them() {
    let options = [
        "{}",
        r#"{ "meta": { "vectorize": true } }"#,
        r#"{ "meta": { "tasks": 3, "vectorize": true, "clip": { "norm": 0.01 } } }"#,
        r#"{ "meta": { "tasks": 3, "accumulate": 2 } }"#,
        r#"{ "meta": { "tasks": 4 }, "adapted": { "accumulate": 2, "optimizer": { "name": "adam", "lr": 0.05 } } }"#,
        r#"{ "adapted": { "hypergradient": { "method": "minres", "batch": "fresh" } } }"#,
        r#"{ "adapted": { "hypergradient": { "method": "minres" } } }"#,
        r#"{ "adapted": { "hypergradient": { "method": "forward_gradient", "directions": 2 } } }"#,
        r#"{ "meta": { "warmup": 1 }, "adapted": { "schedule": { "name": "cosine", "steps": 20 } } }"#,
        r#"{ "meta": { "warmup": 1, "vectorize": true }, "adapted": { "schedule": { "name": "cosine", "steps": 20 } } }"#,
        r#"{ "meta": { "rounds": 2 } }"#,
        r#"{ "meta": { "rounds": 3, "tasks": 3 }, "adapted": { "schedule": { "name": "cosine", "steps": 90 } } }"#,
        r#"{ "meta": { "rounds": 2 }, "adapted": { "hypergradient": { "method": "forward" } } }"#,
        r#"{ "meta": { "rounds": 2 }, "adapted": { "hypergradient": { "method": "forward_gradient", "directions": 2 } } }"#,
        r#"{ "meta": { "rounds": 2 }, "adapted": { "hypergradient": { "method": "evolution", "pairs": 2 } } }"#,
    ];
    for json in options {
        let whole =
            meta(json).and_then(|mut engine| run(&mut engine)).unwrap_or_else(|error| panic!("{json}: {error}"));
        for size in [2, 3] {
            let ranks = Threads::run(size, |rank| run(&mut meta(json)?.distributed(rank.deadline(DEADLINE))?));
            assert_exact(&whole, &ranks, 1e-12, &format!("{json} on {size}"));
        }
    }
}

#[test]
fn ranks_exchange_one_gradient_and_where_the_last_task_stands() {
    for (json, steps) in [("{}", 9.0), (r#"{ "meta": { "vectorize": true } }"#, 0.0)] {
        let found = Threads::run(2, |rank| {
            let mut engine = meta(json)?.distributed(rank.deadline(DEADLINE))?;
            engine.run(1)?;
            let explained = engine.explain()?;
            let before = launched();
            engine.run(2)?;
            let after = launched();
            let exchanged = (after.messages - before.messages, after.sent - before.sent);
            Ok::<_, EngineError>((explained, exchanged))
        });
        let parameters = Net::new(0).values().len() as f64;
        for found in found {
            let (explained, exchanged) = found.expect("a run");
            // The gradient; then parameters and momentum.
            let bytes = 8.0 * 3.0 * parameters;
            assert_eq!(exchanged, (4.0, 2.0 * bytes), "{json}");
            let total = explained.total();
            assert_eq!((total.messages, total.sent), (2.0, bytes), "{json}");
            // Three of five tasks are the most that a rank takes.
            let taken = if explained.levels[1].within.is_some() { 0.0 } else { explained.levels[1].steps as f64 };
            assert!((taken - steps).abs() < f64::EPSILON, "{json}: {taken}");
        }
    }
}

#[test]
fn a_rank_computes_its_own_tasks_only() {
    let json = r#"{ "meta": { "tasks": 8 } }"#;
    let work = |engine: &mut Engine<Meta>| {
        engine.run(1)?;
        let before = launched();
        engine.run(2)?;
        Ok::<_, EngineError>(launched().operations - before.operations)
    };
    let whole = work(&mut meta(json).expect("an engine")).expect("a run");
    for found in Threads::run(4, |rank| work(&mut meta(json)?.distributed(rank.deadline(DEADLINE))?)) {
        let found = found.expect("a run");
        assert!(found < 0.3 * whole, "{found} operations where one process takes {whole}");
    }
}

#[test]
fn a_checkpoint_goes_on_with_any_number_of_ranks() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.safetensors");
    let train = |engine: Result<Engine<Meta>, EngineError>, until: u64| {
        let mut engine = engine?;
        engine.resume_if_present(&file, StreamPosition::Start)?;
        engine.run_until(until)?;
        Ok(values(&mut engine))
    };
    let whole: Outcome = meta("{}").and_then(|mut engine| {
        engine.run(4)?;
        Ok(values(&mut engine))
    });
    let saved = Threads::run(2, |rank| {
        let mut engine = meta("{}")?.distributed(rank.deadline(DEADLINE))?.save_every(1, &file);
        engine.run(2).map(drop)
    });
    assert!(saved.iter().all(Result::is_ok), "{saved:?}");
    let ranks = Threads::run(3, |rank| train(meta("{}")?.distributed(rank.deadline(DEADLINE)), 4));
    assert_exact(&whole.expect("a run"), &ranks, 1e-12, "resumed on three");
    let _: Outcome = train(meta("{}"), 4);
}

/// A run whose streams fail where these say, or whose numbers are none, each on one rank; it goes on behind every failure.
fn stubbornly(json: &str, failing: &'static [(usize, &'static str, usize)], spoiled: bool) -> Vec<Outcome> {
    Threads::run(2, |rank| {
        let number = rank.rank();
        let stream = |level: &'static str, seed: u64| {
            let mut batches = ALL.samples(seed);
            let mut index = 0;
            Stream::batches(std::iter::from_fn(move || {
                let fails = failing.contains(&(number, level, index));
                index += 1;
                match (fails, spoiled) {
                    (true, false) => Some(Err(io::Error::other("the disk is away"))),
                    (fails, _) => {
                        let batch = batches.next_batch().ok()??;
                        let batch = batch.downcast::<Samples>().cloned()?;
                        let x = if fails { batch.x * f64::NAN } else { batch.x };
                        Some(Ok(Samples { x, y: batch.y }))
                    }
                }
            }))
        };
        let data = MetaData { meta: stream("meta", 1), adapted: stream("adapted", 2) };
        let problem = Meta { meta: Net::new(0), adapted: Net::new(1) };
        let engine = Engine::new(problem, data, MetaConfig::from_json(json)?)?.split(Split::Tasks)?;
        let mut engine = engine.distributed(rank.deadline(DEADLINE))?;
        let mut failures = 0;
        while engine.iterations() < 3 {
            if let Err(error) = engine.run(3 - engine.iterations()) {
                failures += 1;
                assert!(failures <= failing.len(), "{error}");
            }
        }
        assert_eq!(failures, failing.len());
        let saved = engine.checkpoint()?;
        let taken = ["meta", "adapted"].map(|level| saved.batches(level).unwrap_or_default() as f64);
        Ok([values(&mut engine), taken.to_vec()].concat())
    })
}

#[test]
fn what_fails_on_one_rank_fails_on_all_and_leaves_them_together() {
    for json in ["{}", r#"{ "meta": { "vectorize": true } }"#] {
        let whole = stubbornly(json, &[], false);
        let whole = whole[0].as_ref().expect("a run");
        let failing = &[(1, "adapted", 4), (0, "meta", 7), (1, "meta", 11), (0, "adapted", 20)];
        assert_exact(whole, &stubbornly(json, failing, false), 0.0, &format!("{json}, without a batch"));
        // What cannot be computed is used up by all: rank 0 takes the third task, rank 1 the fourth.
        for failing in [&[(0, "adapted", 7)][..], &[(1, "adapted", 11)], &[(1, "meta", 3)]] {
            let ranks = stubbornly(json, failing, true);
            let found = ranks[0].as_ref().unwrap_or_else(|error| panic!("{json}, {failing:?}: {error}"));
            assert_exact(found, &ranks, 0.0, &format!("{json}, spoiled"));
            let (taken, expected) = (&found[found.len() - 2..], [20.0, 60.0]);
            assert_eq!(taken, expected, "{json}, {failing:?}");
        }
    }
}

#[test]
fn what_cannot_be_split_so_is_refused() {
    let refused = |json: &str, reason: &str| {
        let error = meta(json).err().unwrap_or_else(|| panic!("{json} is taken"));
        assert!(matches!(error, EngineError::Shard(ShardError::NotSplit { split: "tasks", .. })), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    refused(r#"{ "meta": { "tasks": 1 } }"#, "has one task");
    refused(r#"{ "adapted": { "start": "kept" } }"#, "goes on from one task to the next");
    refused(r#"{ "adapted": { "hypergradient": { "method": "cg", "warm_start": true } } }"#, "`warm_start`");
    let found = Threads::run(6, |rank| meta("{}")?.distributed(rank.deadline(DEADLINE)).map(drop));
    for found in found {
        let error = found.expect_err("more ranks than tasks").to_string();
        assert!(error.contains("5 tasks in each step for 6 ranks"), "{error}");
    }
    // No rank keeps the steps that all would look back on.
    let found = Threads::run(2, |rank| {
        let mut engine = meta("{}")?.distributed(rank.deadline(DEADLINE))?;
        engine.run(1)?;
        engine.gradient("meta").map(drop)
    });
    for found in found {
        assert!(matches!(&found, Err(EngineError::Steps(StepsError::OfTasks { .. }))), "{found:?}");
    }
}

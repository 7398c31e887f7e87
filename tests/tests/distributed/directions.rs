//! Directions divided among ranks: each follows some, and tells the others one number for each.

use betty_runtime::distributed::{Collective, DistributedError, SingleProcess, Split, Threads};
use betty_runtime::execute::launched;
use betty_runtime::{Engine, EngineError, ProgramConfig, ShardError, multilevel};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;

use super::problem::{Knobs, Net, Outcome, Samples, View, assert_exact};

/// Half of the inputs are dropped, the same ones wherever a batch is seen.
fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let dropout: Dropout = DropoutConfig::new(0.5).init();
    let moved = Samples { x: dropout.forward(batch.x) + knobs.shift.val().unsqueeze(), y: batch.y };
    net.error(moved) + net.penalty() * (knobs.penalty.val().exp() + 1.0)
}

fn choose(_knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
}

fn tune(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
        + (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum()
        + (knobs.penalty.val() - top.penalty.val()).powi_scalar(2).sum()
}

fn judge(top: &Knobs, knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + (knobs.shift.val() * top.shift.val()).sum()
}

multilevel! {
    struct Two;
    level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: adam(lr = 0.01) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 3,
        hypergradient: forward_gradient(directions = 5),
    }
}

multilevel! {
    struct Three;
    level top: Knobs { lower: [mid, net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.01) }
    level mid: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: tune, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: forward_gradient(directions = 3),
    }
    level net: Net {
        upper: [mid], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 3, hypergradient: cg,
    }
}

/// All rows of every batch, for every rank.
const ALL: View = View { rank: None, sizes: &[&[6], &[4]] };

fn two(json: &str) -> Result<Engine<Two>, EngineError> {
    let data = TwoData { knobs: ALL.samples(1), net: ALL.samples(2) };
    Engine::new(Two { knobs: Knobs::new(0), net: Net::new(1) }, data, TwoConfig::from_json(json)?)?
        .split(Split::Directions)
}

fn run(engine: &mut Engine<Two>) -> Outcome {
    let report = engine.run(4)?;
    let losses = report.levels.iter().map(|level| level.loss.unwrap_or(f64::NAN)).collect();
    let found = engine.gradient("knobs")?;
    let gradient = found.gradient.to_vec()?;
    Ok([losses, gradient, engine.problem().knobs.values(), engine.problem().net.values()].concat())
}

#[test]
fn ranks_that_follow_some_directions_each_come_to_what_one_process_does() {
    let methods = [
        (r#""method": "forward_gradient", "directions": 5"#, 1e-12),
        (r#""method": "forward_gradient", "directions": 20"#, 1e-12),
        // Some ranks follow none.
        (r#""method": "forward_gradient", "directions": 2"#, 1e-12),
        (r#""method": "forward""#, 1e-12),
        // The difference of two losses leaves fewer digits.
        (r#""method": "evolution", "pairs": 7"#, 1e-10),
    ];
    for (method, tolerance) in methods {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ {method} }} }} }}"#);
        let whole = two(&json).and_then(|mut engine| run(&mut engine)).expect("a run");
        for size in [2, 3] {
            let ranks = Threads::run(size, |rank| run(&mut two(&json)?.distributed(rank)?));
            assert_exact(&whole, &ranks, tolerance, &format!("{method} on {size}"));
        }
    }
}

#[test]
fn tangents_that_go_through_levels_below_are_divided_as_well() {
    for net in ["cg", "unrolled", "forward_gradient"] {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{net}" }} }} }}"#);
        let prepare = || {
            let data = ThreeData { top: ALL.samples(1), mid: ALL.samples(2), net: ALL.samples(3) };
            let problem = Three { top: Knobs::new(0), mid: Knobs::new(1), net: Net::new(2) };
            Engine::new(problem, data, ThreeConfig::from_json(&json)?)?.split(Split::Directions)
        };
        let run = |engine: &mut Engine<Three>| {
            engine.run(2)?;
            let Three { top, mid, net } = engine.problem();
            Ok([top.values(), mid.values(), net.values()].concat())
        };
        let whole: Outcome = prepare().and_then(|mut engine| run(&mut engine));
        let ranks = Threads::run(2, |rank| run(&mut prepare()?.distributed(rank)?));
        match whole {
            Ok(whole) => assert_exact(&whole, &ranks, 1e-11, net),
            Err(error) => assert!(
                net == "forward_gradient"
                    && ranks.iter().all(|of| of.as_ref().is_err_and(|of| of.to_string() == error.to_string())),
                "{net}: {error} is not {ranks:?}"
            ),
        }
    }
}

#[test]
fn only_numbers_are_exchanged_and_that_is_foretold() {
    for (method, numbers) in [("forward_gradient", 5.0), ("evolution", 7.0), ("forward", 4.0)] {
        let options = match method {
            "forward_gradient" => r#", "directions": 5"#,
            "evolution" => r#", "pairs": 7"#,
            _ => "",
        };
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}"{options} }} }} }}"#);
        let found = Threads::run(2, |rank| {
            let mut engine = two(&json)?.distributed(rank)?;
            engine.run(1)?;
            let foretold = engine.explain()?.total();
            let before = launched();
            engine.run(3)?;
            let after = launched();
            Ok::<_, EngineError>((foretold, (after.messages - before.messages, after.sent - before.sent)))
        });
        for found in found {
            let (foretold, exchanged) = found.expect("a run");
            assert_eq!((foretold.messages, foretold.sent), (1.0, 8.0 * numbers), "{method}");
            assert_eq!(exchanged, (3.0, 24.0 * numbers), "{method}");
        }
    }
}

#[test]
fn a_tangent_is_followed_by_one_rank_only() {
    let json = r#"{ "net": { "hypergradient": { "method": "forward_gradient", "directions": 16 } } }"#;
    let work = |engine: &mut Engine<Two>| {
        engine.run(1)?;
        let before = launched();
        engine.run(2)?;
        Ok::<_, EngineError>(launched().operations - before.operations)
    };
    let whole = work(&mut two(json).expect("an engine")).expect("a run");
    let ranks = Threads::run(4, |rank| work(&mut two(json)?.distributed(rank)?));
    for found in ranks {
        let found = found.expect("a run");
        assert!(found < 0.6 * whole, "{found} operations where one process takes {whole}");
    }
}

#[test]
fn what_cannot_be_split_so_is_refused_by_all() {
    // Nothing to divide.
    let refused = two(r#"{ "net": { "hypergradient": { "method": "cg" } } }"#).err().expect("no directions");
    assert!(matches!(refused, EngineError::Shard(ShardError::NotSplit { split: "directions", .. })), "{refused}");
    // Other batches on each rank.
    let found = Threads::run(2, |rank| {
        let own = View { rank: Some(rank.rank()), sizes: &[&[3, 3]] };
        let data = TwoData { knobs: ALL.samples(1), net: own.samples(2) };
        let problem = Two { knobs: Knobs::new(0), net: Net::new(1) };
        let engine = Engine::new(problem, data, TwoConfig::default())?.distributed(rank)?;
        engine.split(Split::Directions)?.run(1).map(drop)
    });
    for found in found {
        let Err(EngineError::Shard(ShardError::NotReplicated { level, rank: 1 })) = &found else { panic!("{found:?}") };
        assert_eq!(level, "net");
    }
    // One rank splits the work in another way.
    let found = Threads::run(2, |rank| {
        let split = if rank.rank() == 0 { Split::Directions } else { Split::Examples };
        two("{}")?.split(split)?.distributed(rank)?.run(1).map(drop)
    });
    for found in found {
        assert!(matches!(&found, Err(EngineError::Distributed(DistributedError::OutOfStep { .. }))), "{found:?}");
    }
    // Too late.
    let mut engine = two("{}").expect("an engine").distributed(SingleProcess).expect("nobody to differ from");
    engine.run(1).expect("a run");
    assert!(matches!(engine.split(Split::Examples), Err(EngineError::Distributed(DistributedError::Late))));
}

#[test]
fn an_edit_leaves_directions_divided() {
    let found = Threads::run(2, |rank| {
        let mut engine = two("{}")?.distributed(rank)?;
        engine.run(1)?;
        engine.edit(|two| two.knobs = Knobs::new(7))?;
        engine.run(1)?;
        let before = launched().messages;
        engine.run(1)?;
        Ok::<_, EngineError>((launched().messages - before, engine.problem().knobs.values()))
    });
    let mut alone = two("{}").expect("an engine");
    alone.run(1).expect("a run");
    alone.edit(|two| two.knobs = Knobs::new(7)).expect("an edit");
    alone.run(2).expect("a run");
    let whole = alone.problem().knobs.values();
    let ranks: Vec<Outcome> = found
        .into_iter()
        .map(|found| {
            let (messages, values) = found?;
            assert!((messages - 1.0).abs() < f64::EPSILON, "{messages}");
            Ok(values)
        })
        .collect();
    assert_exact(&whole, &ranks, 1e-12, "an edit");
}

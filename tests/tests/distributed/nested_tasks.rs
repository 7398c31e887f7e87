//! Whole tasks divided among ranks, of several levels below each other.

use betty_runtime::distributed::{Split, Threads};
use betty_runtime::{Engine, ProgramConfig, multilevel};
use burn::tensor::Tensor;

use super::problem::{Knobs, Net, Outcome, Samples, assert_exact};
use super::tasks::{ALL, DEADLINE};

fn tune(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum()
}

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let moved = Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y };
    net.error(moved) + net.penalty() * (knobs.penalty.val().exp() + 1.0)
}

fn judge(_top: &Knobs, knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.shift.val().powi_scalar(2).sum()
}

multilevel! {
    struct Deep;
    level top: Knobs { lower: [mid, net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.05), tasks: 3 }
    level mid: Knobs {
        upper: [top], lower: [net], start: initial, batch: Samples, loss: tune, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: minres,
    }
    level net: Net {
        upper: [mid], start: initial, batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: minres,
    }
}

fn tune_other(other: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) * 0.5 + (other.shift.val() + top.shift.val()).powi_scalar(2).sum()
}

fn judge_both(_top: &Knobs, mid: &Knobs, other: &Knobs, batch: Samples) -> Tensor<1> {
    (mid.shift.val() * other.shift.val() - batch.y.mean()).powi_scalar(2).sum()
}

multilevel! {
    /// Two levels of a task wait for the same one: what it has done for the one, the other goes on from.
    struct Shared;
    level top: Knobs { lower: [mid, other], batch: Samples, loss: judge_both, optimizer: sgd(lr = 0.05), tasks: 3 }
    level mid: Knobs {
        upper: [top], lower: [net], start: initial, batch: Samples, loss: tune, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: minres,
    }
    level other: Knobs {
        upper: [top], lower: [net], start: initial, batch: Samples, loss: tune_other, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: minres,
    }
    level net: Net {
        upper: [mid], start: initial, batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 2,
        hypergradient: minres,
    }
}

#[test]
fn levels_below_each_other_are_part_of_a_task() {
    let prepare = |json: &str| {
        let data = DeepData { top: ALL.samples(1), mid: ALL.samples(2), net: ALL.samples(3) };
        let problem = Deep { top: Knobs::new(0), mid: Knobs::new(1), net: Net::new(2) };
        Engine::new(problem, data, DeepConfig::from_json(json)?)?.split(Split::Tasks)
    };
    // Of steps that ranks have taken one by one there is none to look back on.
    for (json, is_solved) in [
        ("{}", true),
        (r#"{ "net": { "hypergradient": { "method": "unrolled" } } }"#, false),
        (r#"{ "top": { "rounds": 2 }, "net": { "hypergradient": { "method": "unrolled" } } }"#, false),
    ] {
        let run = |engine: &mut Engine<Deep>| {
            let report = engine.run(2)?;
            // Where levels are solved, questions see the last of all tasks.
            let gradient = if is_solved { engine.gradient("top")?.gradient.to_vec()? } else { Vec::new() };
            let saved = engine.checkpoint()?;
            let counted = report.levels.iter().flat_map(|level| [Some(level.steps), saved.batches(level.name)]);
            let counted = counted.flatten().map(|count| count as f64).collect();
            let Deep { top, mid, net } = engine.problem();
            Ok([gradient, counted, top.values(), mid.values(), net.values()].concat())
        };
        let whole: Outcome = prepare(json).and_then(|mut engine| run(&mut engine));
        let whole = whole.unwrap_or_else(|error| panic!("{json}: {error}"));
        for size in [2, 3] {
            let ranks = Threads::run(size, |rank| run(&mut prepare(json)?.distributed(rank.deadline(DEADLINE))?));
            assert_exact(&whole, &ranks, 1e-11, &format!("{json} on {size}"));
        }
    }
}

#[test]
fn no_task_goes_on_from_what_was_done_in_another() {
    let prepare = |json: &str| {
        let data = SharedData { top: ALL.samples(1), mid: ALL.samples(2), other: ALL.samples(3), net: ALL.samples(4) };
        let problem = Shared { top: Knobs::new(0), mid: Knobs::new(1), other: Knobs::new(2), net: Net::new(3) };
        Engine::new(problem, data, SharedConfig::from_json(json)?)?.split(Split::Tasks)
    };
    for json in ["{}", r#"{ "net": { "hypergradient": { "method": "unrolled" } } }"#] {
        let run = |engine: &mut Engine<Shared>| {
            engine.run(2)?;
            let saved = engine.checkpoint()?;
            let taken = saved.batches("net").unwrap_or_default() as f64;
            let Shared { top, mid, other, net } = engine.problem();
            Ok([vec![taken], top.values(), mid.values(), other.values(), net.values()].concat())
        };
        let whole: Outcome = prepare(json).and_then(|mut engine| run(&mut engine));
        let whole = whole.unwrap_or_else(|error| panic!("{json}: {error}"));
        for size in [2, 3] {
            let ranks = Threads::run(size, |rank| run(&mut prepare(json)?.distributed(rank.deadline(DEADLINE))?));
            assert_exact(&whole, &ranks, 1e-11, &format!("{json} on {size}"));
        }
    }
}

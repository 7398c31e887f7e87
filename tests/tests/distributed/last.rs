//! Hypergradients that ranks find each on its own examples, and put together at the end: the mean of what each has alone.

use betty_runtime::distributed::{Collective, SingleProcess, Split, Threads, sum};
use betty_runtime::execute::launched;
use betty_runtime::{Engine, EngineError, Measured, ProgramConfig, ShardError, multilevel};
use burn::tensor::Tensor;

use super::problem::{Knobs, Net, Outcome, Samples, View, assert_exact};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let moved = Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y };
    net.error(moved) + net.penalty() * (knobs.penalty.val().exp() + 1.0)
}

fn choose(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.shift.val().powi_scalar(2).sum()
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
    level knobs: Knobs { lower: [net], batch: Samples, loss: choose, optimizer: sgd(lr = 0.1) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.05, momentum = 0.5, weight_decay = 0.02), unroll: 3,
        hypergradient: dense(damping = 0.1),
    }
}

multilevel! {
    struct Three;
    level top: Knobs { lower: [mid, net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.01) }
    level mid: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: tune, optimizer: sgd(lr = 0.1), hypergradient: dense(damping = 0.1),
    }
    level net: Net {
        upper: [mid], batch: Samples, loss: fit, optimizer: sgd(lr = 0.05), unroll: 2, hypergradient: dense(damping = 0.1),
    }
}

/// Shares of different sizes.
const SHARES: &[&[usize]] = &[&[2, 5, 3]];
const WEIGHTS: [f64; 3] = [0.2, 0.5, 0.3];

fn two(view: View, json: &str) -> Result<Engine<Two>, EngineError> {
    let data = TwoData { knobs: view.samples(1), net: view.samples(2) };
    Engine::new(Two { knobs: Knobs::new(0), net: Net::new(1) }, data, TwoConfig::from_json(json)?)
}

fn three(view: View) -> Result<Engine<Three>, EngineError> {
    let data = ThreeData { top: view.samples(1), mid: view.samples(2), net: view.samples(3) };
    Engine::new(Three { top: Knobs::new(0), mid: Knobs::new(1), net: Net::new(2) }, data, ThreeConfig::default())
}

fn of_rank(rank: usize) -> View {
    View { rank: Some(rank), sizes: SHARES }
}

/// The weighted mean of what three ranks come to alone.
fn mean(alone: impl Fn(usize) -> Outcome) -> Vec<f64> {
    let each: Vec<Vec<f64>> = (0..3).map(|rank| alone(rank).expect("a gradient")).collect();
    let entry = |index: usize| each.iter().zip(WEIGHTS).map(|(of, weight)| weight * of[index]).sum();
    (0..each[0].len()).map(entry).collect()
}

fn gap(x: &[f64], y: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut x.iter().zip(y).map(|(x, y)| x - y)) / norm(&mut y.iter().copied())
}

#[test]
fn it_is_the_mean_of_what_ranks_have_alone_and_not_that_of_the_whole() {
    let methods = [
        (r#""method": "dense", "damping": 0.1"#, 1e-12),
        (r#""method": "cg", "damping": 0.1, "iterations": 60, "tolerance": 1e-14"#, 1e-10),
        (r#""method": "neumann", "terms": 5, "step_size": 0.1"#, 1e-12),
        (r#""method": "nystrom", "rank": 3, "damping": 1.0"#, 1e-10),
        (r#""method": "identity""#, 1e-12),
    ];
    for (method, tolerance) in methods {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ {method} }} }} }}"#);
        let ask = |engine: &mut Engine<Two>| -> Outcome {
            let found = engine.gradient("knobs")?;
            Ok([found.gradient.to_vec()?, vec![found.loss]].concat())
        };
        let expected = mean(|rank| ask(&mut two(of_rank(rank), &json)?));
        let ranks =
            Threads::run(3, |rank| ask(&mut two(of_rank(rank.rank()), &json)?.sync_last()?.distributed(rank)?));
        assert_exact(&expected, &ranks, tolerance, method);
        let whole = ask(&mut two(View { rank: None, sizes: SHARES }, &json).expect("an engine")).expect("a gradient");
        let bias = gap(&expected, &whole);
        assert!(bias > 1e-3 && bias < 1.0, "{method}: {bias}");
    }
}

#[test]
fn levels_in_the_middle_are_those_of_each_rank_as_well() {
    let ask = |engine: &mut Engine<Three>, level: &str| -> Outcome { Ok(engine.gradient(level)?.gradient.to_vec()?) };
    for level in ["top", "mid"] {
        let expected = mean(|rank| ask(&mut three(of_rank(rank))?, level));
        let ranks =
            Threads::run(3, |rank| ask(&mut three(of_rank(rank.rank()))?.sync_last()?.distributed(rank)?, level));
        assert_exact(&expected, &ranks, 1e-11, level);
    }
}

#[test]
fn one_rank_and_equal_shares_are_exact() {
    let run = |engine: &mut Engine<Two>| -> Outcome {
        let report = engine.run(3)?;
        let losses = report.levels.iter().filter_map(|level| level.loss).collect();
        Ok([losses, engine.problem().knobs.values(), engine.problem().net.values()].concat())
    };
    let all = View { rank: None, sizes: &[&[4], &[3]] };
    let whole = two(all, "{}").and_then(|mut engine| run(&mut engine)).expect("a run");
    let alone = two(all, "{}").and_then(|engine| run(&mut engine.sync_last()?.distributed(SingleProcess)?));
    assert_eq!(alone.expect("a run"), whole);
    // Every rank has the same examples.
    let ranks = Threads::run(3, |rank| run(&mut two(all, "{}")?.sync_last()?.distributed(rank)?));
    assert_exact(&whole, &ranks, 1e-12, "equal shares");
}

#[test]
fn one_message_takes_the_place_of_all_and_the_bias_is_told() {
    for method in ["cg", "neumann"] {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}", "damping": 1.0 }} }} }}"#);
        let json = if method == "cg" { json } else { json.replace(r#", "damping": 1.0"#, r#", "step_size": 0.1"#) };
        let count = |last: bool| {
            let found = Threads::run(3, |rank| {
                let engine = two(of_rank(rank.rank()), &json)?;
                let mut engine = if last { engine.sync_last()? } else { engine }.distributed(rank)?;
                engine.run(1)?;
                let explained = engine.explain()?;
                let bias = engine.verify_hypergradient("knobs")?.relative_error;
                let before = launched();
                engine.run(2)?;
                let after = launched();
                let exchanged = (after.messages - before.messages, after.sent - before.sent);
                let values = [engine.problem().knobs.values(), engine.problem().net.values()].concat();
                Ok::<_, EngineError>((explained, exchanged, bias, values))
            });
            let mut found = found.into_iter().collect::<Result<Vec<_>, _>>().expect("a run");
            assert!(found.iter().all(|of| of.3 == found[0].3), "{method}: ranks differ");
            found.swap_remove(0)
        };
        let (explained, exchanged, bias, _) = count(true);
        let total = explained.total();
        // Three steps below, and one message above: the gradient of four numbers, loss and norm.
        let net = Net::new(0).values().len() as f64;
        assert_eq!((total.messages, total.sent), (4.0, 8.0 * (3.0 * (net + 2.0) + 6.0)), "{method}");
        assert_eq!(exchanged, (2.0 * total.messages, 2.0 * total.sent), "{method}");
        assert!(explained.levels[0].is_biased && !explained.levels[1].is_biased);
        assert!(explained.to_string().contains("biased"), "{explained}");
        assert!(bias > 1e-3, "{method}: {bias}");
        let (exact, _, _, _) = count(false);
        assert!(exact.total().messages > 4.0 && !exact.to_string().contains("biased"), "{exact}");
    }
}

#[test]
fn what_cannot_be_put_together_last_is_refused() {
    let whole = View { rank: None, sizes: SHARES };
    for method in ["unrolled", "forward_gradient", "evolution"] {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let refused = two(whole, &json).and_then(Engine::sync_last).err().expect("steps of all ranks");
        assert!(matches!(refused, EngineError::Shard(ShardError::NotLast { .. })), "{refused}");
    }
    let json = r#"{ "knobs": { "tasks": 2 }, "net": { "start": "initial" } }"#;
    let one_way = two(whole, json).and_then(|engine| engine.sync_last()?.split(Split::Tasks)).err();
    let other_way = two(whole, json).and_then(|engine| engine.split(Split::Tasks)?.sync_last()).err();
    for refused in [one_way, other_way] {
        assert!(matches!(refused, Some(EngineError::Shard(ShardError::NotSplit { .. }))), "{refused:?}");
    }
}

/// A sum over all examples, by a constant.
fn total(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    let errors = sum((net.outputs(&batch.x) - batch.y).powi_scalar(2).sum());
    errors / 100.0 + knobs.shift.val().powi_scalar(2).sum()
}

fn told(knobs: &Knobs, net: &Net, batch: Samples) -> Measured {
    let count = sum(Tensor::ones_like(&batch.y).sum());
    Measured::new(choose(knobs, net, batch)).with("count", count)
}

fn fit_total(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    total(knobs, net, batch) + net.penalty() * (knobs.penalty.val().exp() + 1.0)
}

macro_rules! summing {
    ($program:ident, $above:ident, $below:ident) => {
        multilevel! {
            struct $program;
            level knobs: Knobs { lower: [net], batch: Samples, loss: $above, optimizer: sgd(lr = 0.1) }
            level net: Net {
                upper: [knobs], batch: Samples, loss: $below, optimizer: sgd(lr = 0.05), hypergradient: dense(damping = 0.1),
            }
        }
    };
}

summing!(Above, total, fit);
summing!(Beside, told, fit);
summing!(Below, choose, fit_total);

#[test]
fn sums_over_ranks_are_not_formed_by_each_for_itself() {
    macro_rules! refused {
        ($program:ident, $data:ident, $config:ident, $level:expr) => {
            let found = Threads::run(2, |rank| {
                // On equal shares a sum is half of it on each.
                let view = View { rank: Some(rank.rank()), sizes: &[&[3, 3]] };
                let data = $data { knobs: view.samples(1), net: view.samples(2) };
                let problem = $program { knobs: Knobs::new(0), net: Net::new(1) };
                let mut engine = Engine::new(problem, data, $config::default())?.sync_last()?.distributed(rank)?;
                engine.gradient("knobs").map(|found| found.loss)
            });
            for found in found {
                let Err(EngineError::Shard(ShardError::NotLast { level, reason })) = found else { panic!("{found:?}") };
                assert!(level == $level && reason.contains("distributed::sum"), "{level}: {reason}");
            }
        };
    }
    refused!(Above, AboveData, AboveConfig, "knobs");
    refused!(Beside, BesideData, BesideConfig, "knobs");
    refused!(Below, BelowData, BelowConfig, "net");
}

//! Losses that are no means over examples, written with sums over all ranks: exact on shares of any size, to any order.

use betty_runtime::distributed::{DistributedError, Threads, sum};
use betty_runtime::{Engine, EngineError, Measured, ProgramConfig, Stream, multilevel};
use burn::tensor::{DType, Tensor};

use super::exact::methods;
use super::problem::{Knobs, Net, Outcome, Samples, View, assert_exact, both};

fn outputs(net: &Net, batch: &Samples) -> Tensor<2> {
    let hidden = (batch.x.clone().matmul(net.first.val()) + net.bias.val().unsqueeze()).tanh();
    hidden.matmul(net.second.val())
}

/// One number for each example.
fn errors(net: &Net, batch: &Samples) -> Tensor<1> {
    (outputs(net, batch) - batch.y.clone()).powi_scalar(2).mean_dim(1).squeeze_dim(1)
}

/// A mean with weights that a level above moves, normalised over the batch.
fn weighted(net: &Net, knobs: &Knobs, batch: Samples) -> Measured {
    let errors = errors(net, &batch);
    let weights = batch.x.matmul(knobs.shift.val().unsqueeze_dim(1)).squeeze_dim::<1>(1).exp();
    let all = sum(weights.clone().sum());
    let loss = sum((weights.clone() * errors).sum()) / all.clone();
    let square = sum(weights.powi_scalar(2).sum()) / all.powi_scalar(2);
    Measured::new(loss + net.penalty() * (knobs.penalty.val().exp() + 0.5)).with("concentration", square)
}

/// A mean over the examples that a mask leaves, to the power of three halves, whose derivatives of all orders mix shares.
fn masked(_knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    let mask = batch.x.clone().narrow(1, 0, 1).squeeze_dim::<1>(1).greater_scalar(-0.5).float().cast(DType::F64);
    let mean = sum((errors(net, &batch) * mask.clone()).sum()) / (sum(mask.sum()) + 1.0);
    (mean + 1.0).powf_scalar(1.5)
}

/// Outputs relative to their mean and deviation over the batch, as a layer that normalises would have them.
fn standardised(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let outputs = outputs(net, &batch);
    let count = sum(Tensor::ones_like(&outputs).sum_dim(0));
    let centred = outputs.clone() - sum(outputs.sum_dim(0)) / count.clone();
    let deviation = (sum(centred.clone().powi_scalar(2).sum_dim(0)) / count + 0.1).sqrt();
    let gap = centred / deviation - batch.y * knobs.shift.val().narrow(0, 0, 1).unsqueeze();
    gap.powi_scalar(2).mean() + net.penalty() * (knobs.penalty.val().exp() + 1.0)
}

fn follow(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    let gap =
        (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum() + (knobs.penalty.val() + 2.0).powi_scalar(2).sum();
    masked(knobs, net, batch) + gap
}

fn judge(top: &Knobs, mid: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    masked(mid, net, batch) + (mid.shift.val() * top.shift.val()).sum()
}

multilevel! {
    struct Weighted;
    level knobs: Knobs { lower: [net], batch: Samples, loss: masked, optimizer: adam(lr = 0.01) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: weighted, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 3, hypergradient: cg,
    }
}

multilevel! {
    struct Standardised;
    level knobs: Knobs { lower: [net], batch: Samples, loss: masked, optimizer: sgd(lr = 0.01) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: standardised, optimizer: sgd(lr = 0.05), unroll: 3, hypergradient: minres,
    }
}

multilevel! {
    struct Three;
    level top: Knobs { lower: [mid, net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.01) }
    level mid: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: follow, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: cg,
    }
    level net: Net {
        upper: [mid], batch: Samples, loss: weighted, optimizer: adam(lr = 0.05), unroll: 2, hypergradient: unrolled,
    }
}

const UNEVEN: &[&[usize]] = &[&[2, 4], &[5, 1], &[3, 3]];
const THREE: &[&[usize]] = &[&[1, 3, 2], &[4, 1, 1]];
/// The second rank has batches of one size, and the first of two.
const ONE_SIDED: &[&[usize]] = &[&[2, 2], &[3, 2]];

/// Differences of gradients lose half of the digits.
fn tolerance(methods: &[&str]) -> f64 {
    let is_rough = |method: &&str| ["finite_difference", "sama", "penalty", "evolution"].contains(method);
    if methods.iter().any(is_rough) { 1e-8 } else { 1e-12 }
}

macro_rules! two {
    ($program:ident, $data:ident, $config:ident, $method:expr, $sizes:expr) => {{
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{}" }} }} }}"#, $method);
        let prepare = |view: View| {
            let data = $data { knobs: view.samples(1), net: view.samples(2) };
            let engine =
                Engine::new($program { knobs: Knobs::new(0), net: Net::new(1) }, data, $config::from_json(&json)?)?;
            // The losses are the same for all methods.
            Ok(engine.verification($method == "cg"))
        };
        let run = |engine: &mut Engine<$program>| -> Outcome {
            let report = engine.run(3)?;
            let losses = report.levels.iter().map(|level| level.loss.unwrap_or(f64::NAN));
            let metrics = report.levels.iter().flat_map(|level| level.metrics.iter().map(|(_, value)| *value));
            let mut found: Vec<f64> = losses.chain(metrics).collect();
            found.extend(engine.problem().knobs.values());
            found.extend(engine.problem().net.values());
            Ok(found)
        };
        let (whole, ranks) = both($sizes, prepare, run);
        let of = format!("{} by {} on {:?}", stringify!($program), $method, $sizes);
        assert_exact(&whole.unwrap_or_else(|error| panic!("{of}: {error}")), &ranks, tolerance(&[$method]), &of);
    }};
}

#[test]
fn sums_over_ranks_make_normalised_weights_exact_for_every_method() {
    for method in methods() {
        if ["cg", "nystrom", "unrolled"].contains(&method) {
            two!(Weighted, WeightedData, WeightedConfig, method, UNEVEN);
        }
        two!(Weighted, WeightedData, WeightedConfig, method, THREE);
        two!(Weighted, WeightedData, WeightedConfig, method, ONE_SIDED);
    }
}

#[test]
fn statistics_of_the_batch_are_exact_as_sums_over_ranks() {
    for method in ["cg", "dense", "unrolled", "forward"] {
        two!(Standardised, StandardisedData, StandardisedConfig, method, UNEVEN);
        two!(Standardised, StandardisedData, StandardisedConfig, method, THREE);
    }
}

fn three(view: View, json: &str) -> Result<Engine<Three>, EngineError> {
    let data = ThreeData { top: view.samples(1), mid: view.samples(2), net: view.samples(3) };
    let problem = Three { top: Knobs::new(0), mid: Knobs::new(1), net: Net::new(2) };
    Engine::new(problem, data, ThreeConfig::from_json(json)?)
}

#[test]
fn steps_that_are_one_function_are_those_of_the_whole_batch() {
    for options in [
        "",
        r#""net": { "clip": { "norm": 0.05 } }"#,
        r#""net": { "accumulate": 2 }"#,
        r#""net": { "hypergradient": { "method": "cg" } }"#,
        r#""mid": { "hypergradient": { "method": "unrolled" } }"#,
        r#""mid": { "hypergradient": { "method": "unrolled" } }, "net": { "hypergradient": { "method": "cg", "damping": 1.0 } }"#,
    ] {
        for sizes in [UNEVEN, THREE] {
            let json = format!("{{ {options} }}");
            let (whole, ranks) = both(
                sizes,
                |view| three(view, &json),
                |engine| {
                    engine.run(2)?;
                    let Three { top, mid, net } = engine.problem();
                    Ok([top.values(), mid.values(), net.values()].concat())
                },
            );
            let of = format!("{options} on {sizes:?}");
            assert_exact(&whole.unwrap_or_else(|error| panic!("{of}: {error}")), &ranks, 1e-12, &of);
        }
    }
}

#[test]
fn what_explain_foretells_counts_sums_inside_of_losses() {
    let prepare = |view: View| {
        let data = WeightedData { knobs: view.samples(1), net: view.samples(2) };
        let config = WeightedConfig::from_json(r#"{ "net": { "hypergradient": { "method": "neumann" } } }"#)?;
        Engine::new(Weighted { knobs: Knobs::new(0), net: Net::new(1) }, data, config)
    };
    let ask = |engine: &mut Engine<Weighted>| {
        engine.run(1)?;
        let foretold = engine.explain()?.total();
        let before = betty_runtime::execute::launched();
        engine.run(3)?;
        let after = betty_runtime::execute::launched();
        let (messages, sent) = (after.messages - before.messages, after.sent - before.sent);
        Ok(vec![foretold.messages - messages / 3.0, foretold.sent - sent / 3.0, foretold.messages])
    };
    // All batches alike, so that nothing new is recorded.
    const EVEN: &[&[usize]] = &[&[3, 3]];
    let (_, ranks) = both(EVEN, prepare, ask);
    for found in ranks {
        let found = found.expect("it runs");
        assert_eq!(found[..2], [0.0, 0.0], "{found:?}");
        assert!(found[2] > 20.0, "{found:?}");
    }
}

/// What all ranks have of the same batch, or of none, is no part of a sum.
fn alike(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let fits = sum((-errors(net, &batch)).exp().sum());
    net.penalty() * (knobs.penalty.val().exp() + 1.0) - (fits + 1.0).log()
}

fn of_nothing(knobs: &Knobs, net: &Net, _batch: ()) -> Tensor<1> {
    let gap = sum((net.second.val() - 0.3).powi_scalar(2).sum());
    (gap + 1.0).log() + knobs.shift.val().powi_scalar(2).sum()
}

multilevel! {
    struct Alike;
    level knobs: Knobs { lower: [net], batch: (), loss: of_nothing, optimizer: sgd(lr = 0.1) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: alike, optimizer: sgd(lr = 0.05), unroll: 2, hypergradient: dense(damping = 0.1),
    }
}

#[test]
fn a_sum_of_what_all_ranks_have_alike_is_what_one_has() {
    let (whole, ranks) = both(
        THREE,
        |view: View| {
            let data = AlikeData { knobs: Stream::constant(()), net: View { rank: None, ..view }.samples(2) };
            let problem = Alike { knobs: Knobs::new(0), net: Net::new(1) };
            Engine::new(problem, data, AlikeConfig::default())?.replicated("net")
        },
        |engine| {
            let report = engine.run(3)?;
            let losses = report.levels.iter().map(|level| level.loss.unwrap_or(f64::NAN)).collect();
            Ok([losses, engine.problem().knobs.values(), engine.problem().net.values()].concat())
        },
    );
    assert_exact(&whole.expect("it runs"), &ranks, 1e-12, "the same batches");
}

#[test]
fn what_was_recorded_for_shares_is_not_said_to_be_alike_later() {
    let found = Threads::run(2, |rank| {
        let view = View { rank: None, sizes: &[&[2, 2]] };
        let data = AlikeData { knobs: Stream::constant(()), net: view.samples(2) };
        let problem = Alike { knobs: Knobs::new(0), net: Net::new(1) };
        let mut engine = Engine::new(problem, data, AlikeConfig::default())?.distributed(rank)?;
        engine.gradient("net")?;
        engine.replicated("net").map(drop)
    });
    for found in found {
        assert!(matches!(found, Err(EngineError::Distributed(DistributedError::Late))), "{found:?}");
    }
}

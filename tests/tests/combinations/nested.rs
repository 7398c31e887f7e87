//! Steps below steps, against central differences of whole runs.

use std::cell::Cell;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, ProgramConfig, multilevel};
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::problem::{Knobs, Net, Samples, assert_close, samples};

fn fit(net: &Net, left: &Knobs, right: &Knobs, batch: Samples) -> Tensor<1> {
    let x = DropoutConfig::new(0.3).init().forward(batch.x + left.shift.val().unsqueeze());
    net.error(Samples { x, y: batch.y })
        + net.second.val().powi_scalar(2).sum() * right.penalty.val().exp()
        + (right.shift.val().unsqueeze() * net.first.val().transpose()).sin().sum() * 0.1
}

fn tune(knobs: &Knobs, top: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    let x = DropoutConfig::new(0.2).init().forward(batch.x) + top.shift.val().unsqueeze();
    net.error(Samples { x, y: batch.y })
        + (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum()
        + (knobs.penalty.val() * top.penalty.val()).sum()
        + knobs.penalty.val().powi_scalar(2).sum()
}

fn alone(top: &Knobs, left: &Knobs, _batch: Samples) -> Tensor<1> {
    (left.shift.val().exp() * 0.3).sum()
        + left.penalty.val().powi_scalar(2).sum()
        + (top.shift.val() * left.shift.val()).sum()
}

fn fit_alone(net: &Net, left: &Knobs, batch: Samples) -> Tensor<1> {
    fit(net, left, left, batch)
}

// The uppermost level sees the middle one only, whose steps answer to steps of their own.
multilevel! {
    struct Chain;
    level top: Knobs { lower: [left], batch: Samples, loss: alone, optimizer: sgd(lr = 1.0) }
    level left: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: tune, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 3,
        hypergradient: unrolled,
    }
    level net: Net {
        upper: [left], batch: Samples, loss: fit_alone, optimizer: sgd(lr = 0.1, momentum = 0.6), unroll: 2, start: initial,
        hypergradient: unrolled,
    }
}

fn knobs(at: &[f64]) -> Knobs {
    let vector = |values: &[f64]| -> Tensor<1> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&Device::flex(), DType::F64))
    };
    Knobs { penalty: Param::from_tensor(vector(&at[..1])), shift: Param::from_tensor(vector(&at[1..])) }
}

/// The upper loss of one iteration, and where the step of length 1 leads.
fn chain(json: &str, at: &[f64]) -> Result<(f64, Vec<f64>), EngineError> {
    let data = ChainData {
        top: samples(1, |_| 4),
        left: samples(2, |index| 2 + index % 3),
        net: samples(3, |index| 2 + index % 2),
    };
    let problem = Chain { top: knobs(at), left: Knobs::new(1), net: Net::new(2) };
    let seen = Rc::new(Cell::new(f64::NAN));
    let loss = Rc::clone(&seen);
    let engine = Engine::new(problem, data, ChainConfig::from_json(json)?)?;
    let scheduler = |from| LinearLrSchedulerConfig::new(from, 0.01, 9).init().unwrap();
    let engine = engine.scheduler("left", scheduler(0.2))?.scheduler("net", scheduler(0.1))?;
    let mut engine = engine.seed(4).observe(move |event| {
        if let Event::Step { level: 0, loss, .. } = event {
            seen.set(*loss);
        }
    });
    engine.run(1)?;
    Ok((loss.get(), engine.problem().top.values()))
}

const AT: [f64; 4] = [0.3, -0.2, 0.5, 0.1];

#[test]
fn steps_that_rest_on_steps_with_everything_at_once() {
    for json in [
        "{}",
        r#"{ "net": { "accumulate": 2 }, "left": { "accumulate": 2 } }"#,
        r#"{ "net": { "freeze": ["bias"] }, "left": { "freeze": ["penalty"], "tasks": 2 } }"#,
        r#"{ "net": { "train": ["second"], "optimizer": { "name": "adam", "lr": 0.05 } },
             "left": { "optimizer": { "name": "adam", "lr": 0.05 }, "clip": { "norm": 0.05 } } }"#,
        r#"{ "net": { "clip": { "value": 0.05 }, "project": { "name": "norm_ball", "radius": 1.5 } } }"#,
        r#"{ "left": { "hypergradient": { "method": "forward" } } }"#,
        r#"{ "left": { "start": "initial", "project": { "name": "clamp", "low": -0.7, "high": 0.7 } } }"#,
    ] {
        let after = chain(json, &AT).unwrap().1;
        let found: Vec<f64> = AT.iter().zip(after).map(|(before, after)| before - after).collect();
        let loss = |k: usize, by: f64| {
            let mut moved = AT;
            moved[k] += by;
            chain(json, &moved).unwrap().0
        };
        let slope =
            |k: usize, h: f64| (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
        let expected: Vec<f64> = (0..AT.len()).map(|k| slope(k, 3e-4)).collect();
        assert_close(&found, &expected, 1e-8, json);
    }
}

/// What it follows is a sum over the levels above, so that its derivative in one does not tell when the other has moved.
fn follow(net: &Knobs, left: &Knobs, right: &Knobs, _batch: Samples) -> Tensor<1> {
    let target = left.shift.val().sin() + left.penalty.val() + right.shift.val().exp();
    (net.shift.val() - target).powi_scalar(2).sum() * 0.5
        + (net.penalty.val() - right.penalty.val()).powi_scalar(2) * 0.5
}

fn side(side: &Knobs, top: &Knobs, net: &Knobs, batch: Samples) -> Tensor<1> {
    let pull = (side.shift.val() - top.shift.val()).powi_scalar(2).sum()
        + (side.penalty.val() - top.penalty.val()).powi_scalar(2).sum();
    pull + (net.shift.val() * side.shift.val()).sum() * 0.3
        + net.penalty.val().sin() * 0.2
        + (batch.x.mean_dim(0).squeeze_dim::<1>(0) * net.shift.val()).exp().sum() * 0.1
}

fn crown(top: &Knobs, left: &Knobs, right: &Knobs, net: &Knobs, batch: Samples) -> Tensor<1> {
    let x = batch.x.mean_dim(0).squeeze_dim::<1>(0);
    (left.shift.val() * right.shift.val() * x).sum()
        + net.shift.val().exp().sum()
        + (top.shift.val() * net.shift.val()).sum()
        + left.penalty.val() * right.penalty.val()
}

multilevel! {
    struct Diamond;
    level top: Knobs { lower: [left, right, net], batch: Samples, loss: crown, optimizer: sgd(lr = 0.1) }
    level left: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: side, optimizer: sgd(lr = 0.1), unroll: 2, hypergradient: dense,
    }
    level right: Knobs {
        upper: [top], lower: [net], batch: Samples, loss: side, optimizer: adam(lr = 0.1), hypergradient: dense,
    }
    // One step of length 1 solves it, so its steps and its best response are the same function.
    level net: Knobs {
        upper: [left, right], batch: Samples, loss: follow, optimizer: sgd(lr = 1.0), unroll: 2, hypergradient: dense,
    }
}

#[test]
fn steps_that_two_levels_share_are_the_best_response_that_they_are() {
    let run = |net: &str| {
        let data = DiamondData {
            top: samples(1, |_| 4),
            left: samples(2, |_| 3),
            right: samples(3, |index| 2 + index % 2),
            net: samples(4, |index| 1 + index % 3),
        };
        let problem = Diamond { top: Knobs::new(0), left: Knobs::new(1), right: Knobs::new(2), net: Knobs::new(3) };
        let json = format!(r#"{{ "net": {{ {net} }} }}"#);
        let mut engine = Engine::new(problem, data, DiamondConfig::from_json(&json).unwrap()).unwrap();
        engine.run(3).unwrap();
        let Diamond { top, left, right, net } = engine.into_problem();
        [top.values(), left.values(), right.values(), net.values()].concat()
    };
    let expected = run(r#""start": "kept""#);
    for net in [
        r#""hypergradient": { "method": "unrolled" }"#,
        r#""hypergradient": { "method": "unrolled", "truncate": 1 }"#,
        r#""hypergradient": { "method": "unrolled" }, "start": "initial", "accumulate": 2"#,
    ] {
        assert_close(&run(net), &expected, 1e-10, net);
    }
}

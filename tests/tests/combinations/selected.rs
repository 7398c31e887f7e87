//! Parts of modules that stand still, where all else depends on them or on nothing else.

use std::cell::Cell;
use std::rc::Rc;

use betty_runtime::trace::TraceError;
use betty_runtime::{Engine, EngineError, Event, ProgramConfig, multilevel};
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::problem::{Knobs, Net, Samples, assert_close, samples, tensor};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let hidden = (batch.x + knobs.shift.val().unsqueeze()).matmul(net.first.val());
    (hidden.matmul(net.second.val()) - batch.y).powi_scalar(2).mean()
}

fn judge(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch) + knobs.penalty.val().powi_scalar(2).sum()
}

multilevel! {
    struct Tuned;
    level knobs: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.25), tasks: 2, freeze: [shift] }
    level net: Net {
        upper: [knobs], start: initial, batch: Samples, loss: fit, optimizer: sgd(lr = 0.1), unroll: 3,
        hypergradient: unrolled,
    }
}

fn tuned(json: &str) -> Result<Tuned, EngineError> {
    let data = TunedData { knobs: samples(1, |_| 4), net: samples(2, |_| 4) };
    let problem = Tuned { knobs: Knobs::new(0), net: Net::new(1) };
    let mut engine = Engine::new(problem, data, TunedConfig::from_json(json)?)?;
    engine.run(1)?;
    Ok(engine.into_problem())
}

/// The level below reads the frozen part of the level above only, so that nothing indirect is left.
#[test]
fn what_depends_on_frozen_parts_only_has_no_indirect_gradient() {
    let before = Knobs::new(0).values();
    // The derivative of p² at p, times the learning rate, is half of p.
    let expected = [&[before[0] * 0.5], &before[1..]].concat();
    for (vectorize, method) in [
        (true, "unrolled"),
        (false, "unrolled"),
        (false, "forward"),
        (false, "forward_gradient"),
        (false, "evolution"),
        (false, "minres"),
        (false, "identity"),
        (false, "penalty"),
        (false, "finite_difference"),
        (false, "sama"),
    ] {
        let json = format!(
            r#"{{ "knobs": {{ "vectorize": {vectorize} }}, "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#
        );
        let found = tuned(&json).unwrap_or_else(|error| panic!("{method}: {error}"));
        assert_close(&found.knobs.values(), &expected, 1e-12, method);
    }
}

#[test]
fn a_part_that_the_loss_does_not_read_cannot_be_trained_alone() {
    for method in ["unrolled", "forward", "minres"] {
        let json = format!(r#"{{ "net": {{ "train": ["bias"], "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let error = tuned(&json).err().unwrap();
        assert!(matches!(&error, EngineError::Trace(TraceError::Disconnected { level }) if level == "net"), "{error}");
    }
}

fn adapt(net: &Net, batch: Samples) -> Tensor<1> {
    let x = DropoutConfig::new(0.2).init().forward(batch.x);
    net.error(Samples { x, y: batch.y })
}

fn adapted(mid: &Net, low: &Net, batch: Samples) -> Tensor<1> {
    low.error(batch) + mid.second.val().powi_scalar(2).sum() * 0.1 + (mid.bias.val() * low.bias.val()).sum()
}

fn whole(top: &Net, mid: &Net, batch: Samples) -> Tensor<1> {
    mid.error(batch) + (top.first.val() * mid.first.val()).sum() * 0.1
}

multilevel! {
    struct Twice;
    level top: Net { lower: [mid], batch: Samples, loss: whole, optimizer: sgd(lr = 1.0) }
    level mid: Net {
        start: from(top), lower: [low], batch: Samples, loss: adapted, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 2,
        hypergradient: unrolled,
    }
    level low: Net {
        start: from(mid), batch: Samples, loss: adapt, optimizer: adam(lr = 0.05, epsilon = 1e-2), unroll: 2,
        hypergradient: unrolled,
    }
}

/// The upper loss of one iteration, and the second layer after a step of length 1.
fn twice(json: &str, second: Tensor<2>) -> (f64, Vec<f64>) {
    let data = TwiceData { top: samples(1, |_| 3), mid: samples(2, |k| 2 + k % 2), low: samples(3, |k| 2 + k % 3) };
    let problem =
        Twice { top: Net { second: Param::from_tensor(second), ..Net::new(0) }, mid: Net::new(1), low: Net::new(2) };
    let seen = Rc::new(Cell::new(f64::NAN));
    let loss = Rc::clone(&seen);
    let engine = Engine::new(problem, data, TwiceConfig::from_json(json).unwrap()).unwrap();
    let mut engine = engine.seed(6).observe(move |event| {
        if let Event::Step { level: 0, loss, .. } = event {
            seen.set(*loss);
        }
    });
    engine.run(1).unwrap();
    (loss.get(), engine.problem().top.second.val().into_data().try_to_vec().unwrap())
}

/// Steps that begin at a level whose steps begin at another one, with the first layer as data of all three.
#[test]
fn steps_that_begin_where_steps_began() {
    let at: Tensor<2> = tensor([4, 2], &mut StdRng::seed_from_u64(8));
    let values: Vec<f64> = at.clone().into_data().try_to_vec().unwrap();
    let freeze = r#""freeze": ["first"]"#;
    let (all, mid) = (format!("{freeze}, \"tasks\": 2"), format!("{freeze}, \"tasks\": 2, \"accumulate\": 2"));
    for json in [
        "{}".to_owned(),
        format!(r#"{{ "top": {{ {freeze} }}, "mid": {{ {freeze} }}, "low": {{ {freeze} }} }}"#),
        format!(r#"{{ "top": {{ {all} }}, "mid": {{ {mid} }}, "low": {{ {freeze}, "accumulate": 2 }} }}"#),
        format!(
            r#"{{ "top": {{ {freeze} }}, "mid": {{ {freeze}, "hypergradient": {{ "method": "forward" }} }}, "low": {{ {freeze} }} }}"#
        ),
    ] {
        let after = twice(&json, at.clone()).1;
        let found: Vec<f64> = values.iter().zip(&after).map(|(before, after)| before - after).collect();
        let loss = |k: usize, by: f64| {
            let unit: Vec<f64> = (0..values.len()).map(|i| if i == k { by } else { 0.0 }).collect();
            let by = Tensor::<1>::from_data(TensorData::new(unit, [values.len()]), (&Device::flex(), DType::F64));
            twice(&json, at.clone() + by.reshape([4, 2])).0
        };
        let slope =
            |k: usize, h: f64| (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
        let expected: Vec<f64> = (0..values.len()).map(|k| slope(k, 1e-4)).collect();
        assert_close(&found, &expected, 1e-8, &json);
    }
}

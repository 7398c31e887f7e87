//! Any value at any place of a config is taken or refused by name; none makes a run panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use betty_runtime::{ConfigError, Engine, EngineError, LearnedError, ProgramConfig, multilevel};
use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::problem::{Knobs, Net, Samples, samples};

fn fit(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    net.error(Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y })
}

fn judge(_knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
}

multilevel! {
    struct Tuned;
    level knobs: Knobs {
        lower: [net], batch: Samples, loss: judge, optimizer: adam(lr = 0.1), tasks: 2, vectorize: true, clip: norm(1.0),
        project: clamp(low = -1.0, high = 1.0), freeze: [shift],
    }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = exp(knobs.penalty), momentum = 0.5), unroll: 2,
        hypergradient: unrolled, start: initial, train: [first, second], precision: f32, project: norm_ball(radius = 3.0),
    }
}

fn run(json: &str) -> Result<(), EngineError> {
    let data = TunedData { knobs: samples(1, |_| 2), net: samples(2, |_| 2) };
    let problem = Tuned { knobs: Knobs::new(0), net: Net::new(1) };
    Engine::new(problem, data, TunedConfig::from_json(json)?)?.run(1).map(drop)
}

/// The paths of everything inside a value, as JSON pointers.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            let path = format!("{path}/{name}");
            places(value, &path, found);
            found.push(path);
        }
    }
}

#[test]
fn any_value_at_any_place() {
    let whole: Value = serde_json::from_str(&TunedConfig::default().to_json().unwrap()).unwrap();
    let mut found = Vec::new();
    places(&whole, "", &mut found);
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(3),
        json!(0.5),
        json!(-0.25),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("all"),
        json!("exp(knobs.shift)"),
        json!("knobs"),
        json!("sigmoid(net)"),
        json!("exp("),
        json!("last"),
        json!("from"),
        json!("bf16"),
        json!([]),
        json!(["first"]),
        json!([1]),
        json!({}),
        json!({ "name": "sgd" }),
        json!({ "method": "cg" }),
        json!({ "method": "forward", "limit": 1 }),
        json!({ "method": "evolution", "sigma": 1e-300 }),
        json!({ "name": "simplex" }),
        json!({ "norm": 1e-300 }),
        json!({ "norm": 1, "value": 1 }),
    ];
    let mut reached = 0;
    for (place, value) in found.iter().flat_map(|place| values.iter().map(move |value| (place, value))) {
        for vectorize in [true, false] {
            let mut changed = whole.clone();
            changed["knobs"]["vectorize"] = vectorize.into();
            *changed.pointer_mut(place).unwrap() = value.clone();
            let text = changed.to_string();
            let found = catch_unwind(AssertUnwindSafe(|| run(&text)));
            let found = found.unwrap_or_else(|_| panic!("{place} = {value} panics"));
            if let Err(EngineError::Config(ConfigError::NotJson { reason })) = &found {
                panic!("{place} = {value} is told as the text's mistake: {reason}");
            }
            reached += u32::from(found.is_ok());
        }
    }
    assert!(reached > 100, "only {reached} of the changed configs can be run");
}

#[test]
fn a_number_made_of_what_stands_still() {
    let error = run(r#"{ "net": { "optimizer": { "lr": "exp(knobs.shift)" } } }"#).unwrap_err();
    assert!(matches!(&error, EngineError::Learned(LearnedError::Mismatch { .. })), "{error}");
    let text = "but what is there stands still in `knobs`, which trains `knobs.penalty` [1]; it takes";
    assert!(error.to_string().contains(text), "{error}");
}

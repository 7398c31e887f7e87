//! `unrolled`, `unrolled` with a budget and `forward` find the same derivative, whatever else the levels do.

use betty_runtime::{Checkpoint, Engine, ProgramConfig, StreamPosition, multilevel};
use burn::nn::DropoutConfig;
use burn::tensor::{Distribution, Tensor};

use super::problem::{Knobs, Net, Samples, assert_close, samples};

fn fit(net: &Net, a: &Knobs, b: &Knobs, batch: Samples) -> Tensor<1> {
    let x = DropoutConfig::new(0.3).init().forward(batch.x + a.shift.val().unsqueeze());
    let penalty = a.penalty.val().exp() * net.second.val().powi_scalar(2).sum();
    let other =
        b.penalty.val() * net.bias.val().sin().sum() + (b.shift.val().unsqueeze() * net.first.val().transpose()).sum();
    net.error(Samples { x, y: batch.y }) + penalty + other * 0.1
}

fn judge(knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    let noise = batch.y.random_like(Distribution::Normal(0.0, 0.1));
    net.error(Samples { x: batch.x, y: batch.y + noise }) + knobs.shift.val().powi_scalar(2).sum() * 0.1
}

multilevel! {
    struct Shared;
    level a: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: adam(lr = 0.05) }
    level b: Knobs { lower: [net], batch: Samples, loss: judge, optimizer: sgd(lr = 0.05) }
    level net: Net {
        upper: [a, b], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.7), unroll: 5, start: initial,
        hypergradient: unrolled,
    }
}

fn engine(json: &str) -> Engine<Shared> {
    let data = SharedData {
        a: samples(1, |_| 4),
        b: samples(2, |index| 3 + index % 2),
        net: samples(3, |index| 2 + index % 3),
    };
    let problem = Shared { a: Knobs::new(0), b: Knobs::new(1), net: Net::new(2) };
    Engine::new(problem, data, SharedConfig::from_json(json).unwrap()).unwrap().seed(9)
}

fn values(problem: &Shared) -> Vec<f64> {
    [problem.a.values(), problem.b.values(), problem.net.values()].concat()
}

fn config(method: &str, a: &str, b: &str, net: &str) -> String {
    let comma = if net.is_empty() { "" } else { ", " };
    format!(r#"{{ "a": {{ {a} }}, "b": {{ {b} }}, "net": {{ "hypergradient": {method}{comma}{net} }} }}"#)
}

/// What the three levels do beside their losses.
const SETTINGS: [(&str, &str, &str); 9] = [
    ("", "", r#""start": "kept""#),
    ("", "", r#""start": "look_ahead""#),
    (r#""tasks": 2"#, r#""accumulate": 2"#, r#""start": "look_ahead""#),
    (r#""tasks": 2, "accumulate": 2"#, r#""tasks": 3"#, r#""accumulate": 2"#),
    (r#""freeze": ["penalty"]"#, r#""train": ["shift"]"#, r#""freeze": ["bias"]"#),
    (r#""warmup": 1"#, "", r#""start": "kept", "train": ["second", "first"]"#),
    ("", r#""precision": "f32""#, r#""precision": "f32", "freeze": ["first"]"#),
    (
        r#""clip": { "norm": 0.1 }"#,
        r#""project": { "name": "clamp", "low": -2.0, "high": 0.5 }"#,
        r#""clip": { "value": 0.2 }, "project": { "name": "norm_ball", "radius": 1.5 }, "freeze": ["bias"]"#,
    ),
    ("", r#""warmup": 2"#, r#""start": "look_ahead", "optimizer": { "name": "adam", "lr": 0.05 }"#),
];

#[test]
fn ways_through_the_steps_agree() {
    for (a, b, net) in SETTINGS {
        let run = |method: &str| {
            let mut engine = engine(&config(method, a, b, net));
            engine.run(3).unwrap();
            values(engine.problem())
        };
        let expected = run(r#"{ "method": "unrolled" }"#);
        for method in [r#"{ "method": "unrolled", "memory": 4 }"#, r#"{ "method": "forward" }"#] {
            assert_close(
                &run(method),
                &expected,
                if net.contains("f32") { 1e-6 } else { 1e-9 },
                &format!("{method} with {a} {b} {net}"),
            );
        }
    }
}

/// The setting in which `b` takes more steps of the level below than `a`.
const IN_OTHER_RHYTHMS: usize = 3;

/// A run that is saved and goes on elsewhere is the run that was not.
#[test]
fn every_setting_resumes_to_the_same_bits() {
    let methods = [
        r#"{ "method": "unrolled" }"#,
        r#"{ "method": "forward_gradient", "directions": 2 }"#,
        r#"{ "method": "evolution", "pairs": 2 }"#,
        r#"{ "method": "minres", "warm_start": true }"#,
        r#"{ "method": "penalty" }"#,
        r#"{ "method": "sama" }"#,
    ];
    for (number, (a, b, net)) in SETTINGS.into_iter().enumerate() {
        for method in methods {
            let goes_through_steps = ["unrolled", "forward", "evolution"].iter().any(|of| method.contains(of));
            if net.contains("project") && !goes_through_steps {
                continue;
            }
            let json = config(method, a, b, net);
            let mut whole = engine(&json);
            whole.run(2).unwrap();
            let saved: Checkpoint = whole.checkpoint().unwrap();
            whole.run(2).unwrap();
            let mut resumed = engine(&json);
            resumed.resume(&saved, StreamPosition::Start).unwrap();
            resumed.run(2).unwrap();
            // In one setting the level above goes through steps that were taken for another one, before the checkpoint.
            let takes_new_steps = number == IN_OTHER_RHYTHMS && goes_through_steps;
            let is_same = values(resumed.problem()) == values(whole.problem());
            assert!(is_same || takes_new_steps, "{method} in setting {number}");
        }
    }
}

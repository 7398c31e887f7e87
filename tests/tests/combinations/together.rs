//! Tasks that are computed together, beside everything else that levels can do.

use betty_runtime::error::rules::Violation;
use betty_runtime::{ConfigError, ConflictError, Engine, EngineError, ProgramConfig, StreamPosition, multilevel};
use burn::nn::DropoutConfig;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::problem::{Net, Samples, assert_close, samples};

fn adapt(net: &Net, meta: &Net, batch: Samples) -> Tensor<1> {
    let x = DropoutConfig::new(0.3).init().forward(batch.x);
    let gap = (net.second.val() - meta.second.val()).powi_scalar(2).sum();
    net.error(Samples { x, y: batch.y }) + gap * 0.1
}

fn spread(other: &Net, meta: &Net, batch: Samples) -> Tensor<1> {
    let of = softmax(other.forward(batch.x), 1);
    ((of - batch.y).powi_scalar(2).mean() + (other.bias.val() * meta.bias.val()).sum()) * 0.5
}

/// Reads all parts of the levels below, frozen or not.
fn query(meta: &Net, net: &Net, other: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
        + (net.bias.val() * other.bias.val()).sum()
        + (other.second.val() * net.second.val()).sum() * 0.2
        + meta.first.val().powi_scalar(2).sum() * 0.01
}

multilevel! {
    struct Many;
    level meta: Net { lower: [net, other], batch: Samples, loss: query, optimizer: adam(lr = 0.05), tasks: 3 }
    level net: Net {
        upper: [meta], start: from(meta), batch: Samples, loss: adapt, optimizer: sgd(lr = 0.1, momentum = 0.5),
        unroll: 3, hypergradient: unrolled,
    }
    level other: Net {
        upper: [meta], start: initial, batch: Samples, loss: spread, optimizer: rmsprop(lr = 0.01), unroll: 2, accumulate: 2,
        hypergradient: unrolled,
    }
}

fn engine(json: &str) -> Engine<Many> {
    let data = ManyData { meta: samples(2, |_| 3), net: samples(3, |_| 4), other: samples(4, |_| 2) };
    let problem = Many { meta: Net::new(1), net: Net::new(2), other: Net::new(3) };
    Engine::new(problem, data, ManyConfig::from_json(json).unwrap()).unwrap().seed(3)
}

fn values(problem: &Many) -> Vec<f64> {
    let Many { meta, net, other } = problem;
    [meta.values(), net.values(), other.values()].concat()
}

fn config(vectorize: bool, meta: &str, net: &str, other: &str) -> String {
    let [net, other] = [net, other].map(|fields| fields.trim_start_matches(','));
    format!(r#"{{ "meta": {{ "vectorize": {vectorize}{meta} }}, "net": {{ {net} }}, "other": {{ {other} }} }}"#)
}

const SETTINGS: [([&str; 3], f64); 7] = [
    (["", "", ""], 1e-11),
    ([r#", "freeze": ["bias"]"#, r#", "freeze": ["bias"]"#, r#", "train": ["second"]"#], 1e-11),
    ([r#", "warmup": 2"#, "", r#", "warmup": 1"#], 1e-11),
    (
        [
            r#", "project": { "name": "norm_ball", "radius": 1.0 }, "clip": { "value": 0.1 }"#,
            r#", "project": { "name": "simplex" }, "clip": { "norm": 0.3 }"#,
            r#", "project": { "name": "clamp", "low": -0.5, "high": 0.4 }"#,
        ],
        1e-11,
    ),
    ([r#", "precision": "bf16""#, r#", "precision": "bf16""#, r#", "precision": "bf16""#], 5e-3),
    // Products are scaled by the largest entry of all tasks together.
    ([r#", "precision": "f16""#, r#", "precision": "f16""#, r#", "precision": "f16""#], 2e-3),
    (["", r#", "start": "initial", "optimizer": { "name": "adagrad", "lr": 0.1 }"#, r#", "accumulate": 1"#], 1e-11),
];

#[test]
fn tasks_give_the_same_numbers_together_and_in_turn() {
    for ([meta, net, other], tolerance) in SETTINGS {
        let run = |vectorize| {
            let mut engine = engine(&config(vectorize, meta, net, other));
            engine.run(4).unwrap();
            values(engine.problem())
        };
        assert_close(&run(true), &run(false), tolerance, &format!("{meta} {net} {other}"));
    }
}

#[test]
fn tasks_together_go_on_from_a_checkpoint_and_after_an_edit() {
    for ([meta, net, other], _) in SETTINGS {
        let json = config(true, meta, net, other);
        let mut whole = engine(&json);
        whole.run(2).unwrap();
        let saved = whole.checkpoint().unwrap();
        whole.run(2).unwrap();
        let mut resumed = engine(&json);
        resumed.resume(&saved, StreamPosition::Start).unwrap();
        resumed.run(2).unwrap();
        assert_eq!(values(resumed.problem()), values(whole.problem()));
        let mut edited = engine(&json);
        edited.run(2).unwrap();
        edited.edit(|_| {}).unwrap();
        edited.run(2).unwrap();
        assert_eq!(values(edited.problem()), values(whole.problem()), "{meta} {net} {other}");
    }
}

fn above(top: &Net, meta: &Net, batch: Samples) -> Tensor<1> {
    meta.error(batch) + (top.bias.val() * meta.bias.val()).sum()
}

fn pulled(meta: &Net, top: &Net, net: &Net, batch: Samples) -> Tensor<1> {
    net.error(batch)
        + (meta.second.val() - top.second.val()).powi_scalar(2).sum()
        + (meta.first.val() - top.first.val()).powi_scalar(2).sum()
        + (meta.bias.val() - top.bias.val()).powi_scalar(2).sum()
}

multilevel! {
    struct Three;
    level top: Net { lower: [meta], batch: Samples, loss: above, optimizer: sgd(lr = 0.1) }
    level meta: Net {
        upper: [top], lower: [net], batch: Samples, loss: pulled, optimizer: sgd(lr = 0.1), tasks: 3, unroll: 2,
        hypergradient: forward,
    }
    level net: Net {
        upper: [meta], start: initial, batch: Samples, loss: adapt, optimizer: sgd(lr = 0.1), unroll: 3,
        hypergradient: unrolled,
    }
}

#[test]
fn tasks_of_a_level_that_is_differentiated_go_one_after_the_other() {
    for method in ["cg", "unrolled", "forward", "forward_gradient"] {
        let data = ThreeData { top: samples(2, |_| 3), meta: samples(3, |_| 4), net: samples(4, |_| 2) };
        let problem = Three { top: Net::new(1), meta: Net::new(2), net: Net::new(3) };
        let json = format!(r#"{{ "meta": {{ "vectorize": true, "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let error = Engine::new(problem, data, ThreeConfig::from_json(&json).unwrap()).err().unwrap();
        assert!(
            matches!(
                &error,
                EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                    rule: Violation::NotTogether(_),
                    ..
                }))
            ),
            "{error}"
        );
        assert!(error.to_string().contains("a hypergradient passes through `meta`"), "{error}");
    }
}

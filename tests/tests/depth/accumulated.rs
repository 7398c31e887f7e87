//! Levels whose steps average several batches, and are solved: what answers is the minimum of the mean, whichever batch came last.
//!
//! Every program runs twice: on parts of its examples, which are averaged, and on all of them as one batch.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{Engine, Event, ProgramConfig, Stream, StreamPosition, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::level::assert_close;

/// Features, targets, which of the examples they are, and what the sum over them is multiplied with.
type Examples = (Tensor<2>, Tensor<1>, Tensor<1, Int>, Tensor<1>);

const COUNT: usize = 6;

#[derive(Module, Debug)]
struct Net {
    weights: Param<Tensor<1>>,
}

impl Net {
    fn new() -> Self {
        Net { weights: parameter(&[0.3, -0.4]) }
    }

    /// `½(⟨x, θ⟩ − y)² + ¼(⟨x, θ⟩ − y)⁴`, example by example.
    fn errors(&self, x: Tensor<2>, y: Tensor<1>) -> Tensor<1> {
        let gaps = x.matmul(self.weights.val().unsqueeze_dim(1)).squeeze_dim::<1>(1) - y;
        gaps.clone().square() * 0.5 + gaps.powi_scalar(4) * 0.25
    }
}

/// These examples, whose sum counts so much.
fn examples(of: &[usize], factor: f64) -> Examples {
    let on = (&Device::flex(), DType::F64);
    let number = |&of: &usize| of as f64;
    let x: Vec<f64> = of.iter().map(number).flat_map(|i| [(1.0 + i).sin(), (0.5 * i).cos() + 0.2]).collect();
    let y: Vec<f64> = of.iter().map(number).map(|i| (1.7 * i).sin() * 0.8).collect();
    let indices: Vec<i64> = of.iter().map(|&i| i64::try_from(i).unwrap()).collect();
    (
        Tensor::from_data(TensorData::new(x, [of.len(), 2]), on),
        Tensor::from_data(TensorData::new(y, [of.len()]), on),
        Tensor::from_data(TensorData::new(indices, [of.len()]), &Device::flex()),
        tensor(&[factor]),
    )
}

fn over_and_over(batches: Vec<Examples>) -> Stream<Examples> {
    Stream::epochs(move |_| batches.clone().into_iter().map(Ok::<_, io::Error>))
}

/// All examples in so many parts, or as one batch that is the mean of these.
fn split(parts: &[&[usize]], together: bool) -> Stream<Examples> {
    if together {
        return over_and_over(vec![examples(&parts.concat(), 1.0 / parts.len() as f64)]);
    }
    over_and_over(parts.iter().map(|part| examples(part, 1.0)).collect())
}

const ALIKE: [&[usize]; 3] = [&[0, 1], &[2, 3], &[4, 5]];
const UNLIKE: [&[usize]; 4] = [&[0], &[1, 2, 3], &[4], &[5]];

fn weighted(net: &Net, logits: &Net, (x, y, index, factor): Examples) -> Tensor<1> {
    let errors = net.errors(x, y) * sigmoid(logits.weights.val().select(0, index));
    errors.sum() * factor + net.weights.val().square().sum() * 0.1
}

fn clean(_logits: &Net, net: &Net, (x, y, _, factor): Examples) -> Tensor<1> {
    net.errors(x, y + 0.3).sum() * factor
}

multilevel! {
    struct Cleaning;
    level logits: Net { lower: [net], batch: Examples, loss: clean, optimizer: sgd(lr = 0.3) }
    level net: Net {
        upper: [logits], batch: Examples, loss: weighted, optimizer: adam(lr = 0.05, weight_decay = 0.05), unroll: 3, hypergradient: cg,
    }
}

fn cleaning(method: &str, parts: &[&[usize]], together: bool) -> Engine<Cleaning> {
    let accumulate = if together { 1 } else { parts.len() };
    let json = format!(r#"{{ "net": {{ "accumulate": {accumulate}, "hypergradient": {{ "method": {method} }} }} }}"#);
    let problem = Cleaning { logits: Net { weights: parameter(&[0.2; COUNT]) }, net: Net::new() };
    let data = CleaningData { logits: over_and_over(vec![examples(&[1, 4], 0.5)]), net: split(parts, together) };
    Engine::new(problem, data, CleaningConfig::from_json(&json).unwrap()).unwrap()
}

fn logits(engine: Engine<Cleaning>) -> Vec<f64> {
    values(&engine.into_problem().logits.weights)
}

const METHODS: [&str; 13] = [
    r#""dense""#,
    r#""cg""#,
    r#""minres""#,
    r#""gmres""#,
    r#""cg", "warm_start": true"#,
    r#""cg", "batch": "fresh""#,
    r#""neumann", "terms": 4, "step_size": 0.1"#,
    r#""nystrom", "rank": 2"#,
    r#""identity""#,
    r#""sama""#,
    r#""finite_difference""#,
    r#""penalty""#,
    r#""unrolled""#,
];

#[test]
fn every_method_differentiates_the_mean() {
    for method in METHODS {
        // What is a difference of gradients has their rounding, magnified.
        let is_difference = ["finite", "penalty", "sama"].iter().any(|of| method.contains(of));
        let tolerance = if is_difference { 1e-6 } else { 1e-9 };
        for parts in [&ALIKE[..], &UNLIKE[..]] {
            let run = |together: bool| {
                let mut engine = cleaning(method, parts, together);
                engine.run(3).unwrap();
                logits(engine)
            };
            let (averaged, whole) = (run(false), run(true));
            // Each of them has been trained.
            assert!(averaged.iter().all(|logit| (logit - 0.2).abs() > 1e-5), "{method}: {averaged:?}");
            assert_close(&averaged, &whole, tolerance);
        }
    }
}

#[test]
fn what_is_verified_is_the_mean() {
    let check = |together: bool| {
        let mut engine = cleaning(r#""dense""#, &ALIKE, together);
        engine.run(1).unwrap();
        engine.verify_hypergradient("logits").unwrap()
    };
    let (averaged, whole) = (check(false), check(true));
    assert!(averaged.relative_error < 1e-9, "{averaged}");
    let numbers = |check: &betty_runtime::HypergradientCheck| {
        let response = &check.responses[0];
        let ends = [response.spectrum.smallest.value, response.spectrum.largest.value];
        [check.norm, check.reference_norm, ends[0], ends[1], response.gradient_norm, response.distance].to_vec()
    };
    assert_close(&numbers(&averaged), &numbers(&whole), 1e-9);
}

#[test]
fn a_resumed_run_differentiates_all_batches_of_the_last_step() {
    let mut whole = cleaning(r#""cg""#, &ALIKE, false);
    whole.run(2).unwrap();
    let mut resumed = cleaning(r#""cg""#, &ALIKE, false);
    resumed.resume(&whole.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    // Without a step below, the hypergradient is on the batches from before.
    let gradient = |engine: &mut Engine<Cleaning>| engine.gradient("logits").unwrap().gradient.to_vec().unwrap();
    assert_eq!(gradient(&mut resumed), gradient(&mut whole));
    whole.run(2).unwrap();
    resumed.run(2).unwrap();
    assert_eq!(logits(resumed), logits(whole));
}

fn between(middle: &Net, top: &Net, low: &Net, (x, y, index, factor): Examples) -> Tensor<1> {
    let errors = low.errors(x.clone(), y.clone() * 0.5) + middle.errors(x, y - 0.2);
    (errors * sigmoid(top.weights.val().select(0, index))).sum() * factor + middle.weights.val().square().sum() * 0.2
}

fn lowest(low: &Net, middle: &Net, (x, y, _, factor): Examples) -> Tensor<1> {
    let pulled = (low.weights.val() - middle.weights.val().sin()).square();
    low.errors(x, y).sum() * factor + pulled.sum()
}

fn uppermost(_top: &Net, middle: &Net, low: &Net, (x, y, _, factor): Examples) -> Tensor<1> {
    (middle.errors(x.clone(), y.clone()) + low.errors(x, y)).sum() * factor
}

multilevel! {
    struct Chain;
    level top: Net { lower: [middle, low], batch: Examples, loss: uppermost, optimizer: sgd(lr = 0.1) }
    level middle: Net {
        upper: [top], lower: [low], batch: Examples, loss: between, optimizer: sgd(lr = 0.05), unroll: 2, hypergradient: dense,
    }
    level low: Net {
        upper: [middle], batch: Examples, loss: lowest, optimizer: sgd(lr = 0.05, momentum = 0.3), unroll: 2,
        hypergradient: dense,
    }
}

const PAIRS: [&[usize]; 2] = [&[0, 1, 2], &[3, 4, 5]];

fn chain(json: &str, together: bool) -> Engine<Chain> {
    let mut config = ChainConfig::from_json(json).unwrap();
    if !together {
        (config.middle.accumulate, config.low.accumulate) = (2, 3);
    }
    let problem = Chain { top: Net { weights: parameter(&[0.1; COUNT]) }, middle: Net::new(), low: Net::new() };
    let data = ChainData {
        top: over_and_over(vec![examples(&[0, 2, 5], 0.5)]),
        middle: split(&PAIRS, together),
        low: split(&ALIKE, together),
    };
    Engine::new(problem, data, config).unwrap()
}

/// Conditions within conditions, and steps of a level in the middle that rest on them.
#[test]
fn means_nest() {
    for json in [
        "{}",
        r#"{ "top": { "solve": { "name": "joint", "tolerance": 1e-13, "iterations": 200 } } }"#,
        r#"{ "top": { "solve": { "name": "inexact", "tolerance": 1e-9, "iterations": 50 } } }"#,
        r#"{ "middle": { "curvature": "partial" } }"#,
        r#"{ "middle": { "hypergradient": { "method": "unrolled" } } }"#,
        r#"{ "middle": { "hypergradient": { "method": "forward" } } }"#,
        r#"{ "low": { "hypergradient": { "method": "unrolled" } } }"#,
        r#"{ "middle": { "hypergradient": { "method": "sama" } } }"#,
    ] {
        let run = |together: bool| {
            let mut engine = chain(json, together);
            engine.run(2).unwrap();
            let Chain { top, middle, low } = engine.into_problem();
            [&top, &middle, &low].map(|net| values(&net.weights)).concat()
        };
        let tolerance = if json.contains("inexact") || json.contains("sama") { 1e-6 } else { 1e-9 };
        assert_close(&run(false), &run(true), tolerance);
    }
}

/// Tasks leave the levels below where the last one ended, so that nothing but that one is seen by an implicit method.
#[test]
fn of_several_tasks_the_last_one_is_told_of() {
    for (method, is_told) in [("dense", true), ("unrolled", false)] {
        let json = format!(
            r#"{{ "middle": {{ "tasks": 2, "hypergradient": {{ "method": "{method}" }} }}, "low": {{ "start": "initial" }} }}"#
        );
        let told = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&told);
        let mut engine = chain(&json, true).observe(move |event| {
            if let Event::LastTask { name, method, tasks, .. } = event {
                let text = event.warning().unwrap().fact;
                seen.borrow_mut().push((name.to_string(), method.to_string(), *tasks, text));
            }
        });
        engine.run(2).unwrap();
        let told = told.take();
        assert_eq!(told.len(), usize::from(is_told), "{told:?}");
        for (name, method, tasks, text) in told {
            assert_eq!((name.as_str(), method.as_str(), tasks), ("middle", "dense", 2));
            assert!(text.contains("the last of its 2 tasks"), "{text}");
        }
    }
}

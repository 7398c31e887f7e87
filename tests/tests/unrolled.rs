//! Unrolled differentiation against central differences of the whole inner run, in double precision.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use betty_runtime::error::rules::Violation;
use betty_runtime::execute::launched;
use betty_runtime::{ConflictError, StepsError};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use betty_runtime::{ConfigError, Engine, EngineError, Event, ProgramConfig, Stream, multilevel};
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrSchedulerConfig;
use burn::module::{Module, Param, ParamGroup};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const FEATURES: usize = 4;
const HIDDEN: usize = 5;
const BATCH: usize = 6;

#[derive(Module, Debug)]
struct Net {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
    dropout: Dropout,
}

/// The logarithm of a penalty for each feature, and a logit for each example of a batch.
#[derive(Module, Debug)]
struct Knobs {
    penalties: Param<Tensor<1>>,
    logits: Param<Tensor<1>>,
}

type Samples = (Tensor<2>, Tensor<2>);

fn tensor<const D: usize>(shape: [usize; D], random: &mut StdRng) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

impl Net {
    fn new(dropout: f64) -> Self {
        let mut random = StdRng::seed_from_u64(3);
        Net {
            first: Param::from_tensor(tensor([FEATURES, HIDDEN], &mut random)),
            second: Param::from_tensor(tensor([HIDDEN, 1], &mut random)),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.dropout.forward(x.matmul(self.first.val()).tanh()).matmul(self.second.val())
    }
}

impl Knobs {
    fn new(values: &[f64]) -> Self {
        let vector = |values: &[f64]| {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            Param::from_tensor(Tensor::from_data(data, (&Device::flex(), DType::F64)))
        };
        Knobs { penalties: vector(&values[..FEATURES]), logits: vector(&values[FEATURES..]) }
    }

    fn values(&self) -> Vec<f64> {
        let values = |param: &Param<Tensor<1>>| param.val().into_data().try_to_vec::<f64>().unwrap();
        [values(&self.penalties), values(&self.logits)].concat()
    }
}

fn training(net: &Net, knobs: &Knobs, (x, y): Samples) -> Tensor<1> {
    let errors = (net.forward(x) - y).powi_scalar(2);
    let weights = sigmoid(knobs.logits.val()).reshape([BATCH, 1]);
    let penalty = knobs.penalties.val().exp().reshape([FEATURES, 1]) * net.first.val().powi_scalar(2);
    (weights * errors).sum() + penalty.sum().mul_scalar(0.05)
}

fn held_out(knobs: &Knobs, net: &Net, (x, y): Samples) -> Tensor<1> {
    let regular = knobs.logits.val().powi_scalar(2).sum().mul_scalar(0.1);
    (x.matmul(net.first.val()).tanh().matmul(net.second.val()) - y).powi_scalar(2).mean() + regular
}

multilevel! {
    struct Tuning;

    level knobs: Knobs { lower: [net], batch: Samples, loss: held_out, optimizer: sgd(lr = 1.0) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: training, optimizer: sgd(lr = 0.05), unroll: 7, hypergradient: unrolled,
    }
}

/// Batches that all differ, the same in every run.
fn data() -> TuningData {
    let batch = |seed: u64| {
        let mut random = StdRng::seed_from_u64(seed);
        (tensor([BATCH, FEATURES], &mut random), tensor([BATCH, 1], &mut random))
    };
    TuningData {
        knobs: Stream::constant(batch(1000)),
        net: Stream::batches((0..).map(move |seed| Ok::<_, io::Error>(batch(seed)))),
    }
}

fn knobs() -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(9);
    (0..FEATURES + BATCH).map(|_| random.random_range(-0.8..0.8)).collect()
}

/// What one iteration does: the upper loss that it sees, and the hypergradient, which is the whole step of length 1.
fn iteration(config: &str, net: Net, at: &[f64]) -> (f64, Vec<f64>) {
    prepared(config, net, at, |engine| engine)
}

/// The same with an engine that was changed.
fn prepared(config: &str, net: Net, at: &[f64], prepare: impl Fn(Engine<Tuning>) -> Engine<Tuning>) -> (f64, Vec<f64>) {
    let config = TuningConfig::from_json(config).unwrap();
    let problem = Tuning { knobs: Knobs::new(at), net };
    let loss = Rc::new(RefCell::new(f64::NAN));
    let seen = Rc::clone(&loss);
    let engine = Engine::new(problem, data(), config).unwrap().seed(5);
    let mut engine = prepare(engine).observe(move |event| {
        if let Event::Step { name: "knobs", loss, .. } = event {
            *seen.borrow_mut() = *loss;
        }
    });
    engine.run(1).unwrap();
    let after = engine.into_problem().knobs.values();
    (*loss.borrow(), at.iter().zip(after).map(|(before, after)| before - after).collect())
}

fn relative(found: &[f64], expected: &[f64]) -> f64 {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap: Vec<f64> = found.iter().zip(expected).map(|(x, y)| x - y).collect();
    norm(&gap) / norm(expected)
}

/// The hypergradient must be the derivative of the whole run, to eight digits.
fn check(config: &str, dropout: f64) {
    check_prepared(config, dropout, |engine| engine);
}

fn check_prepared(config: &str, dropout: f64, prepare: impl Fn(Engine<Tuning>) -> Engine<Tuning>) {
    let at = knobs();
    let (_, found) = prepared(config, Net::new(dropout), &at, &prepare);
    let loss = |index: usize, by: f64| {
        let mut moved = at.clone();
        moved[index] += by;
        prepared(config, Net::new(dropout), &moved, &prepare).0
    };
    // A central difference of fourth order.
    let slope =
        |k: usize, h: f64| (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
    let expected: Vec<f64> = (0..at.len()).map(|k| slope(k, 1e-3)).collect();
    let relative = relative(&found, &expected);
    assert!(relative < 1e-8, "{config}: {found:?} is not {expected:?} ({relative:e})");
}

#[test]
fn gradient_descent() {
    check(r#"{ "net": { "optimizer": { "lr": 0.05, "weight_decay": 0.01 } } }"#, 0.0);
}

#[test]
fn momentum_dampening_and_look_ahead() {
    check(r#"{ "net": { "optimizer": { "lr": 0.02, "momentum": 0.9, "dampening": 0.3 } } }"#, 0.0);
    check(r#"{ "net": { "optimizer": { "lr": 0.02, "momentum": 0.9, "nesterov": true } } }"#, 0.0);
}

#[test]
fn adam_and_adamw() {
    check(r#"{ "net": { "optimizer": { "name": "adam", "lr": 0.02, "weight_decay": 0.01 } } }"#, 0.0);
    check(r#"{ "net": { "optimizer": { "name": "adamw", "lr": 0.02, "weight_decay": 0.1 } } }"#, 0.0);
}

#[test]
fn rmsprop_and_adagrad() {
    // A small ε makes a step of a gradient near zero so curved that differences lose their digits.
    let decay =
        r#"{ "net": { "optimizer": { "name": "rmsprop", "lr": 0.02, "epsilon": 0.01, "weight_decay": 0.01 } } }"#;
    check(decay, 0.0);
    check(r#"{ "net": { "optimizer": { "name": "rmsprop", "lr": 0.02, "centered": true, "epsilon": 0.01 } } }"#, 0.0);
    check(r#"{ "net": { "optimizer": { "name": "adagrad", "lr": 0.1, "lr_decay": 0.2 } } }"#, 0.0);
}

#[test]
fn projections() {
    check(r#"{ "net": { "project": { "name": "norm_ball", "radius": 1.5 } } }"#, 0.0);
    check(r#"{ "net": { "project": { "name": "clamp", "low": -0.4, "high": 0.5 } } }"#, 0.0);
    check(r#"{ "net": { "project": { "name": "simplex" }, "optimizer": { "momentum": 0.5 } } }"#, 0.0);
}

#[test]
fn schedules_of_groups() {
    let falling = |rate, factor| ExponentialLrSchedulerConfig::new(rate, factor);
    let config = ModuleLrSchedulerConfig::new(falling(0.05, 0.9).into());
    let config = config.with_group(ParamGroup::from_path("second"), falling(0.1, 0.7));
    check_prepared("{}", 0.0, |engine| engine.scheduler("net", config.init().unwrap()).unwrap());
}

#[test]
fn dropout_masks_are_those_of_the_steps() {
    check(r#"{ "net": { "optimizer": { "lr": 0.05 } } }"#, 0.4);
}

#[test]
fn clipping_and_accumulation() {
    let mut engine =
        Engine::new(Tuning { knobs: Knobs::new(&knobs()), net: Net::new(0.0) }, data(), TuningConfig::default())
            .unwrap()
            .observe(|event| {
                if let Event::Step { name: "net", gradient_norm, .. } = event {
                    assert!(*gradient_norm > 0.5, "clipping would not be tested: {gradient_norm}");
                }
            });
    engine.run(1).unwrap();
    check(r#"{ "net": { "clip": { "norm": 0.5 }, "accumulate": 3 } }"#, 0.0);
    check(r#"{ "net": { "clip": { "value": 0.7 }, "optimizer": { "momentum": 0.5 } } }"#, 0.0);
}

#[test]
fn steps_taken_again_give_the_same_bits() {
    let run = |memory: &str| {
        let config = format!(
            r#"{{ "net": {{
                "unroll": 37,
                "optimizer": {{ "name": "adam", "lr": 0.01 }},
                "accumulate": 2,
                "hypergradient": {{ "memory": {memory} }}
            }} }}"#
        );
        iteration(&config, Net::new(0.3), &knobs())
    };
    let plain = run("\"all\"");
    for memory in ["1", "4", "5", "8", "12", "20", "36", "37", "100"] {
        assert_eq!(run(memory), plain, "memory {memory}");
    }
}

#[test]
fn truncation_looks_back_from_the_end() {
    // Plain descent has no state, so the last steps are a run of their own from where the first ones ended.
    let config = |unroll: usize, hypergradient: &str| {
        format!(r#"{{ "net": {{ "unroll": {unroll}, "hypergradient": {hypergradient} }} }}"#)
    };
    let at = knobs();
    let problem = Tuning { knobs: Knobs::new(&at), net: Net::new(0.0) };
    let constant = || TuningData { net: Stream::constant(first(data().net)), ..data() };
    let gradient = |problem: Tuning, config: String| {
        let config = TuningConfig::from_json(&config).unwrap();
        let mut engine = Engine::new(problem, constant(), config).unwrap();
        engine.run(1).unwrap();
        engine.into_problem()
    };
    let mut middle = gradient(problem, config(9, r#"{ "truncate": 9 }"#));
    middle.knobs = Knobs::new(&at);
    let expected = gradient(middle, config(5, "{}")).knobs.values();
    for memory in ["\"all\"", "4"] {
        let problem = Tuning { knobs: Knobs::new(&at), net: Net::new(0.0) };
        let truncated = config(14, &format!(r#"{{ "truncate": 5, "memory": {memory} }}"#));
        assert_eq!(gradient(problem, truncated).knobs.values(), expected);
    }
}

/// The first batch of the stream.
fn first(_: Stream<Samples>) -> Samples {
    let mut random = StdRng::seed_from_u64(0);
    (tensor([BATCH, FEATURES], &mut random), tensor([BATCH, 1], &mut random))
}

#[test]
fn many_iterations_keep_differentiating_the_last_steps() {
    let config = TuningConfig::from_json(r#"{ "knobs": { "optimizer": { "lr": 0.05 } } }"#).unwrap();
    let mut engine = Engine::new(Tuning { knobs: Knobs::new(&knobs()), net: Net::new(0.0) }, data(), config).unwrap();
    let report = engine.run(12).unwrap();
    assert_eq!(report.levels[1].steps, 84);
    assert!(engine.gradient("knobs").unwrap().norm.is_finite());
}

#[test]
fn there_is_nothing_to_look_back_on_before_the_first_step() {
    let problem = Tuning { knobs: Knobs::new(&knobs()), net: Net::new(0.0) };
    let mut engine = Engine::new(problem, data(), TuningConfig::default()).unwrap();
    let error = engine.gradient("knobs").unwrap_err();
    assert!(matches!(&error, EngineError::Steps(StepsError::NotTaken { level }) if level == "net"), "{error}");
}

#[test]
fn more_steps_than_are_taken() {
    let config = TuningConfig::from_json(r#"{ "net": { "hypergradient": { "truncate": 8 } } }"#).unwrap();
    let problem = Tuning { knobs: Knobs::new(&knobs()), net: Net::new(0.0) };
    let error = Engine::new(problem, data(), config).err().unwrap();
    assert!(
        matches!(
            &error,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                rule: Violation::TruncateTooLong { truncate: 8, unroll: 7 },
                ..
            }))
        ),
        "{error}"
    );
}

#[test]
fn steps_that_are_not_there_when_the_level_above_begins() {
    let engine = |json: &str| {
        let problem = Tuning { knobs: Knobs::new(&knobs()), net: Net::new(0.0) };
        Engine::new(problem, data(), TuningConfig::from_json(json).unwrap())
    };
    let error = engine(r#"{ "net": { "warmup": 2 }, "knobs": { "warmup": 1 } }"#).err().unwrap();
    assert!(
        matches!(
            &error,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                rule: Violation::WarmupTooLong { warmup: 2, begins: 1, above: 0 },
                ..
            }))
        ),
        "{error}"
    );
    engine(r#"{ "net": { "warmup": 1 }, "knobs": { "warmup": 1 } }"#).unwrap().run(3).unwrap();
}

/// What stands before the first step depends on nothing, so nobody asks how the gradient changes with it: one step takes what one product
/// with mixed derivatives takes, and the way back through the update. How many operations those are, the method `identity` says.
#[test]
fn one_step_takes_no_product_with_its_own_hessian() {
    let operations = |method: &str, steps: usize| {
        let mut config = TuningConfig::default();
        (config.net.unroll, config.net.hypergradient) = (steps, Some(method.parse().unwrap()));
        let problem = Tuning { knobs: Knobs::new(&knobs()), net: Net::new(0.0) };
        let mut engine = Engine::new(problem, data(), config).unwrap();
        engine.run(1).unwrap();
        let before = launched();
        engine.gradient("knobs").unwrap();
        let told: f64 = engine.explain().unwrap().levels[0].responses.iter().map(|of| of.cost.operations).sum();
        (launched().operations - before.operations, told)
    };
    let (mixed, _) = operations("identity", 1);
    let [(one, one_told), (two, two_told), (three, three_told)] = [1, 2, 3].map(|steps| operations("unrolled", steps));
    let update = 10.0 * (FEATURES * HIDDEN + HIDDEN) as f64;
    assert!(one <= mixed + update, "{one} instead of {mixed}");
    // Every step more takes one, as `explain` says too.
    for (more, less) in [(two, one), (three, two), (two_told, one_told), (three_told, two_told)] {
        assert!(more - less > 2.0 * (one - mixed), "{more} after {less}");
    }
}

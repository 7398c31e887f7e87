//! Programs with levels in 16 bits: training, every method, levels of different types, and what runs report.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, Event, Precision, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::module::Param;
use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{DType, Device, Tensor};

use crate::model::{Mlp, apart, drawn, tensor};

type Examples = (Tensor<2>, Tensor<2>);
type Logits = Param<Tensor<1>>;

const TRAIN: usize = 96;

fn losses(model: &Mlp, (x, y): Examples) -> Tensor<1> {
    let count = x.dims()[0];
    (log_softmax(model.scores(x), 1) * y).sum_dim(1).neg().reshape([count])
}

fn weighted(model: &Mlp, logits: &Logits, batch: Examples) -> Tensor<1> {
    (sigmoid(logits.val()) * losses(model, batch)).mean()
}

fn held_out(logits: &Logits, model: &Mlp, batch: Examples) -> Tensor<1> {
    losses(model, batch).mean() + logits.val().powi_scalar(2).mean() * 0.01
}

multilevel! {
    pub struct Weighing;

    level logits: Logits {
        lower: [model], batch: Examples, loss: held_out, optimizer: adam(lr = 0.1), precision: bf16,
    }
    level model: Mlp {
        upper: [logits], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.1, momentum = 0.9), unroll: 3,
        hypergradient: cg(iterations = 5, damping = 1.0, tolerance = 0.0), precision: bf16,
    }
}

fn config(precision: Option<Precision>) -> WeighingConfig {
    let mut config = WeighingConfig::default();
    config.levels_mut().into_iter().for_each(|level| level.precision = precision);
    config
}

/// Inputs with soft labels that a linear map gives them, but for the last `wrong`, whose labels are the first ones'.
fn examples(count: usize, seed: u64, wrong: usize, dtype: DType) -> Examples {
    let x = tensor([count, 20], seed, DType::F32);
    let y = softmax(x.clone().matmul(tensor([20, 5], 5, DType::F32)) * 3.0, 1);
    let right = y.clone().slice(0..count - wrong);
    (x.cast(dtype), Tensor::cat(vec![right, y.slice(0..wrong)], 0).cast(dtype))
}

fn engine(config: WeighingConfig) -> Engine<Weighing> {
    engine_of(DType::F32, config)
}

/// With parameters and data of a type.
fn engine_of(dtype: DType, config: WeighingConfig) -> Engine<Weighing> {
    let problem = Weighing {
        logits: Param::from_tensor(Tensor::zeros([TRAIN], (&Device::flex(), dtype))),
        model: drawn(Mlp::new(), dtype),
    };
    let data = WeighingData {
        logits: Stream::constant(examples(64, 11, 0, dtype)),
        model: Stream::constant(examples(TRAIN, 1, 40, dtype)),
    };
    Engine::new(problem, data, config).unwrap()
}

fn logits(engine: &mut Engine<Weighing>) -> Vec<f64> {
    engine.problem().logits.val().into_data().iter::<f64>().collect()
}

fn hypergradient(config: WeighingConfig) -> Vec<f64> {
    let mut engine = engine(config);
    engine.run(1).unwrap();
    engine.gradient("logits").unwrap().gradient.to_vec().unwrap()
}

/// The last losses of both levels, and the weights.
fn trained(mut engine: Engine<Weighing>) -> (Vec<f64>, Vec<f64>) {
    let report = engine.run(60).unwrap();
    (report.levels.iter().map(|level| level.loss.unwrap()).collect(), logits(&mut engine))
}

#[test]
fn training_ends_where_single_precision_does() {
    assert_eq!(WeighingConfig::default().model.precision, Some(Precision::Bf16));
    let (losses, weights) = trained(engine(config(None)));
    let start = engine(config(None)).gradient("logits").unwrap().loss;
    assert!(losses[0] < 0.8 * start, "{start} {losses:?}");
    // A run adds up what each of its steps is off by, which is as much as a few units of the type.
    for (precision, tolerance) in [(Precision::Bf16, 1e-2), (Precision::F16, 2e-3)] {
        let (rounded, rounded_weights) = trained(engine(config(Some(precision))));
        let difference = apart(&rounded, &losses).max(apart(&rounded_weights, &weights));
        assert!(difference <= tolerance, "{precision:?}: {difference:.1e}");
        assert_ne!(rounded, losses);
    }
}

#[test]
fn whole_models_in_16_bits_train() {
    // A system is solved no further than its vectors can tell, and damped by more than what they cannot.
    let text = r#"{ "model": { "hypergradient": { "tolerance": 1e-2, "damping": 2.0 }, "precision": null },
                    "logits": { "precision": null } }"#;
    let config = || WeighingConfig::from_json(text).unwrap();
    let (losses, weights) = trained(engine(config()));
    // Each of 60 steps rounds all parameters, by up to 2⁻⁹ and 2⁻¹² of themselves.
    for (dtype, unit) in [(DType::BF16, 1.0 / 512.0), (DType::F16, 1.0 / 4096.0)] {
        let (rounded, rounded_weights) = trained(engine_of(dtype, config()));
        let difference = apart(&rounded, &losses).max(apart(&rounded_weights, &weights));
        assert!(difference <= 60.0 * unit, "{dtype:?}: {difference:.1e}");
    }
}

#[test]
fn every_method_differentiates_in_16_bits() {
    let methods = [
        r#"{ "method": "cg", "iterations": 5, "damping": 1.0 }"#,
        r#"{ "method": "minres", "iterations": 5, "damping": 1.0 }"#,
        r#"{ "method": "gmres", "iterations": 5, "damping": 1.0 }"#,
        r#"{ "method": "neumann", "terms": 5, "step_size": 0.2, "damping": 1.0 }"#,
        r#"{ "method": "nystrom", "rank": 8, "damping": 1.0 }"#,
        r#"{ "method": "identity" }"#,
        r#"{ "method": "finite_difference" }"#,
        r#"{ "method": "penalty", "steps": 5, "step_size": 0.2, "damping": 1.0 }"#,
        r#"{ "method": "sama" }"#,
        r#"{ "method": "unrolled" }"#,
    ];
    for method in methods {
        let of = |precision: &str| {
            let level = format!(r#"{{ "precision": {precision}, "hypergradient": {method} }}"#);
            let text = format!(r#"{{ "logits": {{ "precision": {precision} }}, "model": {level} }}"#);
            hypergradient(WeighingConfig::from_json(&text).unwrap())
        };
        let truth = of("null");
        for (precision, tolerance) in [("\"bf16\"", 2e-2), ("\"f16\"", 3e-3)] {
            let difference = apart(&of(precision), &truth);
            assert!(difference <= tolerance, "{method}, {precision}: {difference:.1e}");
        }
    }
}

#[test]
fn a_precision_is_its_levels_own() {
    let direct = |low: Option<Precision>| {
        let mut config = config(None);
        config.model.precision = low;
        let mut engine = engine(config);
        let total = engine.gradient("model").unwrap();
        (total.loss, total.gradient.to_vec().unwrap(), engine.gradient("logits").unwrap())
    };
    let (single, low) = (direct(None), direct(Some(Precision::Bf16)));
    // The loss of the level above does not change by a bit; the answer through the level below does.
    assert_eq!(low.2.loss, single.2.loss);
    assert_ne!(low.2.gradient.to_vec().unwrap(), single.2.gradient.to_vec().unwrap());
    assert_ne!(low.0, single.0);
    let difference = apart(&low.1, &single.1);
    assert!((1e-4..=2e-2).contains(&difference), "{difference:.1e}");
}

#[test]
fn observers_learn_how_far_rounding_moves_a_gradient() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let events = Rc::clone(&seen);
    let mut config = config(Some(Precision::Bf16));
    config.logits.precision = None;
    let mut engine = engine(config).observe(move |event| {
        if let Event::Rounding { name, difference, .. } = event {
            events.borrow_mut().push(((*name).to_owned(), *difference));
        }
    });
    engine.run(3).unwrap();
    // Once, for the one shape of the one level that rounds.
    let seen = seen.borrow();
    let [(name, difference)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(name, "model");
    assert!((5e-4..=1e-2).contains(difference), "{difference:.1e}");
}

#[test]
fn a_run_in_16_bits_resumes_bit_for_bit() {
    for precision in [Precision::Bf16, Precision::F16] {
        let mut whole = engine(config(Some(precision)));
        whole.run(5).unwrap();
        let checkpoint = whole.checkpoint().unwrap();
        whole.run(5).unwrap();
        let mut resumed = engine(config(Some(precision)));
        resumed.resume(&checkpoint, StreamPosition::Start).unwrap();
        resumed.run(5).unwrap();
        assert_eq!(logits(&mut resumed), logits(&mut whole));
    }
}

#[test]
fn products_in_16_bits_are_counted_as_such() {
    let bytes = |precision| {
        let explained = engine(config(precision)).explain().unwrap();
        (explained.levels[1].step.bytes, explained.levels[1].step.kernels)
    };
    let (single, low) = (bytes(None), bytes(Some(Precision::Bf16)));
    // Casts are kernels of their own.
    assert!(low.1 > single.1, "{single:?} {low:?}");
}

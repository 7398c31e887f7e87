//! Differences of the upper loss alone: unbiased, and enough where the loss has no derivative.

use betty_runtime::trace::TraceError;
use betty_runtime::{Engine, EngineError, ProgramConfig, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Int, Tensor};

use crate::linear::{LinearConfig, Vector, engine_with as linear_with, estimates, exact, half_square, vector};
use crate::problem::{iteration, knobs, relative};
use crate::statistics::{assert_unbiased, mean_and_error};

#[test]
fn the_mean_is_the_gradient_of_a_quadratic_at_any_width() {
    // Differences to both sides of a quadratic are exact.
    for sigma in [0.1, 3.0] {
        let method = format!(r#"{{ "method": "evolution", "pairs": 1, "sigma": {sigma} }}"#);
        assert_unbiased(&estimates(&method, 2000), &exact());
    }
}

#[test]
fn the_width_makes_no_difference_to_a_quadratic() {
    let found = |sigma: f64| estimates(&format!(r#"{{ "method": "evolution", "pairs": 2, "sigma": {sigma} }}"#), 1);
    assert!(relative(&found(1e-3)[0], &found(5.0)[0]) < 1e-9);
}

#[test]
fn the_steps_are_taken_again_with_the_same_masks_batches_and_rates() {
    // With a small width, estimates of a smooth loss differ from (gᵀε)·ε only by σ²: were masks or batches others in the
    // two runs of a pair, their difference over 2σ would be a thousand times too large.
    let config = |method: &str| {
        format!(
            r#"{{ "net": {{ "optimizer": {{ "name": "adam", "lr": 0.02 }}, "clip": {{ "norm": 1.0 }},
                  "accumulate": 2, "hypergradient": {method} }} }}"#
        )
    };
    let gradient = |method: &str| iteration(&config(method), 0.3, &knobs()).1;
    let exact = gradient(r#"{ "method": "unrolled" }"#);
    let estimates: Vec<Vec<f64>> = (0..60)
        .map(|seed| gradient(&format!(r#"{{ "method": "evolution", "pairs": 50, "sigma": 1e-3, "seed": {seed} }}"#)))
        .collect();
    assert_unbiased(&estimates, &exact);
}

const CLASSES: usize = 3;
const EXAMPLES: usize = 4;
const LABELS: [f64; EXAMPLES] = [0.0, 2.0, 1.0, 2.0];

/// Scores that follow `λ`, which there is one of for each score.
fn scores(theta: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    half_square(theta.x.val() - lambda.x.val())
}

/// The part of examples whose largest score is not that of the label.
fn mistakes(_lambda: &Vector, theta: &Vector, labels: Tensor<1>) -> Tensor<1> {
    let guessed: Tensor<2, Int> = theta.x.val().reshape([EXAMPLES, CLASSES]).argmax(1);
    guessed.reshape([EXAMPLES]).not_equal(labels.int()).float().mean()
}

/// The part of scores that are not above a threshold.
fn below_threshold(_lambda: &Vector, theta: &Vector, threshold: Tensor<1>) -> Tensor<1> {
    theta.x.val().lower_equal(threshold).float().mean()
}

multilevel! {
    struct Classified;
    level lambda: Vector { lower: [theta], batch: Tensor<1>, loss: mistakes, optimizer: sgd(lr = 0.5) }
    level theta: Vector {
        upper: [lambda], batch: Tensor<1>, loss: scores, optimizer: sgd(lr = 0.5, momentum = 0.3), unroll: 5,
        hypergradient: evolution(pairs = 16, sigma = 0.5),
    }
}

multilevel! {
    struct Thresholded;
    level lambda: Vector { lower: [theta], batch: Tensor<1>, loss: below_threshold, optimizer: sgd(lr = 2.0) }
    level theta: Vector {
        upper: [lambda], batch: Tensor<1>, loss: scores, optimizer: sgd(lr = 0.5), unroll: 5,
        hypergradient: evolution(pairs = 16, sigma = 0.5),
    }
}

fn classified(config: &str) -> Engine<Classified> {
    // Every example is taken for another class than its own.
    let at: Vec<f64> = LABELS
        .iter()
        .flat_map(|&label| (0..CLASSES).map(move |class| if class as f64 == label { -0.3 } else { 0.1 * class as f64 }))
        .collect();
    let problem = Classified { lambda: Vector::new(&at), theta: Vector::new(&at) };
    let data = ClassifiedData { lambda: Stream::constant(vector(&LABELS)), theta: Stream::constant(vector(&[0.0])) };
    Engine::new(problem, data, ClassifiedConfig::from_json(config).unwrap()).unwrap()
}

#[test]
fn an_accuracy_is_learned() {
    let mistakes = |config: &str| {
        let mut engine = classified(config);
        let first = engine.run(1).unwrap().levels[0].loss.unwrap();
        (first, engine.run(150).unwrap().levels[0].loss.unwrap())
    };
    assert_eq!(mistakes("{}"), (1.0, 0.0));
}

#[test]
fn other_methods_need_a_derivative() {
    let mut engine = classified(r#"{ "theta": { "hypergradient": { "method": "unrolled" } } }"#);
    let error = engine.run(1).unwrap_err();
    assert!(matches!(&error, EngineError::Trace(TraceError::NoDerivative { level }) if level == "lambda"), "{error}");
    assert!(error.to_string().contains("only `evolution` at a level below goes without"), "{error}");
}

#[test]
fn a_threshold_is_passed() {
    let at = [-0.4, 0.2, -0.1];
    let problem = Thresholded { lambda: Vector::new(&at), theta: Vector::new(&at) };
    let threshold = vector(&[0.5, 0.5, 0.5]);
    let data = ThresholdedData { lambda: Stream::constant(threshold), theta: Stream::constant(vector(&[0.0])) };
    let mut engine = Engine::new(problem, data, ThresholdedConfig::default()).unwrap();
    assert_eq!(engine.run(1).unwrap().levels[0].loss, Some(1.0));
    assert_eq!(engine.run(100).unwrap().levels[0].loss, Some(0.0));
}

#[test]
fn each_score_moves_towards_its_threshold() {
    // The gradient of the smoothed loss is minus the normal density of each gap, over the number of scores.
    let at = [-0.4, 0.2, -0.1];
    let problem = Thresholded { lambda: Vector::new(&at), theta: Vector::new(&at) };
    let data = ThresholdedData { lambda: Stream::constant(vector(&[0.0; 3])), theta: Stream::constant(vector(&[0.0])) };
    let json = r#"{ "lambda": { "optimizer": { "lr": 1e-13 } }, "theta": { "unroll": 1, "start": "initial",
        "optimizer": { "lr": 1.0 }, "hypergradient": { "pairs": 4 } } }"#;
    let mut engine = Engine::new(problem, data, ThresholdedConfig::from_json(json).unwrap()).unwrap();
    let mut round = || {
        engine.run(1).unwrap();
        engine.gradient("lambda").unwrap().gradient.to_vec().unwrap()
    };
    let estimates: Vec<Vec<f64>> = (0..1500).map(|_| round()).collect();
    // θ = λ after a step of length 1.
    let sigma = 0.5;
    let density = |x: f64| (-0.5 * (x / sigma).powi(2)).exp() / (sigma * (2.0 * std::f64::consts::PI).sqrt());
    let expected: Vec<f64> = at.iter().map(|&x| -density(x) / 3.0).collect();
    for (index, expected) in expected.iter().enumerate() {
        let (mean, error) = mean_and_error(estimates.iter().map(|estimate| estimate[index]));
        assert!((mean - expected).abs() < 4.0 * error && error < 0.02, "{index}: {mean} ± {error} is not {expected}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let method = r#"{ "method": "evolution", "pairs": 3 }"#;
    assert_eq!(estimates(method, 3), estimates(method, 3));
    let other = r#"{ "method": "evolution", "pairs": 3, "seed": 1 }"#;
    assert_ne!(estimates(method, 1), estimates(other, 1));
}

#[test]
fn estimates_are_compared_with_the_reference() {
    // Many steps reach the best response, whose derivative all of them then agree on.
    for (method, error) in [("forward", 1e-9), ("forward_gradient", 1.0), ("evolution", 1.0)] {
        let mut config = LinearConfig::default();
        (config.theta.unroll, config.theta.hypergradient) = (80, Some(method.parse().unwrap()));
        let mut engine = linear_with(config);
        engine.run(1).unwrap();
        let check = engine.verify_hypergradient("lambda").unwrap();
        assert_eq!((check.responses[0].method, check.responses[0].residual), (method, None));
        assert!(check.relative_error < error && check.cosine > 0.0, "{check}");
        assert!(check.to_string().contains(&format!("through `theta` by {method}")), "{check}");
        // The record is where it was.
        assert!(engine.gradient("lambda").is_ok());
    }
}

/// What is kept, and something that a derivative leads to.
#[derive(Module, Debug)]
struct Mask {
    thresholds: Param<Tensor<1>>,
    shift: Param<Tensor<1>>,
}

const SCORES: [f64; 3] = [-0.4, 0.2, 0.6];

/// Entries follow whether scores are above their thresholds, which no derivative tells.
fn kept(theta: &Vector, mask: &Mask, scores: Tensor<1>) -> Tensor<1> {
    half_square(theta.x.val() - scores.greater(mask.thresholds.val()).float().cast(DType::F64))
}

fn little(mask: &Mask, theta: &Vector, _: Tensor<1>) -> Tensor<1> {
    half_square(theta.x.val()) + half_square(mask.shift.val() - 0.5)
}

multilevel! {
    struct Masked;
    level mask: Mask { lower: [theta], batch: Tensor<1>, loss: little, optimizer: sgd(lr = 0.2) }
    level theta: Vector {
        upper: [mask], batch: Tensor<1>, loss: kept, optimizer: sgd(lr = 1.0), unroll: 1,
        hypergradient: evolution(pairs = 16, sigma = 0.5),
    }
}

#[test]
fn what_a_loss_reads_without_a_derivative_moves() {
    let parameter = |values: &[f64]| Param::from_tensor(vector(values));
    let mask = Mask { thresholds: parameter(&[0.0; 3]), shift: parameter(&[0.1; 3]) };
    let problem = Masked { mask, theta: Vector::new(&[0.0; 3]) };
    let data = MaskedData { mask: Stream::constant(vector(&[0.0])), theta: Stream::constant(vector(&SCORES)) };
    let mut engine = Engine::new(problem, data, MaskedConfig::default()).unwrap();
    // Two scores are above: θ = (0, 1, 1).
    let first = engine.run(1).unwrap().levels[0].loss.unwrap();
    assert!((first - 0.5 * (2.0 + 3.0 * 0.16)).abs() < 1e-12, "{first}");
    let last = engine.run(400).unwrap().levels[0].loss.unwrap();
    // Displacements of the thresholds that pass a score now and then move everything a little.
    assert!(last < 0.01, "{last}");
    let thresholds = engine.into_problem().mask.thresholds.val().into_data().try_to_vec::<f64>().unwrap();
    assert!(thresholds.iter().zip(SCORES).all(|(threshold, score)| *threshold > score), "{thresholds:?}");
}

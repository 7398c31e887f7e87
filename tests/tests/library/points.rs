//! One recording for many points: other batches, other parameters, other draws.

use betty_runtime::Derivatives;
use betty_runtime::Number;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Int, Tensor};

use crate::models::{Labelled, Mlp, hidden_layer};
use crate::reference::{burn_gradient, device, distance, drawn, labels, random};

fn loss(net: &Mlp, (x, y): Labelled) -> Tensor<1> {
    betty_tests::models::cross_entropy(net.forward(x), y)
}

fn batch(count: usize, seed: u64) -> (Tensor<2>, Tensor<1, Int>) {
    (random([count, 3], seed), labels(3, count))
}

#[test]
fn a_batch_of_the_same_shapes_is_not_recorded_again() {
    let net = hidden_layer();
    let mut derivatives = Derivatives::of(loss, &net, &batch(6, 1)).unwrap();
    let v = derivatives.parameters().normal(0);
    for (seed, count, recordings) in [(1, 6, 1), (2, 6, 1), (3, 4, 2), (4, 6, 2), (5, 4, 2), (6, 5, 3)] {
        let batch = batch(count, seed);
        let gradient = derivatives.on(&batch).unwrap().gradient().unwrap();
        derivatives.hessian().unwrap().product(&v).unwrap();
        assert_eq!(derivatives.recordings(), recordings);
        let expected = burn_gradient(&net, |net| loss(net, batch));
        assert!(distance(&gradient.to_vec().unwrap(), &expected.to_vec().unwrap()) < 1e-13);
    }
}

#[test]
fn other_parameters_are_not_recorded_again() {
    let mut net = hidden_layer();
    let batch = batch(6, 1);
    let mut derivatives = Derivatives::of(loss, &net, &batch).unwrap();
    let before = derivatives.hessian().unwrap().trace(2, 0).unwrap();
    for seed in 3..6 {
        net = drawn(net, seed);
        let gradient = derivatives.at(&net).unwrap().gradient().unwrap();
        let expected = burn_gradient(&net, |net| loss(net, batch.clone()));
        assert!(distance(&gradient.to_vec().unwrap(), &expected.to_vec().unwrap()) < 1e-13);
        assert_ne!(derivatives.hessian().unwrap().trace(2, 0).unwrap(), before);
    }
    assert_eq!(derivatives.recordings(), 1);
}

#[derive(Module, Debug)]
struct Dropped {
    first: Linear,
    dropout: Dropout,
    second: Linear,
}

impl Dropped {
    fn new(rate: f64) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).init(&device());
        let dropout = DropoutConfig::new(rate).init();
        drawn(Dropped { first: linear(3, 20), dropout, second: linear(20, 3) }, 2)
    }

    fn loss(&self, (x, y): Labelled) -> Tensor<1> {
        let hidden = self.dropout.forward(burn::tensor::activation::tanh(self.first.forward(x)));
        betty_tests::models::cross_entropy(self.second.forward(hidden), y)
    }
}

#[test]
fn a_changed_rate_of_dropout_is_recorded_again() {
    let batch = batch(6, 1);
    let mut derivatives = Derivatives::of(Dropped::loss, &Dropped::new(0.5), &batch).unwrap();
    let half = derivatives.value().unwrap();
    let mut whole = Dropped::new(0.0);
    let none = derivatives.at(&whole).unwrap().value().unwrap();
    assert_eq!(derivatives.recordings(), 2);
    let mut fresh = Derivatives::of(Dropped::loss, &whole, &batch).unwrap();
    assert_eq!(fresh.value().unwrap(), none);
    assert!((half - none).abs() > 1e-3);
    // So is a module in inference mode, whose flags alone differ.
    whole.dropout = DropoutConfig::new(0.5).init();
    let dropped = derivatives.at(&whole).unwrap().value().unwrap();
    let still = derivatives.at(&betty_runtime::nn::inference(&whole)).unwrap().value().unwrap();
    assert!((dropped - half).abs() < 1e-15 && (still - none).abs() < 1e-15);
}

#[derive(Module, Debug)]
struct Cut {
    layer: Linear,
    rows: usize,
}

#[test]
fn a_module_that_cannot_be_recorded_leaves_no_other_recording_in_its_place() {
    let cut = |rows| Cut { layer: drawn(LinearConfig::new(3, 2).init(&device()), 1), rows };
    let loss = |net: &Cut, x: Tensor<2>| net.layer.forward(x).reshape([net.rows, 2]).square().mean();
    let x = random([4, 3], 1);
    let mut derivatives = Derivatives::of(loss, &cut(4), &x).unwrap();
    let before = derivatives.value().unwrap();
    derivatives.at(&cut(5)).unwrap();
    // Not the first time, and not the second.
    assert!(derivatives.value().is_err() && derivatives.value().is_err());
    assert_eq!(derivatives.at(&cut(4)).unwrap().value().unwrap(), before);
}

#[test]
fn a_gradient_and_its_products_see_one_mask_which_the_seed_decides() {
    let batch = batch(6, 1);
    let net = Dropped::new(0.5);
    let mut derivatives = Derivatives::of(Dropped::loss, &net, &batch).unwrap();
    let mut seen = Vec::new();
    for seed in 0..3 {
        derivatives.seed(seed).at(&net).unwrap();
        seen.push(derivatives.value().unwrap());
        let theta = derivatives.parameters();
        let v = theta.normal(4);
        let product = derivatives.hessian().unwrap().product(&v).unwrap().to_vec().unwrap();
        let mut gradient = |h: f64| {
            let mut moved = theta.clone();
            moved.add_scaled(h, &v).unwrap();
            let moved = moved.put_into(net.clone()).unwrap();
            derivatives.at(&moved).unwrap().gradient().unwrap().to_vec().unwrap()
        };
        let h = 1e-5;
        let quotient: Vec<f64> = gradient(h).iter().zip(gradient(-h)).map(|(x, y)| (x - y) / (2.0 * h)).collect();
        assert!(distance(&product, &quotient) < 1e-7);
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2]);
    assert_eq!(derivatives.seed(0).at(&net).unwrap().value().unwrap(), seen[0]);
}

#[test]
fn numbers_of_a_batch_are_inputs_and_plain_data_are_not() {
    let net = hidden_layer();
    let x = random([4, 3], 1);
    let tempered = |net: &Mlp, (x, temperature, power): (Tensor<2>, Number, i32)| {
        let scaled = net.forward(x.clone()) / temperature.like(&x);
        scaled.powi_scalar(power).mean()
    };
    let mut derivatives = Derivatives::of(tempered, &net, &(x.clone(), 2.0.into(), 2)).unwrap();
    let two = derivatives.value().unwrap();
    let four = derivatives.on(&(x.clone(), 4.0.into(), 2)).unwrap().value().unwrap();
    assert!((two - 4.0 * four).abs() < 1e-15);
    assert_eq!(derivatives.recordings(), 1);
    derivatives.on(&(x, 4.0.into(), 4)).unwrap().value().unwrap();
    assert_eq!(derivatives.recordings(), 2);
}

#[test]
fn what_a_loss_reports_is_told() {
    let net = hidden_layer();
    let measured = |net: &Mlp, (x, y): Labelled| {
        let scores = net.forward(x);
        let largest = scores.clone().max();
        betty_runtime::Measured::new(betty_tests::models::cross_entropy(scores, y)).with("largest", largest)
    };
    let batch = batch(6, 1);
    let mut derivatives = Derivatives::of(measured, &net, &batch).unwrap();
    let metrics = derivatives.metrics().unwrap();
    let expected: f64 = net.forward(batch.0).max().into_scalar();
    assert_eq!((metrics.len(), &*metrics[0].0), (1, "largest"));
    assert!((metrics[0].1 - expected).abs() < 1e-15);
}

/// Burn's backward pass reads what it keeps of the forward pass for the last time, if nobody else holds it.
#[test]
fn a_loss_goes_on_computing_with_what_it_reports() {
    let net = hidden_layer();
    let batch = batch(6, 1);
    let parts = |net: &Mlp, (x, y): Labelled| {
        let error = betty_tests::models::cross_entropy(net.forward(x.clone()), y);
        let norm = net.forward(x).square().sum();
        (error.clone() * norm.clone().exp().log1p() + norm.clone().sqrt(), error, norm)
    };
    let measured = move |net: &Mlp, batch: Labelled| {
        let (loss, error, norm) = parts(net, batch);
        betty_runtime::Measured::new(loss).with("error", error).with("norm", norm)
    };
    let mut derivatives = Derivatives::of(measured, &net, &batch).unwrap();
    let metrics = derivatives.metrics().unwrap();
    let (_, error, norm) = parts(&net, batch.clone());
    for ((name, found), (expected, value)) in metrics.iter().zip([("error", error), ("norm", norm)]) {
        assert_eq!(&**name, expected);
        let value: f64 = value.into_scalar();
        assert!((found - value).abs() < 1e-14 * value.abs().max(1.0), "{name}: {found} {value}");
    }
    let gradient = derivatives.gradient().unwrap();
    let burn = burn_gradient(&net, |net| parts(net, batch.clone()).0);
    assert!(distance(&gradient.to_vec().unwrap(), &burn.to_vec().unwrap()) < 1e-13);
}

//! How far rounding moves derivatives of first and second order, against doubles.
//!
//! A product rounds both operands and its result, each by at most a unit `u` of the number (2⁻⁹ for bf16, 2⁻¹² for f16).
//! What passes through `p` products one after the other has been rounded `3·p` times, independently, so it is off by about
//! `√(3p)·u` of its norm as long as no product amplifies; twice that is allowed. With `d` products between data and loss, a
//! gradient passes through `2·d`, and a second derivative through `4·d`.

use betty_runtime::gradient;
use betty_tests::models::Recurrent;
use burn::tensor::{DType, Device, Int, Tensor};

use crate::model::{Attending, Convolutional, Mlp, Recorded, apart, drawn, mlp_batch, record, tensor};

const TYPES: [(DType, f64); 2] = [(DType::BF16, 1.0 / 512.0), (DType::F16, 1.0 / 4096.0)];

/// Compares products in 16 bits with the truth, of a loss whose data pass through `depth` products.
fn check(name: &str, single: &Recorded, truth: [Vec<f64>; 3], depth: f64, length: f64) {
    for (low, unit) in TYPES {
        let found = single.numbers(Some(low), length);
        let passed = [("gradient", 2.0), ("hvp", 4.0), ("mixed", 4.0)];
        for (((what, products), found), truth) in passed.iter().zip(&found).zip(&truth) {
            let (difference, bound) = (apart(found, truth), 2.0 * (3.0 * products * depth).sqrt() * unit);
            assert!(difference <= bound, "{name}, {what} in {low:?}: {difference:.1e} > {bound:.1e}");
            // It has been rounded at all.
            assert!(difference >= unit / 16.0, "{name}, {what} in {low:?}: {difference:.1e}");
        }
    }
}

/// The same, with the same loss recorded in doubles as the truth.
macro_rules! check_with_doubles {
    ($name:literal, $module:expr, $batch:expr, $loss:expr, $depth:literal) => {{
        let batch = $batch;
        let single = record(&drawn($module, DType::F32), &batch(DType::F32), $loss);
        let double = record(&drawn($module, DType::F64), &batch(DType::F64), $loss);
        for length in [1.0, 1e-6] {
            check($name, &single, double.numbers(None, length), $depth, length);
        }
    }};
}

#[test]
fn of_a_perceptron() {
    check_with_doubles!("perceptron", Mlp::new(), mlp_batch, |mlp, batch| mlp.loss(batch), 3.0);
}

#[test]
fn of_convolutions() {
    let batch = |dtype| tensor([3, 4, 7, 7], 1, dtype);
    check_with_doubles!("convolutions", Convolutional::new(), batch, |net, x| net.loss(x), 3.0);
}

#[test]
fn of_attention() {
    let batch = |dtype| tensor([2, 6, 16], 1, dtype);
    check_with_doubles!("attention", Attending::new(), batch, |net, x| net.loss(x), 4.0);
}

#[test]
fn of_a_recurrent_network() {
    // Burn's LSTM runs in single precision only; its rounding is four orders of magnitude smaller.
    let net = Recurrent::new(4, 8, 3, &Device::flex());
    let labels = Tensor::<1, Int>::from_ints([0, 2, 1], &Device::flex());
    let batch = (tensor([3, 6, 4], 1, DType::F32), labels);
    let single = record(&drawn(net, DType::F32), &batch, |net, batch| net.loss(batch));
    let truth = single.numbers(None, 1.0);
    check("recurrent network", &single, truth, 8.0, 1.0);
}

#[test]
fn of_a_gradient_inside_a_loss() {
    // A gradient penalty: the norm of the scores' gradient in the data shall be one.
    let penalty = |mlp: &Mlp, (x, _): (Tensor<2>, Tensor<2>)| {
        let slope = gradient(mlp.scores(x.clone()).sum(), x);
        (slope.powi_scalar(2).sum_dim(1).sqrt() - 1.0).powi_scalar(2).mean()
    };
    check_with_doubles!("gradient penalty", Mlp::new(), mlp_batch, penalty, 6.0);
}

#[test]
fn f32_is_what_single_precision_gives() {
    let single = record(&drawn(Mlp::new(), DType::F32), &mlp_batch(DType::F32), |mlp, batch| mlp.loss(batch));
    assert_eq!(single.numbers(Some(DType::F32), 1.0), single.numbers(None, 1.0));
    // Doubles whose products are computed in single precision are off by single precision.
    let double = record(&drawn(Mlp::new(), DType::F64), &mlp_batch(DType::F64), |mlp, batch| mlp.loss(batch));
    for (found, truth) in double.numbers(Some(DType::F32), 1.0).iter().zip(&double.numbers(None, 1.0)) {
        let difference = apart(found, truth);
        assert!((1e-9..=1e-5).contains(&difference), "{difference:.1e}");
    }
}

//! Logistic regression, whose Hessian is known, and Newton's method with it.

use betty_runtime::Derivatives;
use betty_runtime::linalg::CgOptions;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use crate::reference::{Matrix, device, distance, drawn, numbers, tensor};

type Pairs = (Tensor<2>, Tensor<2>);

/// Mean of `log(1 + exp(−y·f(x)))` for signs `y`, with a small penalty.
fn loss(model: &Linear, (x, y): Pairs) -> Tensor<1> {
    let penalty = model.weight.val().square().sum() * 0.01;
    log_sigmoid(model.forward(x) * y).neg().mean() + penalty
}

fn problem() -> (Linear, Pairs, Vec<f64>, Vec<f64>) {
    let (x, noise) = (numbers(40 * 4, 1), numbers(40, 2));
    let sign = |i: usize| if x[4 * i] - x[4 * i + 1] + 0.8 * noise[i] > 0.0 { 1.0 } else { -1.0 };
    let y: Vec<f64> = (0..40).map(sign).collect();
    let model = drawn(LinearConfig::new(4, 1).init(&device()), 3);
    let batch = (tensor(&x, [40, 4]), tensor(&y, [40, 1]));
    (model, batch, x, y)
}

#[test]
fn gradient_and_hessian_are_the_closed_form() {
    let (model, batch, x, y) = problem();
    let mut derivatives = Derivatives::of(loss, &model, &batch).unwrap();
    let theta = derivatives.parameters().to_vec().unwrap();
    let row = |i: usize| x[4 * i..4 * i + 4].iter().copied().chain([1.0]).collect::<Vec<f64>>();
    let mut gradient = vec![0.0; 5];
    let mut hessian: Matrix = vec![vec![0.0; 5]; 5];
    for (i, &y) in y.iter().enumerate() {
        let row = row(i);
        let score: f64 = row.iter().zip(&theta).map(|(x, w)| x * w).sum();
        let p = 1.0 / (1.0 + (y * score).exp());
        for j in 0..5 {
            gradient[j] -= p * y * row[j] / 40.0;
            for k in 0..5 {
                hessian[j][k] += p * (1.0 - p) * row[j] * row[k] / 40.0;
            }
        }
    }
    for j in 0..4 {
        gradient[j] += 0.02 * theta[j];
        hessian[j][j] += 0.02;
    }
    assert!(distance(&derivatives.gradient().unwrap().to_vec().unwrap(), &gradient) < 1e-14);
    let found = derivatives.hessian().unwrap().matrix(5).unwrap();
    assert!(distance(&found.concat(), &hessian.concat()) < 1e-13);
}

#[test]
fn newtons_method_converges_quadratically_on_one_recording() {
    let (mut model, batch, ..) = problem();
    let mut derivatives = Derivatives::of(loss, &model, &batch).unwrap();
    let mut norms = Vec::new();
    for _ in 0..8 {
        derivatives.at(&model).unwrap();
        let gradient = derivatives.gradient().unwrap();
        norms.push(gradient.norm().unwrap());
        let options = CgOptions { iterations: 20, tolerance: 1e-10, damping: 0.0 };
        let step = derivatives.hessian().unwrap().conjugate_gradient(&gradient, &options);
        // Nothing is left to solve for at the end.
        let Ok(step) = step else { break };
        let mut theta = derivatives.parameters();
        theta.add_scaled(-1.0, &step.x).unwrap();
        model = theta.put_into(model).unwrap();
    }
    assert!(norms.iter().copied().fold(f64::INFINITY, f64::min) < 1e-14, "{norms:?}");
    assert!(norms[3] < norms[2].powi(2) * 100.0, "{norms:?}");
    assert_eq!(derivatives.recordings(), 1);
}

//! Losses of two modules.

use betty_runtime::{Derivatives, DerivativesError};
use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use crate::reference::{burn_gradient, device, distance, dot, drawn, random, tensor, values};

type Weights = Param<Tensor<1>>;
type Pairs = (Tensor<2>, Tensor<2>);

fn weighted(model: &Linear, weights: &Weights, (x, y): Pairs) -> Tensor<1> {
    let gap = (model.forward(x) - y).square();
    (sigmoid(weights.val()).reshape([6, 1]) * gap).mean()
}

fn problem() -> (Linear, Weights, Pairs) {
    let model = drawn(LinearConfig::new(3, 1).init(&device()), 1);
    (model, Param::from_tensor(random([6], 2)), (random([6, 3], 3), random([6, 1], 4)))
}

#[test]
fn mixed_products_are_the_closed_form_and_each_others_transpose() {
    let (model, weights, batch) = problem();
    let mut derivatives = Derivatives::of_two(weighted, (&model, &weights), &batch).unwrap();
    let v = derivatives.parameters().normal(5);
    let found = derivatives.mixed_product(&v).unwrap().to_vec().unwrap();
    let (x, y) = (values(batch.0.clone()), values(batch.1.clone()));
    let (theta, v_) = (derivatives.parameters().to_vec().unwrap(), v.to_vec().unwrap());
    let expected: Vec<f64> = values(weights.val())
        .iter()
        .enumerate()
        .map(|(i, w)| {
            let row = [x[3 * i], x[3 * i + 1], x[3 * i + 2], 1.0];
            let s = 1.0 / (1.0 + (-w).exp());
            s * (1.0 - s) * 2.0 * (dot(&row, &theta) - y[i]) * dot(&row, &v_) / 6.0
        })
        .collect();
    assert!(distance(&found, &expected) < 1e-14);
    let w = derivatives.second_parameters().normal(6);
    let back = derivatives.transposed_mixed_product(&w).unwrap();
    assert!((back.dot(&v).unwrap() - dot(&found, &w.to_vec().unwrap())).abs() < 1e-14);
}

#[test]
fn both_gradients_are_burns() {
    let (model, weights, batch) = problem();
    let mut derivatives = Derivatives::of_two(weighted, (&model, &weights), &batch).unwrap();
    let both = burn_gradient(&(model, weights), |(model, weights)| weighted(model, weights, batch.clone()));
    let gradients = [derivatives.gradient().unwrap(), derivatives.second_gradient().unwrap()];
    let joined = gradients.map(|gradient| gradient.to_vec().unwrap()).concat();
    assert!(distance(&joined, &both.to_vec().unwrap()) < 1e-13);
}

#[test]
fn both_modules_move() {
    let (model, weights, batch) = problem();
    let mut derivatives = Derivatives::of_two(weighted, (&model, &weights), &batch).unwrap();
    let before = derivatives.second_gradient().unwrap().to_vec().unwrap();
    let other = Param::from_tensor(tensor(&[0.5; 6], [6]));
    let after = derivatives.at_both(&drawn(model, 9), &other).unwrap().second_gradient().unwrap().to_vec().unwrap();
    assert!(distance(&before, &after) > 0.1);
    assert_eq!(derivatives.recordings(), 1);
    let shorter = Param::from_tensor(tensor(&[0.5; 5], [5]));
    let (model, ..) = problem();
    let error = derivatives.at_both(&model, &shorter).map(drop).unwrap_err();
    assert!(matches!(error, DerivativesError::OtherModule { .. }));
    // A vector of the other module's parameters is none of this one's.
    let v = derivatives.parameters().normal(0);
    assert!(matches!(derivatives.transposed_mixed_product(&v), Err(DerivativesError::OtherParameters { .. })));
    assert!(derivatives.mixed_product(&v).is_ok());
}

//! Least squares: Jacobian and Gauss-Newton products against explicit matrices.

use betty_runtime::{Derivatives, DerivativesError, ParameterVector, output};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Tensor;

use crate::models::{Mlp, hidden_layer};
use crate::reference::{
    Matrix, apply, device, distance, drawn, labels, numbers, product, random, tensor, transposed, values,
};

type Pairs = (Tensor<2>, Tensor<2>);

fn linear() -> Linear {
    drawn(LinearConfig::new(3, 2).init(&device()), 1)
}

/// `∂(x·W + b)/∂(W, b)` for outputs in row-major order.
fn design(x: &[f64], rows: usize) -> Matrix {
    let row = |i: usize, k: usize| {
        let weights = (0..3).flat_map(|j| (0..2).map(move |l| if l == k { x[3 * i + j] } else { 0.0 }));
        weights.chain((0..2).map(|l| if l == k { 1.0 } else { 0.0 })).collect::<Vec<f64>>()
    };
    (0..rows).flat_map(|i| (0..2).map(move |k| (i, k))).map(|(i, k)| row(i, k)).collect()
}

#[test]
fn a_linear_model_has_the_design_matrix_as_jacobian() {
    let (model, x) = (linear(), numbers(15, 2));
    let j = design(&x, 5);
    let batch = tensor(&x, [5, 3]);
    let mut derivatives =
        Derivatives::of_output(|model: &Linear, x: Tensor<2>| model.forward(x), &model, &batch).unwrap();
    let v = derivatives.parameters().normal(3);
    let moved: Tensor<2> = derivatives.jvp(&v).unwrap();
    assert_eq!(moved.dims(), [5, 2]);
    assert!(distance(&values(moved), &apply(&j, &v.to_vec().unwrap())) < 1e-14);
    let cotangent = random([5, 2], 4);
    let pulled = derivatives.vjp(cotangent.clone()).unwrap();
    assert!(distance(&pulled.to_vec().unwrap(), &apply(&transposed(&j), &values(cotangent))) < 1e-14);
    let out: Tensor<2> = derivatives.output().unwrap();
    assert!(distance(&values(out), &values(model.forward(batch))) < 1e-15);
    let squared = derivatives.gauss_newton().unwrap().matrix(8).unwrap();
    assert!(distance(&squared.concat(), &product(&transposed(&j), &j).concat()) < 1e-14);
    // The loss is ½‖f‖², which is linear in the parameters' square.
    let hessian = derivatives.hessian().unwrap().matrix(8).unwrap();
    assert!(distance(&hessian.concat(), &squared.concat()) < 1e-14);
}

#[test]
fn a_penalty_beside_the_output_keeps_its_hessian() {
    let (model, x) = (linear(), numbers(15, 2));
    let loss = |model: &Linear, (x, y): Pairs| {
        let gap = output(model.forward(x)) - y;
        gap.square().sum() * 0.5 + model.weight.val().square().sum() * 0.15
    };
    let batch = (tensor(&x, [5, 3]), random([5, 2], 5));
    let mut derivatives = Derivatives::of(loss, &model, &batch).unwrap();
    let j = design(&x, 5);
    let mut expected = product(&transposed(&j), &j);
    (0..6).for_each(|i| expected[i][i] += 0.3);
    let matrix = derivatives.gauss_newton().unwrap().matrix(8).unwrap();
    assert!(distance(&matrix.concat(), &expected.concat()) < 1e-14);
}

/// The Jacobian of a model, column by column.
fn jacobian(derivatives: &mut Derivatives<'_, Mlp, Tensor<2>>) -> Matrix {
    let like = derivatives.parameters();
    let column = |k: usize| {
        let mut unit = vec![0.0; like.len()];
        unit[k] = 1.0;
        let moved: Tensor<2> = derivatives.jvp(&like.with_values(&unit).unwrap()).unwrap();
        values(moved)
    };
    transposed(&(0..like.len()).map(column).collect())
}

#[test]
fn the_gauss_newton_matrix_of_a_classifier_is_made_of_its_jacobian() {
    let (net, x, y) = (hidden_layer(), random([6, 3], 6), labels(3, 6));
    let of_output = |net: &Mlp, x: Tensor<2>| net.forward(x);
    let mut of_model = Derivatives::of_output(of_output, &net, &x).unwrap();
    let j = jacobian(&mut of_model);
    // Columns are differences of the model itself.
    let theta = of_model.parameters();
    let v = theta.normal(7);
    let moved = |h: f64| {
        let mut at = theta.clone();
        at.add_scaled(h, &v).unwrap();
        values(at.put_into(net.clone()).unwrap().forward(x.clone()))
    };
    let h = 1e-4;
    let quotient: Vec<f64> = moved(h).iter().zip(moved(-h)).map(|(x, y)| (x - y) / (2.0 * h)).collect();
    assert!(distance(&apply(&j, &v.to_vec().unwrap()), &quotient) < 1e-7);
    let rows: Matrix = (0..18)
        .map(|k| {
            let mut unit = vec![0.0; 18];
            unit[k] = 1.0;
            of_model.vjp(tensor(&unit, [6, 3])).unwrap().to_vec().unwrap()
        })
        .collect();
    assert!(distance(&rows.concat(), &j.concat()) < 1e-13);
    // Softmax and cross-entropy have the Hessian diag(p) − p·pᵀ in each row of the output.
    let out = values(of_model.output::<2>().unwrap());
    let mut middle = vec![vec![0.0; 18]; 18];
    for i in 0..6 {
        let exps: Vec<f64> = out[3 * i..3 * i + 3].iter().map(|x| x.exp()).collect();
        let total: f64 = exps.iter().sum();
        for k in 0..3 {
            for l in 0..3 {
                let (p, q) = (exps[k] / total, exps[l] / total);
                middle[3 * i + k][3 * i + l] = (if k == l { p } else { 0.0 } - p * q) / 6.0;
            }
        }
    }
    let expected = product(&transposed(&j), &product(&middle, &j));
    let loss =
        |net: &Mlp, (x, y): crate::models::Labelled| betty_tests::models::cross_entropy(output(net.forward(x)), y);
    let mut derivatives = Derivatives::of(loss, &net, &(x, y)).unwrap();
    let matrix = derivatives.gauss_newton().unwrap().matrix(100).unwrap();
    assert!(distance(&matrix.concat(), &expected.concat()) < 1e-12);
    let ends = derivatives.gauss_newton().unwrap().eigenvalues(40, 0).unwrap();
    assert!(ends.smallest().value > -1e-12);
    // The Hessian is another one: the model is not linear.
    let hessian = derivatives.hessian().unwrap().matrix(100).unwrap();
    assert!(distance(&hessian.concat(), &expected.concat()) > 1e-2);
}

#[test]
fn a_marked_output_changes_no_derivative() {
    let (model, batch) = (linear(), (random([5, 3], 8), random([5, 2], 9)));
    let plain = |model: &Linear, (x, y): Pairs| (model.forward(x) - y).square().mean();
    let marked = |model: &Linear, (x, y): Pairs| (output(model.forward(x)) - y).square().mean();
    let mut one = Derivatives::of(plain, &model, &batch).unwrap();
    let mut other = Derivatives::of(marked, &model, &batch).unwrap();
    let same = |x: ParameterVector, y: ParameterVector| assert_eq!(x.to_vec().unwrap(), y.to_vec().unwrap());
    same(one.gradient().unwrap(), other.gradient().unwrap());
    let v = one.parameters().normal(0);
    same(one.hessian().unwrap().product(&v).unwrap(), other.hessian().unwrap().product(&v).unwrap());
    assert!(matches!(one.gauss_newton().map(drop), Err(DerivativesError::NoOutput)));
    assert!(matches!(one.jvp::<2>(&v), Err(DerivativesError::NoOutput)));
}

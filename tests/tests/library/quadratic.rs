//! `½·θᵀAθ − bᵀθ`, of which everything is known.

use betty_runtime::linalg::{CgOptions, LinearOperator, MinresOptions, NeumannOptions, RitzValue, SolveError, neumann};
use betty_runtime::{Derivatives, DerivativesError};
use burn::module::Param;
use burn::tensor::Tensor;

use crate::reference::{Matrix, apply, distance, dot, numbers, solved, tensor, with_spectrum};

pub(crate) type Point = Param<Tensor<1>>;
pub(crate) type Quadratic = (Tensor<2>, Tensor<1>);

pub(crate) fn loss(point: &Point, (a, b): Quadratic) -> Tensor<1> {
    let theta = point.val();
    let curved = a.matmul(theta.clone().unsqueeze_dim(1)).squeeze_dim(1);
    (theta.clone() * curved * 0.5 - theta * b).sum()
}

pub(crate) fn problem(a: &Matrix, b: &[f64], theta: &[f64]) -> (Point, Quadratic) {
    let n = b.len();
    (Param::from_tensor(tensor(theta, [n])), (tensor(&a.concat(), [n, n]), tensor(b, [n])))
}

const SPECTRUM: [f64; 9] = [-3.0, -1.0, -0.25, 0.5, 1.0, 2.0, 3.5, 7.0, 10.0];
const POSITIVE: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 7.0, 10.0];

#[test]
fn value_gradient_and_products_are_the_closed_form() {
    let (a, b, theta) = (with_spectrum(&SPECTRUM, 1), numbers(9, 2), numbers(9, 3));
    let (point, batch) = problem(&a, &b, &theta);
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let (value, gradient) = derivatives.value_and_gradient().unwrap();
    let at = apply(&a, &theta);
    assert!((value - (0.5 * dot(&theta, &at) - dot(&b, &theta))).abs() < 1e-13);
    let expected: Vec<f64> = at.iter().zip(&b).map(|(x, y)| x - y).collect();
    assert!(distance(&gradient.to_vec().unwrap(), &expected) < 1e-14);
    assert_eq!(derivatives.value().unwrap(), value);
    let vector = gradient.normal(4);
    let product = derivatives.hessian().unwrap().product(&vector).unwrap();
    assert!(distance(&product.to_vec().unwrap(), &apply(&a, &vector.to_vec().unwrap())) < 1e-14);
    let matrix = derivatives.hessian().unwrap().matrix(9).unwrap();
    assert!(distance(&matrix.concat(), &a.concat()) < 1e-14);
    let refused = derivatives.hessian().unwrap().matrix(8);
    assert!(matches!(refused, Err(DerivativesError::TooLarge { dimension: 9, limit: 8 })));
}

#[test]
fn all_eigenvalues_and_their_vectors_are_found() {
    let a = with_spectrum(&SPECTRUM, 1);
    let (point, batch) = problem(&a, &[0.0; 9], &numbers(9, 3));
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let found = derivatives.hessian().unwrap().eigenvalues(20, 5).unwrap();
    // The Krylov space is exhausted after nine products.
    assert_eq!(found.all().len(), 9);
    for (RitzValue { value, error, .. }, exact) in found.all().zip(SPECTRUM) {
        assert!((value - exact).abs() < 1e-12 && error < 1e-6, "{value} {exact} {error:e}");
    }
    assert_eq!((found.smallest(), found.largest()), (found.all().next().unwrap(), found.all().last().unwrap()));
    let total: f64 = found.all().map(|estimate| estimate.weight).sum();
    assert!((total - 1.0).abs() < 1e-13);
    for (vectors, ends) in
        [(found.top_vectors(2), [SPECTRUM[8], SPECTRUM[7]]), (found.bottom_vectors(2), [SPECTRUM[0], SPECTRUM[1]])]
    {
        for (vector, eigenvalue) in vectors.iter().zip(ends) {
            let x = vector.to_vec().unwrap();
            let scaled: Vec<f64> = x.iter().map(|x| eigenvalue * x).collect();
            assert!(distance(&apply(&a, &x), &scaled) < 1e-10);
            assert!((vector.norm().unwrap() - 1.0).abs() < 1e-12);
        }
    }
    assert_eq!(found.top_vectors(20).len(), 9);
}

#[test]
fn few_products_bound_the_ends() {
    let spectrum: Vec<f64> = (0..40).map(|k| if k == 39 { 30.0 } else { f64::from(k) * 0.1 - 1.0 }).collect();
    let (point, batch) = problem(&with_spectrum(&spectrum, 6), &[0.0; 40], &[0.0; 40]);
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    for products in [1, 2, 5, 12, 25] {
        let found = derivatives.hessian().unwrap().eigenvalues(products, 7).unwrap();
        assert_eq!(found.all().len(), products);
        for RitzValue { value, error, .. } in found.all() {
            let nearest = spectrum.iter().map(|x| (x - value).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= error + 1e-12, "{products}: {nearest:e} {error:e}");
        }
        assert!(found.largest().value <= 30.0 + 1e-12 && found.smallest().value >= -1.0 - 1e-12);
    }
    let found = derivatives.hessian().unwrap().eigenvalues(25, 7).unwrap();
    assert!(found.largest().error < 1e-6 && (found.largest().value - 30.0).abs() < 1e-6);
}

#[test]
fn the_density_counts_eigenvalues() {
    let spectrum: Vec<f64> = (0..60).map(|k| if k < 40 { 0.01 * f64::from(k % 3) } else { 5.0 }).collect();
    let (point, batch) = problem(&with_spectrum(&spectrum, 6), &[0.0; 60], &[0.0; 60]);
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let density = derivatives.hessian().unwrap().density(40, 10, 1).unwrap();
    let total: f64 = density.points.iter().map(|(_, weight)| weight).sum();
    assert!((total - 1.0).abs() < 1e-12);
    // Two thirds are small; the spread of one start's weight is about √(2·⅓·⅔/60).
    let share = density.share_below(1.0);
    assert!((share - 2.0 / 3.0).abs() < 5.0 * (2.0 / 9.0 * 2.0 / 60.0_f64 / 40.0).sqrt(), "{share}");
    let step = 0.01;
    let integral: f64 = (-200..800).map(|k| density.smoothed(f64::from(k) * step, 0.1) * step).sum();
    assert!((integral - 1.0).abs() < 1e-6, "{integral}");
}

#[test]
fn damped_systems_are_solved_and_the_residual_is_true() {
    let (b, theta) = (numbers(9, 2), numbers(9, 3));
    for (spectrum, damping) in [(POSITIVE, 0.0), (POSITIVE, 0.7), (SPECTRUM, 3.5)] {
        let a = with_spectrum(&spectrum, 1);
        let (point, batch) = problem(&a, &b, &theta);
        let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
        let right = derivatives.gradient().unwrap();
        let exact = solved(&a, damping, &right.to_vec().unwrap());
        let mut hessian = derivatives.hessian().unwrap();
        let cg = CgOptions { iterations: 30, tolerance: 1e-12, damping };
        let minres = MinresOptions { iterations: 30, tolerance: 1e-12, damping };
        for solution in [hessian.conjugate_gradient(&right, &cg).unwrap(), hessian.minres(&right, &minres).unwrap()] {
            assert!(distance(&solution.x.to_vec().unwrap(), &exact) < 1e-11);
            assert!(solution.outcome.converged && solution.outcome.residual < 1e-12);
        }
    }
    // An indefinite system is none for conjugate gradients.
    let a = with_spectrum(&SPECTRUM, 1);
    let (point, batch) = problem(&a, &b, &theta);
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let right = derivatives.gradient().unwrap();
    let mut hessian = derivatives.hessian().unwrap();
    let options = MinresOptions { iterations: 30, tolerance: 1e-12, damping: 0.0 };
    let solution = hessian.minres(&right, &options).unwrap();
    assert!(distance(&solution.x.to_vec().unwrap(), &solved(&a, 0.0, &right.to_vec().unwrap())) < 1e-11);
    let options = CgOptions { iterations: 30, tolerance: 1e-12, damping: 0.0 };
    let error = hessian.conjugate_gradient(&right, &options).unwrap_err();
    let DerivativesError::Solve(reason) = &error else { panic!("{error}") };
    let SolveError::NotPositiveDefinite { smallest, remedy, .. } = **reason else { panic!("{error}") };
    assert!((smallest + 3.0).abs() < 1e-6);
    // The damping that it names is enough.
    let options = CgOptions { damping: remedy.damping.unwrap(), ..options };
    assert!(hessian.conjugate_gradient(&right, &options).unwrap().outcome.converged);
}

#[test]
fn numbers_of_solvers_are_checked() {
    let (a, b, theta) = (with_spectrum(&POSITIVE, 1), numbers(9, 2), numbers(9, 3));
    let (point, batch) = problem(&a, &b, &theta);
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let right = derivatives.gradient().unwrap();
    let mut hessian = derivatives.hessian().unwrap();
    let good = CgOptions { iterations: 9, tolerance: 1e-8, damping: 0.0 };
    for (options, text) in [
        (CgOptions { iterations: 0, ..good }, "`iterations` is 0; it must be an integer greater than zero"),
        (CgOptions { tolerance: f64::NAN, ..good }, "`tolerance` is NaN; it must be a number that is not negative"),
        (CgOptions { tolerance: -1.0, ..good }, "`tolerance` is -1; it must be a number that is not negative"),
        (CgOptions { damping: f64::INFINITY, ..good }, "`damping` is inf; it must be a finite number"),
    ] {
        let error = hessian.conjugate_gradient(&right, &options).unwrap_err();
        assert_eq!(error.to_string(), text);
        let CgOptions { iterations, tolerance, damping } = options;
        let error = hessian.minres(&right, &MinresOptions { iterations, tolerance, damping }).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    assert!(hessian.conjugate_gradient(&right, &good).is_ok());
}

#[test]
fn too_few_iterations_are_an_error_only_where_a_tolerance_is_asked_for() {
    let (a, b, theta) = (with_spectrum(&POSITIVE, 1), numbers(9, 2), numbers(9, 3));
    let (point, batch) = problem(&a, &b, &theta);
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let right = derivatives.gradient().unwrap();
    let mut hessian = derivatives.hessian().unwrap();
    let options = CgOptions { iterations: 3, tolerance: 1e-8, damping: 0.0 };
    let error = hessian.conjugate_gradient(&right, &options).unwrap_err();
    let DerivativesError::Solve(reason) = &error else { panic!("{error}") };
    assert!(matches!(**reason, SolveError::NoConvergence { iterations: 3, tolerance: 1e-8, .. }));
    assert!(error.to_string().contains("allow more iterations, or add damping"), "{error}");
    let solution = hessian.conjugate_gradient(&right, &CgOptions { tolerance: 0.0, ..options }).unwrap();
    assert!(!solution.outcome.converged && solution.outcome.iterations == 3);
    // The residual is that of the answer.
    let x = solution.x.to_vec().unwrap();
    let rest: Vec<f64> = apply(&a, &x).iter().zip(right.to_vec().unwrap()).map(|(x, y)| x - y).collect();
    let expected = (dot(&rest, &rest)).sqrt() / right.norm().unwrap();
    assert!((solution.outcome.residual - expected).abs() < 1e-13);
    let zero = hessian.conjugate_gradient(&right.zeros(), &options).unwrap();
    assert!(zero.outcome.converged && zero.x.to_vec().unwrap() == [0.0; 9]);
}

#[test]
fn every_solver_of_linalg_takes_the_operator() {
    let a = with_spectrum(&POSITIVE, 1);
    let (point, batch) = problem(&a, &numbers(9, 2), &numbers(9, 3));
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let right = derivatives.gradient().unwrap();
    let mut hessian = derivatives.hessian().unwrap();
    let options = NeumannOptions { terms: 4000, step_size: 0.1, damping: 0.0 };
    let solution = neumann(&mut hessian, &right, None, &options).unwrap();
    let exact = solved(&a, 0.0, &right.to_vec().unwrap());
    assert!(distance(&solution.x.to_vec().unwrap(), &exact) < 1e-10);
    let product = hessian.apply(&solution.x).unwrap();
    assert!(distance(&product.to_vec().unwrap(), &right.to_vec().unwrap()) < 1e-10);
}

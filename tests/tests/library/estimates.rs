//! Estimates of trace and diagonal, with their standard errors.

use betty_runtime::Derivatives;

use crate::quadratic::{loss, problem};
use crate::reference::{numbers, with_spectrum};

#[test]
fn a_diagonal_matrix_is_known_exactly() {
    let spectrum = [1.0, -2.0, 3.0, 0.5];
    let a = (0..4).map(|i| (0..4).map(|j| if i == j { spectrum[i] } else { 0.0 }).collect()).collect();
    let (point, batch) = problem(&a, &[0.0; 4], &numbers(4, 1));
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let mut hessian = derivatives.hessian().unwrap();
    let trace = hessian.trace(2, 0).unwrap();
    assert!((trace.value - 2.5).abs() < 1e-14 && trace.error < 1e-14 && trace.samples == 2);
    let diagonal = hessian.diagonal(3, 0).unwrap();
    assert_eq!(diagonal.value.to_vec().unwrap(), spectrum);
    assert_eq!(diagonal.error.to_vec().unwrap(), [0.0; 4]);
}

#[test]
fn standard_errors_are_those_of_theory() {
    let spectrum: Vec<f64> = (0..12).map(|k| f64::from(k) - 3.0).collect();
    let a = with_spectrum(&spectrum, 2);
    let (point, batch) = problem(&a, &[0.0; 12], &[0.0; 12]);
    let mut derivatives = Derivatives::of(loss, &point, &batch).unwrap();
    let mut hessian = derivatives.hessian().unwrap();
    let samples = 400;
    let trace = hessian.trace(samples, 3).unwrap();
    let exact: f64 = spectrum.iter().sum();
    // For signs, the variance is twice the sum of the squares beside the diagonal.
    let beside = |i: usize| (0..12).filter(|&j| j != i).map(|j| a[i][j].powi(2)).sum::<f64>();
    let error = (2.0 * (0..12).map(beside).sum::<f64>() / samples as f64).sqrt();
    assert!((trace.error / error - 1.0).abs() < 0.15, "{} {error}", trace.error);
    assert!((trace.value - exact).abs() < 4.0 * error, "{} {exact}", trace.value);
    let diagonal = hessian.diagonal(samples, 4).unwrap();
    let (values, errors) = (diagonal.value.to_vec().unwrap(), diagonal.error.to_vec().unwrap());
    for i in 0..12 {
        let error = (beside(i) / samples as f64).sqrt();
        assert!((errors[i] / error - 1.0).abs() < 0.2, "{} {error}", errors[i]);
        assert!((values[i] - a[i][i]).abs() < 4.5 * error, "{} {}", values[i], a[i][i]);
    }
    // Another seed, another estimate; the same seed, the same one.
    assert_ne!(hessian.trace(5, 3).unwrap(), hessian.trace(5, 4).unwrap());
    assert_eq!(hessian.trace(5, 3).unwrap(), hessian.trace(5, 3).unwrap());
}

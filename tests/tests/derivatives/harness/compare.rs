//! Host numbers, and how far two lists of them are apart.

use betty_runtime::execute::Value;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::RngExt;
use rand::rngs::StdRng;

pub(crate) fn float(values: &[f64], device: &Device, dtype: DType) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]).convert_dtype(dtype), (device, dtype))
}

pub(crate) fn random(count: usize, rng: &mut StdRng) -> Vec<f64> {
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `‖x − y‖` relative to the larger norm.
pub(crate) fn distance(x: &[f64], y: &[f64]) -> f64 {
    gap(x, y) / norm(x).max(norm(y)).max(f64::MIN_POSITIVE)
}

pub(crate) fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

fn gap(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "as many numbers");
    let gap: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
    norm(&gap)
}

#[track_caller]
pub(crate) fn close(case: &str, what: &str, x: &[f64], y: &[f64], tolerance: f64) {
    accept(case, what, x, y, distance(x, y), tolerance);
}

/// [`close`] for numbers that are small differences of larger ones, relative to at least this scale.
#[track_caller]
pub(crate) fn close_at(case: &str, what: &str, x: &[f64], y: &[f64], scale: f64, tolerance: f64) {
    let scale = norm(x).max(norm(y)).max(scale).max(f64::MIN_POSITIVE);
    accept(case, what, x, y, gap(x, y) / scale, tolerance);
}

#[track_caller]
fn accept(case: &str, what: &str, x: &[f64], y: &[f64], distance: f64, tolerance: f64) {
    if std::env::var_os("BETTY_SHOW_ERRORS").is_some() {
        println!("{case}\t{what}\t{distance:.1e}");
    }
    let (shown_x, shown_y) = (&x[..x.len().min(12)], &y[..y.len().min(12)]);
    assert!(distance <= tolerance, "{case}: {what} differs by {distance:.2e}:\n{shown_x:?}\n{shown_y:?}");
}

/// The numbers of a list of tensors, one after the other.
pub(crate) fn host(values: &[Value]) -> Vec<f64> {
    values.iter().flat_map(|value| value.to_vec().unwrap()).collect()
}

/// Splits a list like the tensors it belongs to.
pub(crate) fn split(flat: &[f64], like: &[(Vec<usize>, Vec<f64>)]) -> Vec<Vec<f64>> {
    let mut rest = flat;
    like.iter()
        .map(|(_, values)| {
            let (first, others) = rest.split_at(values.len());
            rest = others;
            first.to_vec()
        })
        .collect()
}

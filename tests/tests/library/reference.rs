//! What derivatives are compared with: dense matrices on the host, Burn's autodiff, and numbers that depend on nothing else.

use std::sync::OnceLock;

use betty_runtime::ParameterVector;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) type Matrix = Vec<Vec<f64>>;

/// The CPU, where tensors are doubles unless a test says otherwise.
pub(crate) fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let configured = || {
        let mut device = Device::flex();
        device.configure(FloatDType::F64).unwrap();
        device
    };
    DEVICE.get_or_init(configured).clone()
}

/// Numbers between −1 and 1.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub(crate) fn tensor<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device())
}

pub(crate) fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    tensor(&numbers(shape.iter().product(), seed), shape)
}

pub(crate) fn labels(below: i32, count: usize) -> Tensor<1, Int> {
    let labels: Vec<i32> = (0..count as i32).map(|i| (7 * i + 3) % below).collect();
    Tensor::from_ints(labels.as_slice(), &device())
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The module with parameters that depend on nothing else, small enough for nothing to saturate.
pub(crate) fn drawn<M: Module + 'static>(module: M, seed: u64) -> M {
    let parameters = ParameterVector::of(&module).unwrap();
    let entries = numbers(parameters.len(), seed).into_iter().map(|x| 0.7 * x).collect::<Vec<_>>();
    parameters.with_values(&entries).unwrap().put_into(module).unwrap()
}

/// The gradient that Burn's autodiff computes.
pub(crate) fn burn_gradient<M: Module + 'static>(module: &M, loss: impl FnOnce(&M) -> Tensor<1>) -> ParameterVector {
    let eager = module.clone().train();
    let gradients = GradientsParams::from_grads(loss(&eager).backward(), &eager);
    ParameterVector::of(module).unwrap().with_gradients(&gradients).unwrap()
}

/// `‖x − y‖` relative to the larger norm; 0 for two zeros.
pub(crate) fn distance(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len());
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
    if norm(&gap) == 0.0 { 0.0 } else { norm(&gap) / norm(x).max(norm(y)) }
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

pub(crate) fn apply(a: &Matrix, x: &[f64]) -> Vec<f64> {
    a.iter().map(|row| dot(row, x)).collect()
}

pub(crate) fn transposed(a: &Matrix) -> Matrix {
    (0..a[0].len()).map(|j| a.iter().map(|row| row[j]).collect()).collect()
}

pub(crate) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let columns = transposed(b);
    a.iter().map(|row| columns.iter().map(|column| dot(row, column)).collect()).collect()
}

/// `Q·diag(spectrum)·Q` for a reflection `Q`.
pub(crate) fn with_spectrum(spectrum: &[f64], seed: u64) -> Matrix {
    let n = spectrum.len();
    let u = numbers(n, seed);
    let scale = 2.0 / dot(&u, &u);
    let q = |i: usize, j: usize| f64::from(u8::from(i == j)) - scale * u[i] * u[j];
    let entry = |i: usize, j: usize| (0..n).map(|k| q(i, k) * spectrum[k] * q(k, j)).sum();
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

/// The eigenvalues of a symmetric matrix in order, by Jacobi's rotations.
pub(crate) fn eigenvalues(a: &Matrix) -> Vec<f64> {
    let (mut a, n) = (a.clone(), a.len());
    for _ in 0..60 {
        let beside: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j].powi(2)).sum();
        if beside < 1e-28 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let slope = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let tangent = 1.0_f64.copysign(slope) / (slope.abs() + 1.0_f64.hypot(slope));
                let cosine = 1.0 / 1.0_f64.hypot(tangent);
                let sine = tangent * cosine;
                for row in &mut a {
                    (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                }
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|i| a[i][i]).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// How many eigenvalues of a symmetric matrix are above `shift`: the signs of the pivots of `A − shift·I` (Sylvester).
pub(crate) fn eigenvalues_above(a: &Matrix, shift: f64) -> usize {
    let (mut a, n) = (a.clone(), a.len());
    (0..n).for_each(|i| a[i][i] -= shift);
    let mut above = 0;
    for k in 0..n {
        above += usize::from(a[k][k] > 0.0);
        let (done, rest) = a.split_at_mut(k + 1);
        let pivot = &done[k];
        for row in rest {
            let factor = row[k] / pivot[k];
            row[k + 1..].iter_mut().zip(&pivot[k + 1..]).for_each(|(entry, p)| *entry -= factor * p);
        }
    }
    above
}

/// The solution of `(A + damping·I)·x = b`, by elimination with the largest pivot of each column.
pub(crate) fn solved(a: &Matrix, damping: f64, b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut rows: Matrix = a.iter().zip(b).map(|(row, &b)| row.iter().copied().chain([b]).collect()).collect();
    (0..n).for_each(|i| rows[i][i] += damping);
    for k in 0..n {
        let largest = (k..n).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs())).unwrap();
        rows.swap(k, largest);
        let (done, rest) = rows.split_at_mut(k + 1);
        for row in rest {
            let factor = row[k] / done[k][k];
            row[k..].iter_mut().zip(&done[k][k..]).for_each(|(entry, p)| *entry -= factor * p);
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        x[k] = (rows[k][n] - dot(&rows[k][k + 1..n], &x[k + 1..])) / rows[k][k];
    }
    x
}

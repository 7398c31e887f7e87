//! Solvers on vectors in single precision, whose numbers have neither all squares nor many digits.

use burn::tensor::{DType, Device, TensorData};

use super::{ReadError, Value, Vector};
use crate::linalg::{Diagonal, DiagonalOptions, LinearOperator, NystromOptions, Preconditioner, nystrom};

fn single(x: &[f64]) -> Vector {
    let data = TensorData::new(x.to_vec(), [x.len()]).convert_dtype(DType::F32);
    Vector(vec![Value::from_data(data, &Device::flex())])
}

/// `Σ λₖ·uₖ·uₖᵀ` for orthonormal cosines `u`; products are rounded once.
struct Cosines(Vec<f64>);

impl Cosines {
    fn map(&self, x: &[f64], of: impl Fn(f64) -> f64) -> Vec<f64> {
        let n = x.len();
        let u = |k: usize, i: usize| {
            let norm = (if k == 0 { 1.0 } else { 2.0 } / n as f64).sqrt();
            norm * (std::f64::consts::PI * k as f64 * (i as f64 + 0.5) / n as f64).cos()
        };
        let along = |k: usize| (0..n).map(|i| u(k, i) * x[i]).sum::<f64>() * of(self.0[k]);
        let along: Vec<f64> = (0..n).map(along).collect();
        (0..n).map(|i| (0..n).map(|k| u(k, i) * along[k]).sum()).collect()
    }
}

impl LinearOperator for Cosines {
    type Vector = Vector;
    type Error = ReadError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ReadError> {
        Ok(single(&self.map(&x.to_vec()?, |eigenvalue| eigenvalue)))
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn a_small_damping_leaves_nystrom_what_it_knows() {
    // Eigenvalues from 10 to 0.1, all of them in the sketch.
    let mut a = Cosines((0..10).map(|k| 10.0_f64.powf(1.0 - 2.0 * f64::from(k) / 9.0)).collect());
    for damping in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-9] {
        for seed in 0..12 {
            let b: Vec<f64> = (0..10).map(|i| ((1.3 * f64::from(i)).sin() + 0.2 + seed as f64 / 7.0).cos()).collect();
            let exact = a.map(&b, |eigenvalue| (eigenvalue + damping).recip());
            let options = NystromOptions { rank: 10, damping, seed };
            let found = nystrom(&mut a, &single(&b), &options).expect("it is definite");
            let x = found.x.to_vec().expect("host memory");
            let gap: Vec<f64> = x.iter().zip(&exact).map(|(x, exact)| x - exact).collect();
            let (error, residual) = (norm(&gap) / norm(&exact), found.outcome.residual);
            assert!(error < 1e-3 && residual < 1e-3, "{damping} {seed}: {error:e}, {residual:e}");
        }
    }
}

#[test]
fn what_the_sketch_does_not_know_is_divided_by_the_damping() {
    let (mut a, damping) = (Cosines([&[10.0, 3.0, 1.0, 0.3, 0.1][..], &[0.0; 7]].concat()), 1e-3);
    for seed in 0..12 {
        let b: Vec<f64> = (0..12).map(|i| (1.3 * f64::from(i)).sin() + 0.2 + seed as f64 / 7.0).collect();
        let exact = a.map(&b, |eigenvalue| (eigenvalue + damping).recip());
        let options = NystromOptions { rank: 8, damping, seed };
        let found = nystrom(&mut a, &single(&b), &options).expect("it is definite");
        let x = found.x.to_vec().expect("host memory");
        let gap: Vec<f64> = x.iter().zip(&exact).map(|(x, exact)| x - exact).collect();
        // The rounding unit times λ_max/ρ is 1e-3.
        assert!(norm(&gap) < 1e-3 * norm(&exact), "{seed}: {:e}", norm(&gap) / norm(&exact));
    }
}

/// A diagonal matrix.
struct Scales(Vec<f64>);

impl LinearOperator for Scales {
    type Vector = Vector;
    type Error = ReadError;

    fn apply(&mut self, x: &Vector) -> Result<Vector, ReadError> {
        let product: Vec<f64> = x.to_vec()?.iter().zip(&self.0).map(|(x, scale)| x * scale).collect();
        Ok(single(&product))
    }
}

#[test]
fn an_inverse_need_not_have_a_square() {
    // A unit without any influence counts as 1e-8 of the largest, of which the inverse is 1e20.
    let (mut a, b) = (Scales(vec![1e-12, 0.0]), single(&[1.0, 2.0]));
    let mut learned =
        Diagonal::of(&mut a, 0.0, &b, &DiagonalOptions { probes: 2, seed: 0 }).expect("its inverse is finite");
    let found = learned.precondition(&mut a, &b).expect("host memory").to_vec().expect("host memory");
    for (found, expected) in found.iter().zip([1e12, 2e20]) {
        assert!((found / expected - 1.0).abs() < 1e-6, "{found:e} for {expected:e}");
    }
    // Of 1e-40 it is none, and that is said.
    let refused = Diagonal::of(&mut Scales(vec![1e-40, 1e-40]), 0.0, &b, &DiagonalOptions { probes: 2, seed: 0 });
    assert!(refused.is_err());
}

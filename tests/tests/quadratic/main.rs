//! A quadratic bilevel problem with a closed form, in f64: every method must reach its theoretical value.
//!
//! ```text
//! lower:  c(θ, λ) = ½ θᵀAθ − θᵀ(Bλ + b)        θ*(λ) = A⁻¹(Bλ + b)
//! upper:  C(λ, θ) = ½ ‖θ − t‖² + ½ρ ‖λ‖²        indirect gradient at θ: Bᵀ A⁻¹ (θ − t)
//! ```
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod advice;
mod comparison;
mod decay;
mod held;
mod own_method;
mod penalty;
mod references;
mod several;
mod short;

use betty_runtime::{Engine, HypergradientConfig, LowerBatch, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

const N: usize = 4;
const M: usize = 3;
const RHO: f64 = 0.1;

const A: [[f64; N]; N] = [[2.0, 0.3, 0.1, 0.0], [0.3, 1.5, -0.2, 0.1], [0.1, -0.2, 1.0, 0.25], [0.0, 0.1, 0.25, 0.8]];
const B: [[f64; M]; N] = [[1.0, 0.2, -0.5], [0.0, 0.7, 0.3], [-0.4, 0.1, 0.9], [0.6, -0.8, 0.2]];
const B0: [f64; N] = [0.5, -1.0, 0.25, 0.75];
const T: [f64; N] = [1.0, 2.0, -1.0, 0.5];
const THETA: [f64; N] = [0.3, -0.2, 0.9, -0.4];
const LAMBDA: [f64; M] = [0.2, -0.6, 0.4];

#[derive(Module, Debug)]
struct Vector {
    x: Param<Tensor<1>>,
}

impl Vector {
    fn new<const K: usize>(values: [f64; K]) -> Self {
        let data = TensorData::new(values.to_vec(), [K]);
        Vector { x: Param::from_tensor(Tensor::from_data(data, (&Device::flex(), DType::F64))) }
    }

    fn values(&self) -> Vec<f64> {
        self.x.val().into_data().try_to_vec::<f64>().unwrap()
    }
}

type Matrices = (Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>);

fn matrices() -> Matrices {
    let device = Device::flex();
    let matrix = |rows: Vec<f64>, columns: usize| {
        let shape = [rows.len() / columns, columns];
        Tensor::<2>::from_data(TensorData::new(rows, shape), (&device, DType::F64))
    };
    let vector = |values: &[f64]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [N]), (&device, DType::F64));
    (matrix(A.concat(), N), matrix(B.concat(), M), vector(&B0), vector(&T))
}

fn lower(theta: &Vector, lambda: &Vector, batch: Matrices) -> Tensor<1> {
    driven(theta, lambda.x.val(), batch)
}

fn driven(theta: &Vector, lambda: Tensor<1>, (a, b, b0, _): Matrices) -> Tensor<1> {
    let theta = theta.x.val().reshape([N, 1]);
    let lambda = lambda.reshape([M, 1]);
    let quadratic = theta.clone().transpose().matmul(a).matmul(theta.clone()).mul_scalar(0.5);
    let linear = (theta * (b.matmul(lambda) + b0.reshape([N, 1]))).sum();
    quadratic.reshape([1]) - linear
}

fn upper(lambda: &Vector, theta: &Vector, (_, _, _, t): Matrices) -> Tensor<1> {
    let gap = theta.x.val() - t;
    let lambda = lambda.x.val();
    (gap.clone() * gap).sum().mul_scalar(0.5) + (lambda.clone() * lambda).sum().mul_scalar(0.5 * RHO)
}

multilevel! {
    struct Quadratic;

    level outer: Vector {
        lower: [inner],
        batch: Matrices,
        loss: upper,
        optimizer: sgd(lr = 0.2),
    }
    level inner: Vector {
        upper: [outer],
        batch: Matrices,
        loss: lower,
        optimizer: sgd(lr = 0.5),
        unroll: 60,
        hypergradient: cg(iterations = 4, tolerance = 0.0),
    }
}

/// `Σ exp(λᵢθᵢ) + sin θᵢ`: a lower loss whose gradient in `λ` has derivatives of every order in `θ`.
fn smooth(theta: &Vector, lambda: &Vector, _: Matrices) -> Tensor<1> {
    let theta = theta.x.val();
    ((lambda.x.val() * theta.clone()).exp() + theta.sin()).sum()
}

fn gap(_lambda: &Vector, theta: &Vector, (_, _, _, t): Matrices) -> Tensor<1> {
    let gap = theta.x.val() - t;
    (gap.clone() * gap).sum().mul_scalar(0.5)
}

multilevel! {
    struct Smooth;

    level outer: Vector { lower: [inner], batch: Matrices, loss: gap, optimizer: sgd(lr = 0.1) }
    level inner: Vector {
        upper: [outer],
        batch: Matrices,
        loss: smooth,
        optimizer: sgd(lr = 0.1),
        hypergradient: identity,
    }
}

fn engine(method: HypergradientConfig) -> Engine<Quadratic> {
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = QuadraticData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    let mut config = QuadraticConfig::default();
    config.inner.hypergradient = Some(method);
    Engine::new(problem, data, config).unwrap()
}

/// The hypergradient at the same point after so many steps that lead nowhere, each of which forms one as well.
fn last_of(method: HypergradientConfig, calls: usize) -> Vec<f64> {
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = QuadraticData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    let mut config = QuadraticConfig::default();
    (config.inner.hypergradient, config.inner.unroll) = (Some(method), 1);
    for optimizer in [&mut config.outer.optimizer, &mut config.inner.optimizer] {
        *optimizer = serde_json::from_str(r#"{ "name": "sgd", "lr": 1e-300 }"#).unwrap();
    }
    let mut engine = Engine::new(problem, data, config).unwrap();
    if calls > 1 {
        engine.run(calls as u64 - 1).unwrap();
    }
    engine.gradient("outer").unwrap().gradient.to_vec().unwrap()
}

fn hypergradient(method: HypergradientConfig) -> Vec<f64> {
    engine(method).gradient("outer").unwrap().gradient.to_vec().unwrap()
}

/// `ρλ + Bᵀq` for the `q` that a method finds.
fn expected(q: &[f64]) -> Vec<f64> {
    (0..M).map(|j| RHO * LAMBDA[j] + (0..N).map(|i| B[i][j] * q[i]).sum::<f64>()).collect()
}

fn cotangent() -> Vec<f64> {
    THETA.iter().zip(T).map(|(theta, t)| theta - t).collect()
}

fn times(matrix: &[[f64; N]; N], x: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect()
}

/// Gauss elimination without pivoting; `A + damping·I` is positive definite.
fn solve(damping: f64, b: &[f64]) -> Vec<f64> {
    let mut rows: Vec<Vec<f64>> = (0..N).map(|i| A[i].iter().copied().chain([b[i]]).collect()).collect();
    rows.iter_mut().enumerate().for_each(|(i, row)| row[i] += damping);
    for k in 0..N {
        for i in k + 1..N {
            let factor = rows[i][k] / rows[k][k];
            let pivot = rows[k].clone();
            rows[i].iter_mut().zip(pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let mut x = vec![0.0; N];
    for k in (0..N).rev() {
        let known: f64 = (k + 1..N).map(|j| rows[k][j] * x[j]).sum();
        x[k] = (rows[k][N] - known) / rows[k][k];
    }
    x
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap: Vec<f64> = found.iter().zip(expected).map(|(x, y)| x - y).collect();
    let relative = norm(&gap) / norm(expected);
    assert!(found.len() == expected.len() && relative <= tolerance, "{found:?} is not {expected:?} ({relative:e})");
}

fn method(json: &str) -> HypergradientConfig {
    serde_json::from_str(json).unwrap()
}

#[test]
fn solvers_are_exact() {
    let exact = expected(&solve(0.0, &cotangent()));
    assert_close(&hypergradient(method(r#"{"method": "dense"}"#)), &exact, 1e-10);
    assert_close(&hypergradient(method(r#"{"method": "cg", "iterations": 4, "tolerance": 0.0}"#)), &exact, 1e-10);
    assert_close(&hypergradient(method(r#"{"method": "minres", "iterations": 4, "tolerance": 0.0}"#)), &exact, 1e-10);
    assert_close(&hypergradient(method(r#"{"method": "gmres", "iterations": 4, "tolerance": 0.0}"#)), &exact, 1e-10);
    // The shortest basis needs no more than patience: the residual shrinks at every restart.
    let short = r#"{"method": "gmres", "iterations": 400, "restart": 1, "tolerance": 1e-12}"#;
    assert_close(&hypergradient(method(short)), &exact, 1e-10);
}

#[test]
fn damping_is_added_to_the_hessian() {
    let damped = expected(&solve(0.7, &cotangent()));
    assert_close(&hypergradient(method(r#"{"method": "dense", "damping": 0.7}"#)), &damped, 1e-10);
    for name in ["cg", "minres", "gmres"] {
        let json = format!(r#"{{"method": "{name}", "iterations": 4, "damping": 0.7}}"#);
        assert_close(&hypergradient(method(&json)), &damped, 1e-10);
    }
    assert_close(&hypergradient(method(r#"{"method": "nystrom", "rank": 4, "damping": 0.7}"#)), &damped, 1e-10);
}

#[test]
fn nystrom_approaches_the_damped_solve_with_its_rank() {
    let damped = expected(&solve(0.7, &cotangent()));
    // For one draw of the vectors, one more may well make the answer worse.
    let error = |rank: usize, seed: usize| {
        let json = format!(r#"{{"method": "nystrom", "rank": {rank}, "damping": 0.7, "seed": {seed}}}"#);
        let found = hypergradient(method(&json));
        damped.iter().zip(found).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
    };
    let error = |rank: usize| (0..20).map(|seed| error(rank, seed)).sum::<f64>() / 20.0;
    let errors: Vec<f64> = (1..=4).map(error).collect();
    assert!(errors.is_sorted_by(|larger, smaller| smaller < larger) && errors[3] < 1e-14, "{errors:?}");
}

#[test]
fn neumann_is_the_sum_of_its_terms() {
    for terms in [1, 2, 5, 17] {
        let mut term = cotangent();
        let mut q = vec![0.0; N];
        for _ in 0..terms {
            q.iter_mut().zip(&term).for_each(|(q, t)| *q += 0.4 * t);
            let product = times(&A, &term);
            term.iter_mut().zip(product).for_each(|(t, p)| *t -= 0.4 * p);
        }
        let json = format!(r#"{{"method": "neumann", "terms": {terms}, "step_size": 0.4}}"#);
        assert_close(&hypergradient(method(&json)), &expected(&q), 1e-10);
    }
}

#[test]
fn identity_and_finite_differences_take_the_cotangent_itself() {
    let q: Vec<f64> = cotangent();
    assert_close(&hypergradient(method(r#"{"method": "identity", "scale": 1.0}"#)), &expected(&q), 1e-10);
    // A quadratic has no third derivative, so only rounding is left of the quotient's error.
    let found = hypergradient(method(r#"{"method": "finite_difference", "perturbation": 0.01}"#));
    assert_close(&found, &expected(&q), 1e-10);
}

#[test]
fn training_reaches_the_closed_form_optimum() {
    // λ* solves (BᵀA⁻¹A⁻¹B + ρI) λ = BᵀA⁻¹(t − A⁻¹b): compare the gradient at the trained solution with zero instead,
    // with θ*(λ) from the closed form.
    for json in [r#"{"method": "cg", "iterations": 4}"#, r#"{"method": "dense"}"#] {
        let mut engine = engine(method(json));
        engine.run(400).unwrap();
        let trained = engine.into_problem();
        let lambda = trained.outer.values();
        let right: Vec<f64> = (0..N).map(|i| B0[i] + (0..M).map(|j| B[i][j] * lambda[j]).sum::<f64>()).collect();
        let best_response = solve(0.0, &right);
        assert_close(&trained.inner.values(), &best_response, 1e-8);
        let gap: Vec<f64> = best_response.iter().zip(T).map(|(theta, t)| theta - t).collect();
        let q = solve(0.0, &gap);
        let gradient: Vec<f64> =
            (0..M).map(|j| RHO * lambda[j] + (0..N).map(|i| B[i][j] * q[i]).sum::<f64>()).collect();
        assert!(gradient.iter().all(|g| g.abs() < 1e-8), "{gradient:?}");
    }
}

#[test]
fn a_fresh_batch_serves_as_well_as_the_last() {
    let exact = expected(&solve(0.0, &cotangent()));
    let mut config = method(r#"{"method": "dense"}"#);
    if let HypergradientConfig::Dense(dense) = &mut config {
        dense.batch = LowerBatch::Fresh;
    }
    assert_close(&hypergradient(config), &exact, 1e-10);
}

#[test]
fn finite_differences_are_of_second_order() {
    let gradient = |method: HypergradientConfig| {
        let lambda = [0.3, -0.5, 0.8, 0.2];
        let problem = Smooth { outer: Vector::new(lambda), inner: Vector::new(THETA) };
        let data = SmoothData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
        let mut config = SmoothConfig::default();
        config.inner.hypergradient = Some(method);
        Engine::new(problem, data, config).unwrap().gradient("outer").unwrap().gradient.to_vec().unwrap()
    };
    let exact = gradient(method(r#"{"method": "identity", "scale": 1.0}"#));
    let error = |perturbation: f64| {
        let json = format!(r#"{{"method": "finite_difference", "perturbation": {perturbation}}}"#);
        let found = gradient(method(&json));
        exact.iter().zip(found).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
    };
    let (coarse, fine) = (error(0.2), error(0.1));
    assert!((coarse / fine - 4.0).abs() < 0.05, "{coarse:e} {fine:e}");
    assert!(error(1e-4) < 1e-8);
}

#[test]
fn a_warm_start_goes_on_from_the_last_solution() {
    // One step of the system at a time, at the same point: together as good as many.
    let exact = expected(&solve(0.0, &cotangent()));
    let gap = |json: &str, calls: usize| {
        let found = last_of(method(json), calls);
        found.iter().zip(&exact).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
    };
    let single = r#"{"method": "neumann", "terms": 1, "step_size": 0.4, "warm_start": true}"#;
    // SOBA's iteration x ← x + s(v − Hx) from 0: after k calls, the sum of k terms.
    assert!(gap(single, 120) < 1e-10 && gap(single, 3) > 1e-3);
    for json in [
        r#"{"method": "cg", "iterations": 2, "warm_start": true}"#,
        r#"{"method": "minres", "iterations": 2, "warm_start": true}"#,
        r#"{"method": "gmres", "iterations": 2, "warm_start": true}"#,
    ] {
        assert!(gap(json, 25) < 1e-9 && gap(json, 1) > 1e-4, "{json}: {:e} {:e}", gap(json, 25), gap(json, 1));
    }
    let cold = r#"{"method": "cg", "iterations": 2}"#;
    assert_eq!(gap(cold, 25), gap(cold, 1));
}

#[test]
fn sama_is_the_derivative_of_one_more_step() {
    // Gradient descent moves by −lr·g, whatever the gradient is.
    let q: Vec<f64> = cotangent().iter().map(|v| 0.5 * v).collect();
    let json = r#"{"method": "sama", "perturbation": 0.01}"#;
    assert_close(&hypergradient(method(json)), &expected(&q), 1e-9);

    // Adam's first step is −lr·g/(|g| + ε), entry by entry: its derivative is −lr·ε/(|g| + ε)².
    let mut config = QuadraticConfig::default();
    let (lr, epsilon) = (0.3, 0.8);
    let adam = format!(r#"{{ "name": "adam", "lr": {lr}, "epsilon": {epsilon} }}"#);
    config.inner.optimizer = serde_json::from_str(&adam).unwrap();
    config.inner.hypergradient = Some(method(json));
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = QuadraticData { outer: Stream::constant(matrices()), inner: Stream::constant(matrices()) };
    let mut engine = Engine::new(problem, data, config).unwrap();
    let found = engine.gradient("outer").unwrap().gradient.to_vec().unwrap();
    let driven: Vec<f64> = (0..N).map(|i| B0[i] + (0..M).map(|j| B[i][j] * LAMBDA[j]).sum::<f64>()).collect();
    let gradient: Vec<f64> = times(&A, &THETA).iter().zip(driven).map(|(a, b)| a - b).collect();
    let slope = |g: f64| lr * epsilon / (g.abs() + epsilon).powi(2);
    let q: Vec<f64> = cotangent().iter().zip(gradient).map(|(v, g)| v * slope(g)).collect();
    assert_close(&found, &expected(&q), 1e-9);
}

//! Programs that are not quadratic, at their solutions, against differences of the whole nested solve.
//!
//! The lowest level has a closed best response, `y = asinh(M·sin x)`; the levels above are solved by Newton's method on
//! their reduced objectives, written down by hand. Derivatives of up to fourth order of the lowest loss take part.

use betty_runtime::{Engine, HypergradientConfig, Multilevel, ProgramConfig, Stream, multilevel};
use burn::tensor::Tensor;
use serde_json::json;

use crate::level::{Vector, assert_close, matrix, vector};
use crate::reference::solve;

const M: [[f64; 2]; 3] = [[0.9, -0.4], [0.3, 0.8], [-0.5, 0.6]];
const A: [[f64; 2]; 2] = [[2.0, 0.3], [0.3, 1.5]];
const B: [[f64; 2]; 2] = [[0.7, -0.2], [0.4, 0.9]];
const T: [f64; 2] = [0.4, -0.3];

type Nothing = Tensor<1>;

fn constant(rows: &[[f64; 2]]) -> Tensor<2> {
    matrix(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>())
}

fn times(rows: &[[f64; 2]], x: Tensor<1>, like: &Tensor<1>) -> Tensor<1> {
    // Constants are made inside of the loss, where it is recorded.
    let rows = Tensor::<2>::from_data(constant(rows).into_data(), (&like.device(), like.dtype()));
    let count = rows.shape()[0];
    rows.matmul(x.reshape([2, 1])).reshape([count])
}

// The lowest level of a chain: Σ cosh y − ⟨y, M sin x⟩.
fn bottom(y: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    let (y, x) = (y.x.val(), x.x.val());
    let drive = times(&M, x.sin(), &y);
    (y.clone().cosh() - y * drive).sum()
}

fn middle(x: &Vector, lambda: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    let (x, lambda, y) = (x.x.val(), lambda.x.val(), y.x.val());
    let square = (x.clone() * times(&A, x.clone(), &x)).sum().mul_scalar(0.5);
    let linear = (x.clone() * times(&B, lambda.clone(), &x)).sum();
    square - linear + (y.clone() * y.clone()).sum().mul_scalar(0.5) + lambda.slice(0..1) * y.sum()
}

fn high_value(lambda: Tensor<1>, x: Tensor<1>, y: Tensor<1>) -> Tensor<1> {
    let t = Tensor::<1>::from_data(vector(&T).into_data(), (&x.device(), x.dtype()));
    let gap = x - t;
    (gap.clone() * gap).sum().mul_scalar(0.5) + (-y).exp().sum() + (lambda.clone() * lambda).sum().mul_scalar(0.75)
}

fn high(lambda: &Vector, x: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    high_value(lambda.x.val(), x.x.val(), y.x.val())
}

fn driven_high(lambda: &Vector, nu: &Vector, x: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    let lambda = lambda.x.val();
    high_value(lambda.clone(), x.x.val(), y.x.val()) - nu.x.val() * lambda.slice(0..1)
}

fn top(_nu: &Vector, lambda: &Vector, x: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    let second = lambda.x.val().slice(1..2) - 1.0;
    let x = x.x.val();
    second.clone() * second + (x.clone() * x).sum() + y.x.val().sum().mul_scalar(0.1)
}

multilevel! {
    pub(crate) struct Chain3;
    level lambda: Vector { lower: [x, y], batch: Nothing, loss: high, optimizer: sgd(lr = 0.1) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.1), hypergradient: dense,
    }
    level y: Vector { upper: [x], batch: Nothing, loss: bottom, optimizer: sgd(lr = 0.1), hypergradient: dense }
}

multilevel! {
    pub(crate) struct Chain4;
    level nu: Vector { lower: [lambda, x, y], batch: Nothing, loss: top, optimizer: sgd(lr = 0.1) }
    level lambda: Vector {
        upper: [nu], lower: [x, y], batch: Nothing, loss: driven_high, optimizer: sgd(lr = 0.1), hypergradient: dense,
    }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.1), hypergradient: dense,
    }
    level y: Vector { upper: [x], batch: Nothing, loss: bottom, optimizer: sgd(lr = 0.1), hypergradient: dense }
}

/// `y = asinh(M·sin x)`
fn answer(x: &[f64]) -> Vec<f64> {
    M.iter().map(|row| (row[0] * x[0].sin() + row[1] * x[1].sin()).asinh()).collect()
}

/// The gradient of the middle level's objective with the answer of the lowest put in.
fn reduced(x: &[f64], lambda: &[f64]) -> Vec<f64> {
    let y = answer(x);
    (0..2)
        .map(|j| {
            let own: f64 = (0..2).map(|k| A[j][k] * x[k] - B[j][k] * lambda[k]).sum();
            // dyᵢ/dxⱼ = Mᵢⱼ cos xⱼ / √(1 + sinh² yᵢ)
            let through = |i: usize| (y[i] + lambda[0]) * M[i][j] * x[j].cos() / y[i].cosh();
            own + (0..3).map(through).sum::<f64>()
        })
        .collect()
}

/// Central difference of fourth order.
fn difference(f: impl Fn(f64) -> f64, h: f64) -> f64 {
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

fn moved(x: &[f64], k: usize, by: f64) -> Vec<f64> {
    let mut x = x.to_vec();
    x[k] += by;
    x
}

/// A zero of `f` by Newton's method with a difference quotient for the Jacobian.
fn zero(f: impl Fn(&[f64]) -> Vec<f64>, start: &[f64], h: f64) -> Vec<f64> {
    let mut x = start.to_vec();
    for _ in 0..30 {
        let n = x.len();
        let column = |k: usize| (0..n).map(|i| difference(|by| f(&moved(&x, k, by))[i], h)).collect::<Vec<_>>();
        let columns: Vec<Vec<f64>> = (0..n).map(column).collect();
        let rows = (0..n).map(|i| columns.iter().map(|column| column[i]).collect()).collect();
        let step = solve(rows, f(&x));
        x.iter_mut().zip(step).for_each(|(x, step)| *x -= step);
    }
    x
}

fn middle_solution(lambda: &[f64]) -> Vec<f64> {
    zero(|x| reduced(x, lambda), &[0.1, 0.1], 1e-3)
}

fn high_objective(lambda: &[f64]) -> f64 {
    let x = middle_solution(lambda);
    let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    let gap: Vec<f64> = x.iter().zip(T).map(|(x, t)| x - t).collect();
    0.5 * square(&gap) + answer(&x).iter().map(|y| (-y).exp()).sum::<f64>() + 0.75 * square(lambda)
}

pub(crate) fn high_gradient(lambda: &[f64]) -> Vec<f64> {
    (0..2).map(|k| difference(|by| high_objective(&moved(lambda, k, by)), 2e-3)).collect()
}

fn high_solution(nu: f64) -> Vec<f64> {
    let gradient = |lambda: &[f64]| {
        let mut gradient = high_gradient(lambda);
        gradient[0] -= nu;
        gradient
    };
    zero(gradient, &[0.1, 0.1], 5e-3)
}

fn top_objective(nu: f64) -> f64 {
    let lambda = high_solution(nu);
    let x = middle_solution(&lambda);
    (lambda[1] - 1.0).powi(2) + x.iter().map(|x| x * x).sum::<f64>() + 0.1 * answer(&x).iter().sum::<f64>()
}

pub(crate) fn methods(config: &mut impl ProgramConfig, json: &str) {
    for level in config.levels_mut() {
        if level.hypergradient.is_some() {
            level.hypergradient = Some(serde_json::from_str::<HypergradientConfig>(json).unwrap());
        }
    }
}

const EXACT: [&str; 2] = [r#"{"method": "dense"}"#, r#"{"method": "cg", "iterations": 8, "tolerance": 1e-14}"#];

pub(crate) fn nothing() -> Stream<Nothing> {
    Stream::constant(vector(&[0.0]))
}

#[test]
fn a_chain_of_three() {
    let lambda = [0.3, -0.7];
    let x = middle_solution(&lambda);
    let expected = high_gradient(&lambda);
    for method in EXACT {
        let problem = Chain3 { lambda: Vector::new(&lambda), x: Vector::new(&x), y: Vector::new(&answer(&x)) };
        let data = Chain3Data { lambda: nothing(), x: nothing(), y: nothing() };
        let mut config = Chain3Config::default();
        methods(&mut config, method);
        let mut engine = Engine::new(problem, data, config).unwrap();
        // The middle level is where its total gradient vanishes.
        let middle = engine.gradient("x").unwrap().norm;
        assert!(middle < 1e-12, "{middle:e}");
        assert_close(&engine.gradient("lambda").unwrap().gradient.to_vec().unwrap(), &expected, 1e-9);
        let check = engine.verify_hypergradient("lambda").unwrap();
        let cost = engine.explain().unwrap();
        assert_eq!(cost.levels[0].responses.len(), 2, "{cost}");
        assert!(check.relative_error < 1e-9 && check.responses.len() == 2, "{check}");
        // Both levels are at their best responses, and curve upwards.
        assert!(check.responses.iter().all(|of| of.distance < 1e-9 && of.spectrum.smallest.value > 0.0), "{check}");
    }
}

#[test]
fn penalties_at_every_level_leave_an_error_of_first_order() {
    let lambda = [0.3, -0.7];
    let x = middle_solution(&lambda);
    let expected = high_gradient(&lambda);
    let error = |multiplier: f64| {
        let problem = Chain3 { lambda: Vector::new(&lambda), x: Vector::new(&x), y: Vector::new(&answer(&x)) };
        let data = Chain3Data { lambda: nothing(), x: nothing(), y: nothing() };
        let mut config = Chain3Config::default();
        let penalty = json!({ "method": "penalty", "steps": 80, "step_size": 0.3, "multiplier": multiplier });
        methods(&mut config, &penalty.to_string());
        let found = Engine::new(problem, data, config).unwrap().gradient("lambda").unwrap().gradient.to_vec().unwrap();
        found.iter().zip(&expected).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
    };
    for multiplier in [100.0, 1e3, 1e4] {
        let ratio = error(multiplier) / error(2.0 * multiplier);
        assert!((ratio - 2.0).abs() < 20.0 / multiplier, "{multiplier}: {ratio}");
    }
}

#[test]
fn a_chain_of_four() {
    let nu = 0.6;
    let lambda = high_solution(nu);
    let x = middle_solution(&lambda);
    let expected = difference(|by| top_objective(nu + by), 2e-2);
    for method in EXACT {
        let problem = Chain4 {
            nu: Vector::new(&[nu]),
            lambda: Vector::new(&lambda),
            x: Vector::new(&x),
            y: Vector::new(&answer(&x)),
        };
        let data = Chain4Data { nu: nothing(), lambda: nothing(), x: nothing(), y: nothing() };
        let mut config = Chain4Config::default();
        methods(&mut config, method);
        let mut engine = Engine::new(problem, data, config).unwrap();
        let high = engine.gradient("lambda").unwrap().norm;
        assert!(high < 1e-9, "{high:e}");
        let found = engine.gradient("nu").unwrap().gradient.to_vec().unwrap();
        // The reference differentiates differences, which leaves eight digits.
        assert_close(&found, &[expected], 1e-7);
    }
}

#[test]
fn schedules_pass_through_every_level_below() {
    let stops = |of: usize| Chain4::SCHEDULE.levels[of].sweep.iter().map(|stop| stop.level).collect::<Vec<_>>();
    assert_eq!((stops(0), stops(1), stops(2)), (vec![3, 2, 1], vec![3, 2], vec![3]));
    assert_eq!(Chain3::SCHEDULE.levels[0].sweep.len(), 2);
}

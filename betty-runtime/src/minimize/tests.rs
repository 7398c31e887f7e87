//! Functions with known minima, on plain vectors.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::linalg::tests::Column;

/// A function that counts how often it is asked.
struct Counted<F> {
    function: F,
    asked: usize,
}

impl<F: FnMut(&[f64]) -> (f64, Vec<f64>)> Objective for Counted<F> {
    type Vector = Column;
    type Error = Infallible;

    fn evaluate(&mut self, x: &Column) -> Result<Evaluated<Column>, Infallible> {
        self.asked += 1;
        let (value, gradient) = (self.function)(&x.0);
        Ok(Evaluated { value, gradient: Column(gradient) })
    }
}

fn minimum(start: &[f64], options: LbfgsOptions, function: impl FnMut(&[f64]) -> (f64, Vec<f64>)) -> Minimum<Column> {
    let mut objective = Counted { function, asked: 0 };
    let x = Column(start.to_vec());
    let first = objective.evaluate(&x).unwrap();
    let found = lbfgs(&mut objective, x, first, &options).unwrap();
    assert_eq!(found.evaluations, objective.asked - 1);
    let at = objective.evaluate(&found.x).unwrap();
    let norm = at.gradient.dot(&at.gradient).unwrap().sqrt();
    assert_eq!([found.value, found.gradient_norm].map(f64::to_bits), [at.value, norm].map(f64::to_bits));
    found
}

const OPTIONS: LbfgsOptions = LbfgsOptions { memory: 10, iterations: 500, tolerance: 1e-10 };

/// ½Σdᵢ(xᵢ − i)² with dᵢ from 1 to 10⁴.
#[test]
fn an_ill_conditioned_parabola() {
    for memory in [1, 3, 10, 40] {
        let scale = |i: usize| 1e4_f64.powf(i as f64 / 19.0);
        let found = minimum(&[0.0; 20], LbfgsOptions { memory, iterations: 5000, ..OPTIONS }, |x| {
            let gap = |i: usize| x[i] - i as f64;
            ((0..20).map(|i| 0.5 * scale(i) * gap(i).powi(2)).sum(), (0..20).map(|i| scale(i) * gap(i)).collect())
        });
        assert_eq!(found.halt, Halt::Converged, "{memory}: {found:?}");
        assert!(found.x.0.iter().enumerate().all(|(i, x)| (x - i as f64).abs() <= 1e-10), "{memory}: {found:?}");
    }
}

/// Along a line one step tells all of a parabola: the third point is the minimum, whatever the scale.
#[test]
fn a_parabola_of_one_dimension() {
    for scale in [1e-6, 1.0, 1e6] {
        let tolerance = 1e-10 * scale;
        let found = minimum(&[5.0], LbfgsOptions { tolerance, ..OPTIONS }, |x| {
            (0.5 * scale * (x[0] - 2.0).powi(2), vec![scale * (x[0] - 2.0)])
        });
        assert_eq!(found.halt, Halt::Converged);
        assert!((found.x.0[0] - 2.0).abs() <= 1e-10 && found.evaluations <= 16, "{scale}: {found:?}");
    }
}

fn valley(x: &[f64]) -> (f64, Vec<f64>) {
    let (along, across) = (1.0 - x[0], x[1] - x[0] * x[0]);
    (along * along + 100.0 * across * across, vec![-2.0 * along - 400.0 * x[0] * across, 200.0 * across])
}

#[test]
fn rosenbrock_from_far_away() {
    for start in [[-1.2, 1.0], [10.0, -10.0], [-100.0, 50.0]] {
        let found = minimum(&start, OPTIONS, valley);
        assert_eq!(found.halt, Halt::Converged, "{found:?}");
        assert!(found.x.0.iter().all(|x| (x - 1.0).abs() <= 1e-9), "{found:?}");
    }
}

/// x − log x is not defined for x ≤ 0, where a first step of length 1 would lead from 0.01.
#[test]
fn a_function_with_an_edge() {
    for start in [0.01, 0.5, 30.0] {
        let found = minimum(&[start], OPTIONS, |x| (x[0] - x[0].ln(), vec![1.0 - 1.0 / x[0]]));
        assert_eq!(found.halt, Halt::Converged, "{found:?}");
        assert!((found.x.0[0] - 1.0).abs() <= 1e-9, "{found:?}");
    }
}

/// Values in single precision tell nothing of the last digits of the minimum, gradients do.
#[test]
fn the_gradient_decides_where_values_are_rounded() {
    let found = minimum(&[-1.2, 1.0, 3.0], LbfgsOptions { tolerance: 1e-9, ..OPTIONS }, |x| {
        let (value, mut gradient) = valley(x);
        gradient.push(2.0 * (x[2] - 0.5));
        (f64::from((1000.0 + value + (x[2] - 0.5).powi(2)) as f32), gradient)
    });
    assert_eq!(found.halt, Halt::Converged, "{found:?}");
    assert!((found.x.0[0] - 1.0).abs() <= 1e-7 && (found.x.0[2] - 0.5).abs() <= 1e-9, "{found:?}");
}

/// Where values and gradients are rounded, it ends by itself, at the smallest gradient that it has seen.
#[test]
fn it_does_not_wander_about_in_rounding_errors() {
    let single = |x: f64| f64::from(x as f32);
    let found = minimum(&[-1.2, 1.0], LbfgsOptions { iterations: 10_000, tolerance: 0.0, ..OPTIONS }, |x| {
        let (value, gradient) = valley(&[single(x[0]), single(x[1])]);
        (single(1.0 + value), gradient.into_iter().map(single).collect())
    });
    assert!(found.iterations < 300 && found.gradient_norm < 1e-3, "{found:?}");
    assert!(found.x.0.iter().all(|x| (x - 1.0).abs() < 1e-3), "{found:?}");
}

#[test]
fn what_cannot_be_reached_is_said() {
    let exhausted = minimum(&[-1.2, 1.0], LbfgsOptions { iterations: 5, ..OPTIONS }, valley);
    assert_eq!((exhausted.halt, exhausted.iterations), (Halt::Exhausted, 5));
    assert!(exhausted.value < valley(&[-1.2, 1.0]).0);
    // Below all bounds.
    let falling = minimum(&[0.0], LbfgsOptions { iterations: 5, ..OPTIONS }, |x| (-x[0], vec![-1.0]));
    assert!(falling.x.0[0].is_finite() && falling.value < -1e3 && falling.halt != Halt::Converged, "{falling:?}");
    // A gradient of another function leads nowhere.
    let wrong = minimum(&[1.0], OPTIONS, |x| (x[0] * x[0], vec![-2.0 * x[0]]));
    assert_eq!((wrong.halt, wrong.x.0[0]), (Halt::Stalled, 1.0));
    // No value at the start.
    let nowhere = minimum(&[-1.0], OPTIONS, |x| (x[0].ln(), vec![f64::NAN]));
    assert_eq!((nowhere.halt, nowhere.x.0[0], nowhere.evaluations), (Halt::Stalled, -1.0, 0));
    // At the minimum already.
    let there = minimum(&[1.0, 1.0], OPTIONS, valley);
    assert_eq!((there.halt, there.iterations, there.evaluations), (Halt::Converged, 0, 0));
    // To the last bit: it ends by itself.
    let last = minimum(&[-1.2, 1.0], LbfgsOptions { tolerance: 0.0, ..OPTIONS }, valley);
    assert!(last.halt != Halt::Exhausted && last.gradient_norm <= 1e-12, "{last:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// log Σexp(aᵢ·x − bᵢ) + ½μ‖x‖² is smooth and convex; it has one stationary point.
    #[test]
    fn a_convex_function_has_one_minimum(
        (rows, start, other) in (1_usize..8).prop_flat_map(|n| {
            let vector = || prop::collection::vec(-3.0..3.0_f64, n);
            (prop::collection::vec((vector(), -1.0..1.0_f64), 1..12), vector(), vector())
        }),
        ridge in 0.01..1.0_f64,
    ) {
        let function = |x: &[f64]| {
            let inner: Vec<f64> = rows.iter().map(|(a, b)| a.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - b).collect();
            let most = inner.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = inner.iter().map(|inner| (inner - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            let value = most + total.ln() + 0.5 * ridge * x.iter().map(|x| x * x).sum::<f64>();
            let entry = |j: usize| rows.iter().zip(&weights).map(|((a, _), w)| a[j] * w).sum::<f64>() / total + ridge * x[j];
            (value, (0..x.len()).map(entry).collect())
        };
        let one = minimum(&start, OPTIONS, function);
        let two = minimum(&other, LbfgsOptions { memory: 3, iterations: 5000, ..OPTIONS }, function);
        prop_assert_eq!((one.halt, two.halt), (Halt::Converged, Halt::Converged));
        for (x, y) in one.x.0.iter().zip(&two.x.0) {
            prop_assert!((x - y).abs() <= 2.0 * 1e-10 / ridge, "{one:?} {two:?}");
        }
    }
}

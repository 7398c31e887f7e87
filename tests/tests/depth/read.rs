//! Levels that are solved, far from their solutions: the stated formula at the points that were read.
//!
//! All losses are sums over entries, so that every matrix is diagonal and each entry is a problem of its own.

use std::io;

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close, vector};
use crate::unrolled::square;

type Batch = Tensor<1>;

fn lowest(low: &Vector, mid: &Vector, batch: Batch) -> Tensor<1> {
    let gap = low.x.val() - mid.x.val().sin() - batch.mul_scalar(0.3);
    square(gap.clone()).mul_scalar(0.5) + square(gap.clone() * gap).mul_scalar(0.1)
}

fn middle(mid: &Vector, top: &Vector, low: &Vector, batch: Batch) -> Tensor<1> {
    let (mid, top, low) = (mid.x.val(), top.x.val(), low.x.val());
    square(mid.clone() - top.clone())
        + (low.clone() * top.exp() * batch).sum().mul_scalar(0.3)
        + square(low * mid).mul_scalar(0.2)
}

fn uppermost(top: &Vector, mid: &Vector, low: &Vector, batch: Batch) -> Tensor<1> {
    let (mid, low) = (mid.x.val(), low.x.val());
    (mid.clone().exp() * low.clone()).sum().mul_scalar(0.3)
        + square(low - mid).mul_scalar(0.2)
        + square(top.x.val() - batch).mul_scalar(0.02)
}

multilevel! {
    struct Solved;
    level top: Vector { lower: [mid, low], batch: Batch, loss: uppermost, optimizer: sgd(lr = 0.5) }
    level mid: Vector {
        upper: [top], lower: [low], batch: Batch, loss: middle, optimizer: sgd(lr = 0.2), unroll: 2, hypergradient: dense,
    }
    level low: Vector { upper: [mid], batch: Batch, loss: lowest, optimizer: sgd(lr = 0.2), hypergradient: dense }
}

fn batch(seed: f64, index: u64) -> [f64; 3] {
    [0.0, 1.3, 2.9].map(|k| (seed + 0.7 * index as f64 + k).sin())
}

fn stream(seed: f64) -> Stream<Batch> {
    Stream::batches((0..).map(move |index| Ok::<_, io::Error>(vector(&batch(seed, index)))))
}

/// Central difference of fourth order.
fn slope(f: impl Fn(f64) -> f64) -> f64 {
    let h = 1e-3;
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

/// The total gradient of the uppermost level in one entry, with these numbers of the last batches.
fn formula([top, mid, low]: [f64; 3], [of_top, of_mid, of_low]: [f64; 3]) -> f64 {
    let gap = |mid: f64, low: f64| low - mid.sin() - 0.3 * of_low;
    // Second derivatives of the lowest loss: in its own parameter, and mixed.
    let own = |mid: f64, low: f64| 1.0 + 1.2 * gap(mid, low).powi(2);
    let mixed = |mid: f64, low: f64| -own(mid, low) * mid.cos();
    // The middle level's total gradient.
    let total = |top: f64, mid: f64, low: f64| {
        let direct = 2.0 * (mid - top) + 0.4 * low.powi(2) * mid;
        let below = 0.3 * top.exp() * of_mid + 0.4 * low * mid.powi(2);
        direct - mixed(mid, low) / own(mid, low) * below
    };
    // How both answer to the uppermost level: total and the lowest gradient stay zero.
    let (by_mid, by_low) = (slope(|by| total(top, mid + by, low)), slope(|by| total(top, mid, low + by)));
    let by_top = slope(|by| total(top + by, mid, low));
    let low_by_mid = -mixed(mid, low) / own(mid, low);
    let mid_by_top = -by_top / (by_mid + by_low * low_by_mid);
    let of_mid = 0.3 * mid.exp() * low - 0.4 * (low - mid);
    let of_low = 0.3 * mid.exp() + 0.4 * (low - mid);
    0.04 * (top - of_top) + mid_by_top * (of_mid + of_low * low_by_mid)
}

#[test]
fn levels_that_are_not_solved_yet() {
    for json in ["{}", r#"{ "low": { "start": "initial" } }"#, r#"{ "top": { "rounds": 2 }, "low": { "unroll": 3 } }"#]
    {
        let problem = Solved {
            top: Vector::new(&[0.4, -0.7, 0.2]),
            mid: Vector::new(&[0.3, 0.1, -0.5]),
            low: Vector::new(&[0.9, -0.6, 0.8]),
        };
        let data = SolvedData { top: stream(0.1), mid: stream(0.5), low: stream(0.9) };
        let mut engine = Engine::new(problem, data, SolvedConfig::from_json(json).unwrap()).unwrap();
        engine.run(2).unwrap();
        let saved = engine.checkpoint().unwrap();
        let last = |level: &str, seed: f64| batch(seed, saved.batches(level).unwrap() - 1);
        let (of_mid, of_low) = (last("mid", 0.5), last("low", 0.9));
        let of_top = batch(0.1, saved.batches("top").unwrap());
        let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
        let problem = engine.into_problem();
        let values = |of: &Vector| -> Vec<f64> { of.x.val().into_data().try_to_vec().unwrap() };
        let (top, mid, low) = (values(&problem.top), values(&problem.mid), values(&problem.low));
        let expected: Vec<f64> =
            (0..3).map(|i| formula([top[i], mid[i], low[i]], [of_top[i], of_mid[i], of_low[i]])).collect();
        assert_close(&found, &expected, 1e-9);
    }
}

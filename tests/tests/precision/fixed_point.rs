//! `precision` reaches the map of a fixed point where it is differentiated; an answer is held against the map as it is written.

use std::convert::Infallible;

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

type Point = Param<Tensor<1>>;

const N: usize = 4;

/// Positive definite, with entries that 16 bits do not hold.
fn matrix() -> [[f32; N]; N] {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.1 + 0.61 * i as f32 } else { 0.13 }))
}

/// `A⁻¹·1`, by elimination.
fn solved() -> Vec<f64> {
    let mut rows = matrix().map(|row| row.map(f64::from));
    let mut right = [1.0; N];
    for k in 0..N {
        for i in (0..N).filter(|&i| i != k) {
            let factor = rows[i][k] / rows[k][k];
            (0..N).for_each(|j| rows[i][j] -= factor * rows[k][j]);
            right[i] -= factor * right[k];
        }
    }
    (0..N).map(|k| right[k] / rows[k][k]).collect()
}

fn tensor(values: &[f64]) -> Tensor<1> {
    Tensor::from_floats(values.iter().map(|&x| x as f32).collect::<Vec<_>>().as_slice(), &Device::flex())
}

/// Without a product: only the map has one.
fn length(x: &Point, lambda: &Point, _: Tensor<2>) -> Tensor<1> {
    x.val().square().sum() * lambda.val().exp()
}

/// A step towards `A·x = e^λ`.
fn step(x: &Point, lambda: &Point, a: Tensor<2>) -> Tensor<1> {
    let product = a.matmul(x.val().reshape([N, 1])).reshape([N]);
    x.val() - (product - lambda.val().exp().expand([N])) * 0.2
}

fn distance(_lambda: &Point, x: &Point, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).square().sum()
}

multilevel! {
    struct Solving;
    level lambda: Point { lower: [x], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 1e-6) }
    level x: Point {
        upper: [lambda], batch: Tensor<2>, loss: length, condition: fixed_point(step), hypergradient: gmres(iterations = 4),
        solver: custom(|program: &Solving, _: &Tensor<2>| {
            let scale = f64::from(program.lambda.val().exp().into_scalar::<f32>());
            let x: Vec<f64> = solved().iter().map(|x| scale * x).collect();
            Ok::<_, Infallible>(Param::from_tensor(tensor(&x)))
        }),
    }
}

/// The hypergradient at an answer that the solver gave, with products of the level below in this type.
fn gradient(precision: &str) -> f64 {
    let config = SolvingConfig::from_json(&format!(r#"{{ "x": {{ "precision": {precision} }} }}"#)).unwrap();
    let a = Tensor::<2>::from_floats(matrix(), &Device::flex());
    let data = SolvingData { lambda: Stream::constant(tensor(&[0.9, 0.1, -0.2, 0.3])), x: Stream::constant(a) };
    let problem = Solving { lambda: Param::from_tensor(tensor(&[0.3])), x: Param::from_tensor(tensor(&[0.0; N])) };
    let mut engine = Engine::new(problem, data, config).unwrap();
    engine.run(1).unwrap();
    engine.gradient("lambda").unwrap().gradient.to_vec().unwrap()[0]
}

/// `x* = e^λ·A⁻¹·1` is its own derivative.
fn expected() -> f64 {
    let x = solved().into_iter().map(|x| 0.3_f64.exp() * x);
    x.zip([0.9, 0.1, -0.2, 0.3]).map(|(x, target)| 2.0 * (x - target) * x).sum()
}

#[test]
fn products_of_the_map_are_rounded() {
    let (full, expected) = (gradient("null"), expected());
    assert!((full - expected).abs() < 1e-5 * expected.abs(), "{full} is not {expected}");
    for precision in [r#""bf16""#, r#""f16""#] {
        let rounded = gradient(precision);
        let gap = (rounded / full - 1.0).abs();
        // 2⁻⁹ and 2⁻¹² for each of the numbers that are multiplied, times a condition of about 3.
        let (least, most) = if precision.contains('b') { (1e-5, 3e-2) } else { (1e-6, 4e-3) };
        assert!(gap > least && gap < most, "{precision}: {rounded} and {full}, {gap:e} apart");
    }
}

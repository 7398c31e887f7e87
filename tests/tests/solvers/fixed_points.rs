//! Answers that are fixed points of proximal and projected steps, against closed forms and scikit-learn.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use betty_runtime::error::rules::Violation;
use betty_runtime::{
    Batch, ConfigError, ConflictError, Engine, EngineError, Event, Multilevel, ProgramConfig, SolverError, Stream,
    multilevel, output, stop_gradient,
};
use betty_tests::vectors::{parameter, tensor, values};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::closed_forms::{Vector, assert_near};

const FEATURES: usize = 4;

#[derive(Batch, Clone, Debug)]
struct Scored {
    x: Tensor<2>,
    y: Tensor<1>,
}

/// The examples of the script, by rows.
fn rows(examples: usize, shift: f64) -> (Vec<[f64; FEATURES]>, Vec<f64>) {
    let row = |i: f64| {
        std::array::from_fn(|j| (3.0 * i + 7.0 * j as f64 + shift).sin() + 0.3 * (0.5 * i * (j as f64 + 1.0)).cos())
    };
    let x: Vec<[f64; FEATURES]> = (0..examples).map(|i| row(i as f64)).collect();
    let score = |(i, row): (usize, &[f64; FEATURES])| {
        row.iter().zip([1.0, -0.5, 0.25, 0.0]).map(|(x, w)| x * w).sum::<f64>() + 0.4 * (11.0 * i as f64 + shift).sin()
    };
    let y = x.iter().enumerate().map(score).collect();
    (x, y)
}

fn scored(examples: usize, shift: f64) -> Scored {
    let (x, y) = rows(examples, shift);
    let place = (&Device::flex(), DType::F64);
    Scored { x: Tensor::from_data(TensorData::new(x.concat(), [examples, FEATURES]), place), y: tensor(&y) }
}

fn gap(weights: &Vector, batch: &Scored) -> Tensor<1> {
    let count = batch.y.dims()[0];
    batch.x.clone().matmul(weights.val().reshape([FEATURES, 1])).reshape([count]) - batch.y.clone()
}

/// ½‖Xw − y‖² + e^λ‖w‖₁
fn lasso(weights: &Vector, strength: &Vector, batch: Scored) -> Tensor<1> {
    gap(weights, &batch).square().sum() * 0.5 + strength.val().exp() * weights.val().abs().sum()
}

fn soft(x: Tensor<1>, threshold: Tensor<1>) -> Tensor<1> {
    let count = x.dims()[0];
    x.clone().sign() * (x.abs() - threshold.expand([count])).clamp_min(0.0)
}

const STEP: f64 = 0.01;

/// A proximal step: the soft threshold of a step of gradient descent.
fn proximal(weights: &Vector, strength: &Vector, batch: Scored) -> Tensor<1> {
    let gap = gap(weights, &batch);
    let count = gap.dims()[0];
    let slope = batch.x.transpose().matmul(gap.reshape([count, 1])).reshape([FEATURES]);
    soft(weights.val() - slope * STEP, strength.val().exp() * STEP)
}

fn held_out(_strength: &Vector, weights: &Vector, batch: Scored) -> Tensor<1> {
    gap(weights, &batch).square().sum() * 0.5
}

/// One coordinate after the other.
fn coordinates(program: &Lasso, _: &Scored) -> Result<Vector, Infallible> {
    Ok(parameter(&lasso_answer(values(&program.strength)[0].exp())))
}

fn lasso_answer(strength: f64) -> [f64; FEATURES] {
    let (x, y) = rows(40, 1.0);
    let mut w = [0.0; FEATURES];
    for _ in 0..2000 {
        for j in 0..FEATURES {
            let rest = |(row, y): (&[f64; FEATURES], &f64)| {
                row[j] * (y - (0..FEATURES).filter(|&k| k != j).map(|k| row[k] * w[k]).sum::<f64>())
            };
            let along: f64 = x.iter().zip(&y).map(rest).sum();
            let size: f64 = x.iter().map(|row| row[j] * row[j]).sum();
            w[j] = along.signum() * (along.abs() - strength).max(0.0) / size;
        }
    }
    w
}

multilevel! {
    struct Lasso;
    level strength: Vector { lower: [weights], batch: Scored, loss: held_out, optimizer: sgd(lr = 1e-13) }
    level weights: Vector {
        upper: [strength], batch: Scored, loss: lasso, condition: fixed_point(proximal),
        solver: custom(coordinates, tolerance = 1e-12), hypergradient: gmres(iterations = 10, tolerance = 1e-14),
    }
}

fn lasso_engine(strength: f64, json: &str) -> Engine<Lasso> {
    let problem = Lasso { strength: parameter(&[strength.ln()]), weights: parameter(&[0.0; FEATURES]) };
    let data = LassoData { strength: Stream::constant(scored(20, 2.0)), weights: Stream::constant(scored(40, 1.0)) };
    Engine::new(problem, data, LassoConfig::from_json(json).unwrap()).unwrap()
}

/// Strength, weights, and the slope of the held-out error in the logarithm of the strength.
const ANSWERS: [(f64, [f64; FEATURES], f64); 3] = [
    (0.05, [0.983667081484365, -0.39102925027867064, 0.09799391951124578, 0.08959260697120912], 0.029140819612916143),
    (0.5, [0.7470565236701517, -0.12447213724071766, 0.0, 0.0], 0.06199103291804064),
    (3.0, [0.5382431468226971, 0.0, 0.0, 0.0], 0.26066102505328814),
];

/// Of scikit-learn, whose slopes are differences of whole fits; `tools/scikit-learn/reference.py` prints them.
#[test]
fn the_lasso_of_scikit_learn_and_its_slopes() {
    for (strength, expected, slope) in ANSWERS {
        for method in [
            r#"{}"#,
            r#"{ "weights": { "hypergradient": { "method": "dense" } } }"#,
            r#"{ "weights": { "hypergradient": { "method": "neumann", "terms": 4000, "step_size": 1.0 } } }"#,
        ] {
            let mut engine = lasso_engine(strength, method);
            engine.run(1).unwrap();
            let gradient = engine.gradient("strength").unwrap().gradient.to_vec().unwrap();
            assert_near(&values(&engine.problem().weights), &expected, 1e-7);
            assert_near(&gradient, &[slope], 1e-6);
        }
    }
}

/// The inverse on the active set.
#[test]
fn the_slope_of_a_lasso_is_that_of_its_active_set() {
    let strength = 0.5;
    let w = lasso_answer(strength);
    assert!(w[0] > 0.0 && w[1] < 0.0 && w[2] == 0.0 && w[3] == 0.0);
    let (x, _) = rows(40, 1.0);
    let square = |i: usize, j: usize| x.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let (a, b, d) = (square(0, 0), square(0, 1), square(1, 1));
    // dw/dλ = −e^λ·(XᵀX)⁻¹·sign(w)
    let determinant = a * d - b * b;
    let slope = [-strength * (d + b) / determinant, strength * (b + a) / determinant];
    let (x, y) = rows(20, 2.0);
    let gap = |(row, y): (&[f64; FEATURES], &f64)| row[0] * w[0] + row[1] * w[1] - y;
    let expected: f64 = x.iter().zip(&y).map(|(row, y)| gap((row, y)) * (row[0] * slope[0] + row[1] * slope[1])).sum();
    let mut engine = lasso_engine(strength, "{}");
    engine.run(1).unwrap();
    let found = engine.gradient("strength").unwrap().gradient.to_vec().unwrap();
    assert_near(&found, &[expected], 1e-11);
    let check = engine.verify_hypergradient("strength").unwrap();
    assert!(check.relative_error < 1e-10, "{}", check.relative_error);
    let explained = engine.explain().unwrap();
    // Ten iterations, and the residual.
    assert!(
        explained.levels[0].responses[0].cost.kernels > 0.0 && explained.levels[0].responses[0].products == Some(11)
    );
}

/// ½xᵀAx − λᵀx
fn pulled(x: &Vector, lambda: &Vector, a: Tensor<2>) -> Tensor<1> {
    (x.val() * times(a, x.val())).sum() * 0.5 - (lambda.val() * x.val()).sum()
}

pub(crate) fn times(a: Tensor<2>, x: Tensor<1>) -> Tensor<1> {
    let count = x.dims()[0];
    a.matmul(x.reshape([count, 1])).reshape([count])
}

pub(crate) fn cubes(_lambda: &Vector, x: &Vector, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).powi_scalar(3).sum()
}

fn in_box(x: &Vector, lambda: &Vector, a: Tensor<2>) -> Tensor<1> {
    (x.val() - (times(a, x.val()) - lambda.val()) * 0.3).clamp(0.0, 1.0)
}

/// The nearest point of the simplex.
fn in_simplex(x: &Vector, lambda: &Vector, a: Tensor<2>) -> Tensor<1> {
    let moved = x.val() - (times(a, x.val()) - lambda.val()) * 0.3;
    let count = moved.dims()[0];
    let sorted = moved.clone().sort_descending(0);
    let numbers: Vec<f64> = (1..=count).map(|k| k as f64).collect();
    let numbers = Tensor::<1>::from_data(TensorData::new(numbers, [count]), (&moved.device(), moved.dtype()));
    let kept =
        (sorted.clone() * numbers + 1.0 - sorted.clone().cumsum(0)).greater_scalar(0.0).float().cast(moved.dtype());
    let threshold = ((sorted * kept.clone()).sum() - 1.0) / kept.sum();
    (moved - threshold.expand([count])).clamp_min(0.0)
}

macro_rules! confined {
    ($name:ident, $map:ident, $set:ident) => {
        multilevel! {
            struct $name;
            level lambda: Vector { lower: [x], batch: Tensor<1>, loss: cubes, optimizer: sgd(lr = 1e-13) }
            level x: Vector {
                upper: [lambda], batch: Tensor<2>, loss: pulled, condition: fixed_point($map), unroll: 400,
                optimizer: sgd(lr = 0.3), project: $set, hypergradient: gmres(tolerance = 1e-14),
            }
        }
    };
}

confined!(Boxed, in_box, clamp);
confined!(Simplex, in_simplex, simplex);

const A: [[f64; 3]; 3] = [[2.0, 0.5, 0.3], [0.5, 1.5, -0.4], [0.3, -0.4, 1.0]];

macro_rules! found {
    ($name:ident, $data:ident, $config:ident, $lambda:expr) => {{
        let a = Tensor::from_data(TensorData::new(A.concat(), [3, 3]), (&Device::flex(), DType::F64));
        let problem = $name { lambda: parameter(&$lambda), x: parameter(&[0.2, 0.3, 0.5]) };
        let data = $data { lambda: Stream::constant(tensor(&[0.1, 0.2, 0.3])), x: Stream::constant(a) };
        let mut engine = Engine::new(problem, data, $config::default()).unwrap();
        engine.run(1).unwrap();
        (values(&engine.problem().x), engine.gradient("lambda").unwrap().gradient.to_vec().unwrap())
    }};
}

/// Two free coordinates, and one that the box holds.
#[test]
fn a_box_holds_what_it_holds() {
    let (x, found) = found!(Boxed, BoxedData, BoxedConfig, [0.9, 0.7, 2.0]);
    let determinant = A[0][0] * A[1][1] - A[0][1] * A[1][0];
    let inverse = [[A[1][1], -A[0][1]], [-A[1][0], A[0][0]]].map(|row| row.map(|entry| entry / determinant));
    let right = [0.9 - A[0][2], 0.7 - A[1][2]];
    let free: Vec<f64> = inverse.iter().map(|row| row[0] * right[0] + row[1] * right[1]).collect();
    assert_near(&x, &[free[0], free[1], 1.0], 1e-12);
    let pull: Vec<f64> = x.iter().zip([0.1, 0.2, 0.3]).map(|(x, t)| 3.0 * (x - t).powi(2)).collect();
    let slope = |i: usize| inverse[0][i] * pull[0] + inverse[1][i] * pull[1];
    assert_near(&found, &[slope(0), slope(1), 0.0], 1e-11);
}

/// All coordinates on a plane, and two of them where the third one is zero.
#[test]
fn a_simplex_holds_the_sum() {
    let pull = |x: &[f64]| -> Vec<f64> { x.iter().zip([0.1, 0.2, 0.3]).map(|(x, t)| 3.0 * (x - t).powi(2)).collect() };
    // On the edge between the first two: dx = d·(1, −1), with d = (dλ₁ − dλ₂)/(a₁₁ − 2·a₁₂ + a₂₂).
    let (x, found) = found!(Simplex, SimplexData, SimplexConfig, [1.5, 1.0, -2.0]);
    let curve = A[0][0] - 2.0 * A[0][1] + A[1][1];
    let first = (1.5 - 1.0 - A[0][1] + A[1][1]) / curve;
    assert_near(&x, &[first, 1.0 - first, 0.0], 1e-12);
    let slope = (pull(&x)[0] - pull(&x)[1]) / curve;
    assert_near(&found, &[slope, -slope, 0.0], 1e-11);
    // Inside, against differences of the closed form: x = A⁻¹(λ − ν) with the sum 1.
    let lambda = [0.9, 0.6, 0.2];
    let answer = |lambda: [f64; 3]| {
        let solve = |b: [f64; 3]| -> [f64; 3] {
            let det = |m: [[f64; 3]; 3]| {
                m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
                    + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
            };
            std::array::from_fn(|k| {
                let mut m = A;
                (0..3).for_each(|i| m[i][k] = b[i]);
                det(m) / det(A)
            })
        };
        let (x, ones) = (solve(lambda), solve([1.0; 3]));
        let shift = (x.iter().sum::<f64>() - 1.0) / ones.iter().sum::<f64>();
        std::array::from_fn::<f64, 3, _>(|k| x[k] - shift * ones[k])
    };
    let (x, found) = found!(Simplex, SimplexData, SimplexConfig, lambda);
    assert_near(&x, &answer(lambda), 1e-12);
    let loss = |lambda| answer(lambda).iter().zip([0.1, 0.2, 0.3]).map(|(x, t)| (x - t).powi(3)).sum::<f64>();
    let slope = |k: usize| {
        let moved = |by: f64| std::array::from_fn(|i| lambda[i] + if i == k { by } else { 0.0 });
        (loss(moved(1e-5)) - loss(moved(-1e-5))) / 2e-5
    };
    assert_near(&found, &[slope(0), slope(1), slope(2)], 1e-9);
}

#[test]
fn a_config_keeps_to_what_sees_it() {
    let refused = |json: &str| LassoConfig::from_json(json).unwrap().validate(&Lasso::SCHEDULE).expect_err("a mistake");
    for method in ["cg", "minres", "nystrom", "finite_difference", "penalty"] {
        let error = refused(&format!(r#"{{ "weights": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#));
        assert!(
            matches!(error, ConfigError::Conflict(ConflictError::Broken { rule: Violation::NotFixed(_), .. })),
            "{error}"
        );
    }
    assert_eq!(
        refused(r#"{ "weights": { "hypergradient": { "method": "cg" } } }"#).to_string(),
        "`weights.hypergradient`: `weights` is not differentiated as the fixed point that its `condition` says: `cg` needs a \
         symmetric matrix, and I − ∂T/∂θ is none; choose `gmres`, `neumann` or `dense`"
    );
    let error = refused(r#"{ "weights": { "preconditioner": { "name": "nystrom" } } }"#);
    assert!(
        matches!(error, ConfigError::Conflict(ConflictError::Broken { rule: Violation::NotFixed(_), .. })),
        "{error}"
    );
    assert!(error.to_string().starts_with("`weights.preconditioner`: `weights` is not differentiated"), "{error}");
    assert!(refused(r#"{ "weights": { "solver": { "name": "lbfgs" } } }"#).to_string().contains("`weights.solver`"));
    assert_eq!(Lasso::SCHEDULE.levels[1].condition, Some("proximal"));
}

/// Half of what is left of the way to λ; marking an output on the way changes nothing.
fn halved(x: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    output(x.val() + lambda.val()) * 0.5
}

fn halved_of_a_number(x: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    (x.val() + stop_gradient(lambda.val())) * 0.5
}

fn deaf(x: &Vector, _lambda: &Vector, target: Tensor<1>) -> Tensor<1> {
    (x.val() + target) * 0.5
}

fn detached(x: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    (x.val() + lambda.val()).detach() * 0.5
}

fn near(x: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    (x.val() - lambda.val()).square().sum()
}

macro_rules! told {
    ($name:ident, $data:ident, $config:ident, $map:ident) => {{
        multilevel! {
            struct $name;
            level lambda: Vector { lower: [x], batch: Tensor<1>, loss: cubes, optimizer: sgd(lr = 0.1) }
            level x: Vector {
                upper: [lambda], batch: Tensor<1>, loss: near, condition: fixed_point($map), hypergradient: gmres,
                optimizer: sgd(lr = 0.25), unroll: 5,
            }
        }
        let problem = $name { lambda: parameter(&[0.5]), x: parameter(&[0.0]) };
        let data = $data { lambda: Stream::constant(tensor(&[0.1])), x: Stream::constant(tensor(&[0.2])) };
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let engine = Engine::new(problem, data, $config::default()).unwrap();
        let ran = engine
            .observe(move |event| {
                if let Event::ZeroEdge { name, other, .. } = event {
                    log.borrow_mut().push(format!("{name} {other}"));
                }
            })
            .run(2)
            .map(drop);
        (ran, seen.take())
    }};
}

/// λ + Mx with M = [[0, 10], [0, 0]]
fn sheared(x: &Vector, lambda: &Vector, _: Tensor<1>) -> Tensor<1> {
    let last = x.val().narrow(0, 1, 1);
    Tensor::cat(vec![last.clone() * 10.0, last * 0.0], 0) + lambda.val()
}

multilevel! {
    struct Sheared;
    level lambda: Vector { lower: [x], batch: Tensor<1>, loss: cubes, optimizer: sgd(lr = 0.1) }
    level x: Vector {
        upper: [lambda], batch: Tensor<1>, loss: near, condition: fixed_point(sheared), hypergradient: gmres,
        optimizer: sgd(lr = 0.25),
    }
}

/// The way to the answer 0 is all of x: (I − M)⁻¹·(0, 1) = (10, 1), and the transpose would say (0, 1).
#[test]
fn the_way_to_a_fixed_point_goes_by_the_matrix_and_not_by_its_transpose() {
    let problem = Sheared { lambda: parameter(&[0.0, 0.0]), x: parameter(&[10.0, 1.0]) };
    let data = ShearedData { lambda: Stream::constant(tensor(&[0.1, 0.2])), x: Stream::constant(tensor(&[0.0])) };
    let mut engine = Engine::new(problem, data, ShearedConfig::default()).unwrap();
    let check = engine.verify_hypergradient("lambda").unwrap();
    assert!(check.relative_error < 1e-12, "{}", check.relative_error);
    let response = &check.responses[0];
    assert!((response.gradient_norm - 1.0).abs() < 1e-14, "{}", response.gradient_norm);
    assert!((response.distance - 1.0).abs() < 1e-12, "{}", response.distance);
    assert!(response.condition().is_nan());
    let text = check.to_string();
    assert!(!text.contains("eigenvalues") && !text.contains("minres"), "{text}");
}

/// The loss reads λ in all of them, but what passes on is the map.
#[test]
fn a_map_that_passes_nothing_on_is_told_of() {
    let (ran, told) = told!(Passing, PassingData, PassingConfig, halved);
    ran.unwrap();
    assert!(told.is_empty(), "{told:?}");
    let (ran, told) = told!(Still, StillData, StillConfig, halved_of_a_number);
    ran.unwrap();
    assert_eq!(told, ["x lambda"]);
    let (ran, told) = told!(Deaf, DeafData, DeafConfig, deaf);
    ran.unwrap();
    assert_eq!(told, ["x lambda"]);
    let (ran, _) = told!(Constant, ConstantData, ConstantConfig, detached);
    let error = ran.expect_err("no derivative");
    assert!(matches!(error, EngineError::Solver(SolverError::NoFixedPoint { .. })), "{error}");
    assert!(error.to_string().contains("its map has no derivative"), "{error}");
}

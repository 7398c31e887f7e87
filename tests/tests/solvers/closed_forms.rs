//! Ridge regression: the best response and its derivative are known.

use betty_runtime::{Batch, Engine, Event, Stream, multilevel};
use betty_tests::vectors::{parameter, values};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::cell::RefCell;
use std::rc::Rc;

pub(crate) type Vector = Param<Tensor<1>>;

/// Examples by rows, and targets.
#[derive(Batch, Clone, Debug)]
pub(crate) struct Examples {
    pub(crate) x: Tensor<2>,
    pub(crate) y: Tensor<1>,
}

pub(crate) fn examples(rows: &[[f64; 2]], targets: &[f64]) -> Examples {
    let place = (&Device::flex(), DType::F64);
    let x = Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), place);
    Examples { x, y: Tensor::from_data(TensorData::new(targets.to_vec(), [targets.len()]), place) }
}

pub(crate) fn train() -> Examples {
    examples(&[[1.0, 2.0], [0.5, -1.0], [-1.5, 0.3], [2.0, 1.0]], &[1.0, -0.5, 0.7, 2.0])
}

pub(crate) fn held_out() -> Examples {
    examples(&[[1.0, 0.0], [0.2, 1.0]], &[0.3, 1.1])
}

fn gap(weights: &Vector, batch: &Examples) -> Tensor<1> {
    let count = batch.y.dims()[0];
    batch.x.clone().matmul(weights.val().reshape([2, 1])).reshape([count]) - batch.y.clone()
}

/// ½‖Xw − y‖² + ½e^λ‖w‖²
pub(crate) fn ridge(weights: &Vector, penalty: &Vector, batch: Examples) -> Tensor<1> {
    (gap(weights, &batch).square().sum() + penalty.val().exp() * weights.val().square().sum()) * 0.5
}

pub(crate) fn error(_penalty: &Vector, weights: &Vector, batch: Examples) -> Tensor<1> {
    gap(weights, &batch).square().sum() * 0.5
}

multilevel! {
    pub(crate) struct Ridge;

    level penalty: Vector { lower: [weights], batch: Examples, loss: error, optimizer: sgd(lr = 0.1) }

    level weights: Vector {
        upper: [penalty], batch: Examples, loss: ridge, solver: lbfgs(tolerance = 1e-12), hypergradient: dense,
    }
}

pub(crate) fn engine(config: RidgeConfig) -> Engine<Ridge> {
    let problem = Ridge { penalty: parameter(&[0.2]), weights: parameter(&[0.0, 0.0]) };
    Engine::new(problem, RidgeData { penalty: held_out().into(), weights: train().into() }, config).unwrap()
}

/// The two rows of a symmetric matrix, inverted.
fn inverse([[a, b], [_, d]]: [[f64; 2]; 2]) -> [[f64; 2]; 2] {
    let determinant = a * d - b * b;
    [[d / determinant, -b / determinant], [-b / determinant, a / determinant]]
}

fn times(m: [[f64; 2]; 2], v: [f64; 2]) -> [f64; 2] {
    [m[0][0] * v[0] + m[0][1] * v[1], m[1][0] * v[0] + m[1][1] * v[1]]
}

/// XᵀX and Xᵀy.
fn normal(batch: &Examples) -> ([[f64; 2]; 2], [f64; 2]) {
    let x: Vec<f64> = batch.x.to_data().iter().collect();
    let y: Vec<f64> = batch.y.to_data().iter().collect();
    let (mut square, mut product) = ([[0.0; 2]; 2], [0.0; 2]);
    for (row, y) in x.chunks(2).zip(y) {
        for i in 0..2 {
            product[i] += row[i] * y;
            (0..2).for_each(|j| square[i][j] += row[i] * row[j]);
        }
    }
    (square, product)
}

/// (XᵀX + shift·I)⁻¹Xᵀy
pub(crate) fn ridge_answer(batch: &Examples, shift: f64) -> [f64; 2] {
    let (mut square, product) = normal(batch);
    (0..2).for_each(|i| square[i][i] += shift);
    times(inverse(square), product)
}

/// (XᵀX + e^λI)⁻¹Xᵀy, and the derivative of the held-out error there in λ: w* answers with −(XᵀX + e^λI)⁻¹e^λw*.
pub(crate) fn solution(lambda: f64) -> ([f64; 2], f64) {
    let (mut square, _) = normal(&train());
    (0..2).for_each(|i| square[i][i] += lambda.exp());
    let best = ridge_answer(&train(), lambda.exp());
    let answer = times(inverse(square), best.map(|w| -lambda.exp() * w));
    let (square, product) = normal(&held_out());
    let gradient = times(square, best);
    (best, (0..2).map(|i| (gradient[i] - product[i]) * answer[i]).sum())
}

pub(crate) fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let near = |(x, y): (&f64, &f64)| (x - y).abs() <= tolerance * (1.0 + y.abs());
    assert!(found.iter().zip(expected).all(near), "{found:?} {expected:?}");
}

/// Every step of the level above is that of the closed form, at the best response of the closed form.
#[test]
fn best_response_and_hypergradient_are_those_of_the_closed_form() {
    let mut engine = engine(RidgeConfig::default());
    let mut lambda = 0.2;
    for _ in 0..5 {
        engine.run(1).unwrap();
        let (best, slope) = solution(lambda);
        assert_near(&values(&engine.problem().weights), &best, 1e-11);
        lambda -= 0.1 * slope;
        assert_near(&values(&engine.problem().penalty), &[lambda], 1e-10);
    }
}

#[test]
fn what_it_took_is_told() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&seen);
    let mut engine = engine(RidgeConfig::default()).observe(move |event| match *event {
        Event::Solved { name, solver, step, iterations, evaluations, loss, gradient_norm, converged, .. } => {
            assert_eq!((name, solver, step), ("weights", "lbfgs", 1 + told.borrow().len() as u64 / 2));
            assert!(1 < evaluations && iterations < evaluations && loss.is_finite());
            told.borrow_mut().push((converged, gradient_norm));
        }
        Event::Step { name: "weights", gradient_norm, learning_rate, .. } => {
            assert_eq!(learning_rate, 1.0);
            told.borrow_mut().push((false, gradient_norm));
        }
        _ => {}
    });
    engine.run(2).unwrap();
    let seen = seen.borrow();
    let [(true, first), (_, before), (true, second), (_, next)] = seen[..] else { panic!("{seen:?}") };
    assert!(first <= 1e-12 && second <= 1e-12);
    // It begins at zero, where the gradient is −Xᵀy, and then where it ended.
    let (_, product) = normal(&train());
    assert_near(&[before], &[product[0].hypot(product[1])], 1e-12);
    assert!(next < 0.1 * before);
}

/// What does not converge in time goes on from where it is, and is told.
#[test]
fn a_solver_without_time_says_so() {
    let json = r#"{ "weights": { "solver": { "iterations": 1 } }, "penalty": { "optimizer": { "lr": 1e-13 } } }"#;
    let config = <RidgeConfig as betty_runtime::ProgramConfig>::from_json(json).unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&seen);
    let mut engine = engine(config).observe(move |event| {
        if let Event::Solved { converged, loss, iterations, .. } = *event {
            told.borrow_mut().push((converged, loss, iterations));
        }
    });
    engine.run(40).unwrap();
    let seen = seen.borrow();
    assert!(!seen[0].0 && seen[0].2 == 1 && seen.last().unwrap().0, "{seen:?}");
    assert!(seen.windows(2).all(|pair| pair[1].1 <= pair[0].1), "{seen:?}");
    assert_near(&values(&engine.problem().weights), &solution(0.2).0, 1e-9);
}

/// A program of one level is a plain fit.
#[test]
fn a_fit_of_one_level() {
    fn squares(weights: &Vector, batch: Examples) -> Tensor<1> {
        gap(weights, &batch).square().sum()
    }
    multilevel! {
        struct Fit;
        level weights: Vector { batch: Examples, loss: squares, solver: lbfgs(memory = 2, tolerance = 1e-11) }
    }
    let data = FitData { weights: Stream::constant(train()) };
    let mut engine = Engine::new(Fit { weights: parameter(&[3.0, -4.0]) }, data, FitConfig::default()).unwrap();
    engine.run(1).unwrap();
    let (square, product) = normal(&train());
    assert_near(&values(&engine.problem().weights), &times(inverse(square), product), 1e-11);
}

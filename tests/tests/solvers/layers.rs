//! Answers that no loss has: implicit layers, against differences of whole solves, also below a level that is differentiated itself;
//! and what is no fixed point.

use std::convert::Infallible;

use betty_runtime::distributed::Threads;
use betty_runtime::hypergradient::{HypergradientError, Solved, System};
use betty_runtime::{Engine, EngineError, HypergradientMethod, ProgramConfig, SolverError, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::closed_forms::{Vector, assert_near};
use crate::fixed_points::{cubes, times};

/// An implicit layer, whose derivative is not symmetric.
fn layer(x: &Vector, lambda: &Vector, w: Tensor<2>) -> Tensor<1> {
    (times(w, x.val()) + lambda.val()).tanh()
}

fn nothing(x: &Vector, lambda: &Vector, w: Tensor<2>) -> Tensor<1> {
    (times(w, x.val()) + lambda.val() - x.val()).square().sum()
}

const W: [[f64; 3]; 3] = [[0.2, 0.5, 0.0], [-0.3, 0.1, 0.4], [0.6, 0.0, -0.2]];

fn layer_answer(lambda: &[f64]) -> Vec<f64> {
    let mut x = vec![0.0; 3];
    for _ in 0..500 {
        x = (0..3).map(|i| (lambda[i] + (0..3).map(|j| W[i][j] * x[j]).sum::<f64>()).tanh()).collect();
    }
    x
}

fn iterated(program: &Layer, _: &Tensor<2>) -> Result<Vector, Infallible> {
    Ok(parameter(&layer_answer(&values(&program.lambda))))
}

multilevel! {
    struct Layer;
    level lambda: Vector { lower: [x], batch: Tensor<1>, loss: cubes, optimizer: sgd(lr = 1e-13) }
    level x: Vector {
        upper: [lambda], batch: Tensor<2>, loss: nothing, condition: fixed_point(layer),
        solver: custom(iterated, tolerance = 1e-12), hypergradient: gmres(tolerance = 1e-14),
    }
}

#[test]
fn an_implicit_layer_is_differentiated_without_symmetry() {
    let lambda = [0.3, -0.2, 0.5];
    let loss =
        |lambda: &[f64]| layer_answer(lambda).iter().zip([0.1, 0.2, 0.3]).map(|(x, t)| (x - t).powi(3)).sum::<f64>();
    let slope = |k: usize| {
        let moved = |by: f64| loss(&(0..3).map(|i| lambda[i] + if i == k { by } else { 0.0 }).collect::<Vec<_>>());
        let h = 1e-3;
        (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h)
    };
    let expected = [slope(0), slope(1), slope(2)];
    for method in ["gmres", "dense"] {
        let w = Tensor::from_data(TensorData::new(W.concat(), [3, 3]), (&Device::flex(), DType::F64));
        let problem = Layer { lambda: parameter(&lambda), x: parameter(&[0.0; 3]) };
        let data = LayerData { lambda: Stream::constant(tensor(&[0.1, 0.2, 0.3])), x: Stream::constant(w) };
        let json = format!(r#"{{ "x": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let mut engine = Engine::new(problem, data, LayerConfig::from_json(&json).unwrap()).unwrap();
        engine.run(1).unwrap();
        assert_near(&engine.gradient("lambda").unwrap().gradient.to_vec().unwrap(), &expected, 1e-10);
    }
}

type Pair = Tensor<1>;

fn above(_top: &Vector, middle: &Vector, target: Pair) -> Tensor<1> {
    (middle.val() - target).powi_scalar(3).sum()
}

/// ½‖m − t‖² + ½‖x − c‖²
fn between(middle: &Vector, top: &Vector, x: &Vector, target: Pair) -> Tensor<1> {
    ((middle.val() - top.val()).square().sum() + (x.val() - target).square().sum()) * 0.5
}

fn unread(x: &Vector, middle: &Vector, w: Tensor<2>) -> Tensor<1> {
    (x.val() - times(w, middle.val())).square().sum()
}

/// x = ½sin(x) + Wm
fn bent(x: &Vector, middle: &Vector, w: Tensor<2>) -> Tensor<1> {
    x.val().sin() * 0.5 + times(w, middle.val())
}

fn bent_answer(middle: &[f64]) -> Vec<f64> {
    let pull: Vec<f64> = (0..3).map(|i| (0..3).map(|j| W[i][j] * middle[j]).sum()).collect();
    let mut x = pull.clone();
    for _ in 0..200 {
        x = x.iter().zip(&pull).map(|(x, pull)| 0.5 * x.sin() + pull).collect();
    }
    x
}

const C: [f64; 3] = [0.4, -0.3, 0.8];

/// The point where the gradient of the level in the middle vanishes, its lower level answering.
fn middle_answer(top: &[f64]) -> Vec<f64> {
    let mut m = top.to_vec();
    for _ in 0..3000 {
        let x = bent_answer(&m);
        let sent: Vec<f64> = (0..3).map(|i| (x[i] - C[i]) / (1.0 - 0.5 * x[i].cos())).collect();
        m = (0..3).map(|j| m[j] - 0.2 * (m[j] - top[j] + (0..3).map(|i| W[i][j] * sent[i]).sum::<f64>())).collect();
    }
    m
}

multilevel! {
    struct Deep;
    level top: Vector { lower: [middle], batch: Pair, loss: above, optimizer: sgd(lr = 0.1) }
    level middle: Vector {
        upper: [top], lower: [x], batch: Pair, loss: between, optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 20, tolerance = 1e-14),
    }
    level x: Vector {
        upper: [middle], batch: Tensor<2>, loss: unread, condition: fixed_point(bent),
        solver: custom(|program: &Deep, _: &Tensor<2>| Ok::<_, Infallible>(parameter(&bent_answer(&values(&program.middle))))),
        hypergradient: gmres(tolerance = 1e-14),
    }
}

/// The multipliers of the level in the middle, and second derivatives of the map.
#[test]
fn a_fixed_point_below_a_level_that_is_differentiated_itself() {
    let top = [0.7, -0.4, 0.2];
    let middle = middle_answer(&top);
    let loss = |k: usize, by: f64| {
        let moved: Vec<f64> = (0..3).map(|i| top[i] + if i == k { by } else { 0.0 }).collect();
        middle_answer(&moved).iter().zip([0.1, 0.2, 0.3]).map(|(m, t)| (m - t).powi(3)).sum::<f64>()
    };
    let slope = |k: usize| {
        let h = 1e-3;
        (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h)
    };
    let expected = [slope(0), slope(1), slope(2)];
    for json in [
        "{}",
        r#"{ "top": { "solve": { "name": "joint" } } }"#,
        r#"{ "top": { "solve": { "name": "joint", "prepare": false } } }"#,
        r#"{ "top": { "solve": { "name": "inexact", "tolerance": 1e-11 } } }"#,
        r#"{ "x": { "hypergradient": { "method": "dense" } } }"#,
    ] {
        let w = Tensor::from_data(TensorData::new(W.concat(), [3, 3]), (&Device::flex(), DType::F64));
        let problem = Deep { top: parameter(&top), middle: parameter(&middle), x: parameter(&bent_answer(&middle)) };
        let data = DeepData {
            top: Stream::constant(tensor(&[0.1, 0.2, 0.3])),
            middle: Stream::constant(tensor(&C)),
            x: Stream::constant(w),
        };
        let mut engine = Engine::new(problem, data, DeepConfig::from_json(json).unwrap()).unwrap();
        let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
        assert_near(&found, &expected, 1e-8);
        // The level in the middle stands still where its total gradient vanishes.
        let still = engine.gradient("middle").unwrap().gradient.to_vec().unwrap();
        assert_near(&still, &[0.0; 3], 1e-12);
    }
}

/// Two tensors of two ranks, the first of which is trained, and one that is not.
#[derive(Module, Debug)]
struct Cell {
    fixed: Vector,
    state: Vector,
    gates: Param<Tensor<2>>,
}

/// state = ½·tanh(Wᵀ·gates·1 + λ) + ¼·fixed,    gates = ¼·sin(gates + state·1ᵀ)
fn cell(cell: &Cell, lambda: &Vector, w: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let sums = cell.gates.val().sum_dim(1).reshape([3]);
    let state = (times(w.transpose(), sums) + lambda.val()).tanh() * 0.5 + cell.fixed.val() * 0.25;
    let gates = (cell.gates.val() + cell.state.val().reshape([3, 1]).expand([3, 2])).sin() * 0.25;
    (state, gates)
}

fn cell_loss(cell: &Cell, lambda: &Vector, w: Tensor<2>) -> Tensor<1> {
    let sums = cell.gates.val().sum_dim(1).reshape([3]) + lambda.val() + cell.fixed.val();
    (cell.state.val() * times(w, sums)).sum()
}

fn of_cell(_lambda: &Vector, cell: &Cell, target: Tensor<1>) -> Tensor<1> {
    (cell.state.val() - target).powi_scalar(3).sum() + cell.gates.val().powi_scalar(3).sum()
}

const FIXED: [f64; 3] = [0.3, -0.6, 0.2];

fn cell_answer(lambda: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut state, mut gates) = (vec![0.0; 3], vec![0.0; 6]);
    for _ in 0..300 {
        let pull = |j: usize| lambda[j] + (0..3).map(|i| W[i][j] * (gates[2 * i] + gates[2 * i + 1])).sum::<f64>();
        let next: Vec<f64> = (0..3).map(|j| 0.5 * pull(j).tanh() + 0.25 * FIXED[j]).collect();
        gates = gates.iter().enumerate().map(|(at, gate)| 0.25 * (gate + state[at / 2]).sin()).collect();
        state = next;
    }
    (state, gates)
}

multilevel! {
    struct Cells;
    level lambda: Vector { lower: [cell], batch: Tensor<1>, loss: of_cell, optimizer: sgd(lr = 1e-13) }
    level cell: Cell {
        upper: [lambda], batch: Tensor<2>, loss: cell_loss, condition: fixed_point(cell), freeze: [fixed],
        solver: custom(settled, tolerance = 1e-12), hypergradient: gmres(iterations = 20, tolerance = 1e-14),
    }
}

fn matrix(values: &[f64], shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Device::flex(), DType::F64))
}

fn settled(program: &Cells, _: &Tensor<2>) -> Result<Cell, Infallible> {
    let (state, gates) = cell_answer(&values(&program.lambda));
    Ok(Cell {
        fixed: program.cell.fixed.clone(),
        state: parameter(&state),
        gates: Param::from_tensor(matrix(&gates, [3, 2])),
    })
}

#[test]
fn several_tensors_come_in_the_order_of_the_module() {
    let lambda = [0.3, -0.2, 0.5];
    let loss = |k: usize, by: f64| {
        let moved: Vec<f64> = (0..3).map(|i| lambda[i] + if i == k { by } else { 0.0 }).collect();
        let (state, gates) = cell_answer(&moved);
        let of_state = state.iter().zip([0.1, 0.2, 0.3]).map(|(x, t)| (x - t).powi(3)).sum::<f64>();
        of_state + gates.iter().map(|gate| gate.powi(3)).sum::<f64>()
    };
    let slope = |k: usize| {
        let h = 1e-3;
        (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h)
    };
    let cell = Cell {
        fixed: parameter(&FIXED),
        state: parameter(&[0.0; 3]),
        gates: Param::from_tensor(matrix(&[0.0; 6], [3, 2])),
    };
    let data = CellsData {
        lambda: Stream::constant(tensor(&[0.1, 0.2, 0.3])),
        cell: Stream::constant(matrix(&W.concat(), [3, 3])),
    };
    let mut engine = Engine::new(Cells { lambda: parameter(&lambda), cell }, data, CellsConfig::default()).unwrap();
    engine.run(1).unwrap();
    assert_near(&engine.gradient("lambda").unwrap().gradient.to_vec().unwrap(), &[slope(0), slope(1), slope(2)], 1e-10);
}

/// One tensor too many.
fn two(x: &Vector, lambda: &Vector, _: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
    (x.val(), lambda.val())
}

#[derive(Debug)]
struct Symmetric;

impl HypergradientMethod for Symmetric {
    fn name(&self) -> &'static str {
        "symmetric"
    }

    fn solve(
        &self,
        _: &mut System<'_>,
        v: &betty_runtime::execute::Vector,
        _: Option<betty_runtime::execute::Vector>,
    ) -> Result<Solved, HypergradientError> {
        Ok(Solved { x: v.clone(), residual: None })
    }

    fn needs_symmetry(&self) -> bool {
        true
    }
}

macro_rules! wrong {
    ($name:ident, $map:ident, $solver:expr, $($method:tt)*) => {
        multilevel! {
            struct $name;
            level lambda: Vector { lower: [x], batch: Tensor<1>, loss: cubes, optimizer: sgd(lr = 0.1) }
            level x: Vector {
                upper: [lambda], batch: Tensor<2>, loss: nothing, condition: fixed_point($map), solver: custom($solver),
                hypergradient: $($method)*,
            }
        }
    };
}

wrong!(Near, layer, |_: &Near, _: &Tensor<2>| Ok::<_, Infallible>(parameter(&[0.1, 0.2, 0.3])), gmres);
wrong!(Pairs, two, |_: &Pairs, _: &Tensor<2>| Ok::<_, Infallible>(parameter(&[0.1, 0.2, 0.3])), gmres);
wrong!(Mine, layer, |_: &Mine, _: &Tensor<2>| Ok::<_, Infallible>(parameter(&[0.1, 0.2, 0.3])), custom(Symmetric));

macro_rules! engine {
    ($name:ident, $data:ident, $config:ident) => {{
        let w = Tensor::from_data(TensorData::new(W.concat(), [3, 3]), (&Device::flex(), DType::F64));
        let problem = $name { lambda: parameter(&[0.3, -0.2, 0.5]), x: parameter(&[0.0; 3]) };
        let data = $data { lambda: Stream::constant(tensor(&[0.1, 0.2, 0.3])), x: Stream::constant(w) };
        Engine::new(problem, data, $config::default())
    }};
}

#[test]
fn what_is_no_fixed_point_is_an_error_and_changes_nothing() {
    let mut engine = engine!(Near, NearData, NearConfig).unwrap();
    let error = engine.run(1).expect_err("no fixed point");
    assert_eq!(values(&engine.problem().x), [0.0; 3]);
    let EngineError::Solver(SolverError::NotFixed { norm, tolerance, step: 1, .. }) = error else { panic!("{error}") };
    let x = [0.1, 0.2, 0.3];
    let next = (0..3).map(|i| ([0.3, -0.2, 0.5][i] + (0..3).map(|j| W[i][j] * x[j]).sum::<f64>()).tanh());
    let gap = next.zip(x).map(|(next, x)| (next - x).powi(2)).sum::<f64>().sqrt();
    assert_near(&[norm, tolerance], &[gap, 1e-4], 1e-12);
    assert!(error.to_string().contains("is not fixed at step 1: ‖θ − T(θ)‖ is"), "{error}");

    let error = engine!(Pairs, PairsData, PairsConfig).unwrap().run(1).expect_err("two tensors");
    assert!(matches!(error, EngineError::Solver(SolverError::NoFixedPoint { .. })), "{error}");
    assert!(error.to_string().contains("its map returned 2 tensors in the place of 1; let it return"), "{error}");

    let error = engine!(Mine, MineData, MineConfig).map(drop).expect_err("it needs symmetry");
    assert!(matches!(error, EngineError::Solver(SolverError::NoFixedPoint { .. })), "{error}");
    assert!(error.to_string().contains("`symmetric` needs a symmetric matrix"), "{error}");
}

/// A map of a share of the examples is no share of the map.
#[test]
fn shares_of_several_ranks_are_refused() {
    let found = Threads::run(2, |rank| {
        let problem = Layer { lambda: parameter(&[0.3, -0.2, 0.5]), x: parameter(&[0.0; 3]) };
        let data = LayerData {
            lambda: Stream::constant(tensor(&[0.1, 0.2, 0.3])),
            x: Stream::constant(matrix(&W.concat(), [3, 3])),
        };
        Engine::new(problem, data, LayerConfig::default())?.distributed(rank)?.run(1).map(drop)
    });
    for error in found.into_iter().map(|found| found.expect_err("two ranks")) {
        assert!(matches!(error, EngineError::Solver(SolverError::NoFixedPoint { .. })), "{error}");
        assert!(error.to_string().contains(r#"engine.replicated("x")"#), "{error}");
    }
}

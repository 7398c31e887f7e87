//! Solvers of the user's own: answers in closed form and with an active set, and what is wrong with others.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use betty_runtime::SolverFailure;
use betty_runtime::{
    CustomSolverConfig, Engine, EngineError, Event, LevelSolverConfig, ProgramConfig, Solver, SolverError, Stream,
    StreamPosition, multilevel,
};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};

use crate::closed_forms::{
    Examples, RidgeConfig, Vector, assert_near, engine, error, held_out, ridge, ridge_answer, solution, train,
};

macro_rules! program {
    ($name:ident, $($solver:tt)*) => {
        multilevel! {
            struct $name;
            level penalty: Vector { lower: [weights], batch: Examples, loss: error, optimizer: sgd(lr = 0.1) }
            level weights: Vector {
                upper: [penalty], batch: Examples, loss: ridge, solver: custom($($solver)*), hypergradient: dense,
            }
        }
    };
}

macro_rules! made {
    ($name:ident, $data:ident, $config:ident) => {{
        let problem = $name { penalty: parameter(&[0.2]), weights: parameter(&[0.0, 0.0]) };
        Engine::new(problem, $data { penalty: held_out().into(), weights: train().into() }, $config::default()).unwrap()
    }};
}

/// (XᵀX + e^λI)⁻¹Xᵀy, with a part of λ left out.
struct ClosedForm {
    share: f64,
}

impl Solver<Closed, Examples, Vector> for ClosedForm {
    fn solve(&self, program: &Closed, batch: &Examples) -> Result<Vector, SolverFailure> {
        Ok(parameter(&ridge_answer(batch, self.share * values(&program.penalty)[0].exp())))
    }
}

program!(Closed, ClosedForm { share: 1.0 }, tolerance = 1e-11);

impl Solver<Wrong, Examples, Vector> for ClosedForm {
    fn solve(&self, program: &Wrong, batch: &Examples) -> Result<Vector, SolverFailure> {
        Ok(parameter(&ridge_answer(batch, self.share * values(&program.penalty)[0].exp())))
    }
}

program!(Wrong, ClosedForm { share: 0.9 });
program!(Short, |_: &Short, _: &Examples| Ok::<_, Infallible>(parameter(&[1.0])));
program!(Lost, |_: &Lost, _: &Examples| Ok::<_, Infallible>(parameter(&[f64::NAN, 0.0])));
program!(Fails, |_: &Fails, _: &Examples| Err::<Vector, _>("the matrix is singular"));
program!(Panics, |_: &Panics, _: &Examples| -> Result<Vector, Infallible> { panic!("no such key") });

/// It is the run of the closed form, and so of every other solver, with parameters and batches as they are at each step.
#[test]
fn a_closed_form_is_differentiated_as_what_it_is() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&seen);
    let mut closed = made!(Closed, ClosedData, ClosedConfig).observe(move |event| {
        if let Event::Solved { solver, iterations, evaluations, gradient_norm, converged, .. } = *event {
            assert_eq!((solver, iterations, evaluations, converged), ("custom", 1, 2, true));
            told.borrow_mut().push(gradient_norm);
        }
    });
    let mut lambda = 0.2;
    for _ in 0..5 {
        closed.run(1).unwrap();
        let (best, slope) = solution(lambda);
        assert_near(&values(&closed.problem().weights), &best, 1e-14);
        lambda -= 0.1 * slope;
        assert_near(&values(&closed.problem().penalty), &[lambda], 1e-12);
    }
    assert!(seen.borrow().len() == 5 && seen.borrow().iter().all(|norm| *norm < 1e-14), "{seen:?}");
    let mut searched = engine(RidgeConfig::default());
    searched.run(5).unwrap();
    assert_near(&values(&searched.problem().penalty), &[lambda], 1e-10);
}

#[test]
fn a_run_goes_on_where_it_was_saved() {
    let mut whole = made!(Closed, ClosedData, ClosedConfig);
    whole.run(3).unwrap();
    let mut first = made!(Closed, ClosedData, ClosedConfig);
    first.run(2).unwrap();
    let mut second = made!(Closed, ClosedData, ClosedConfig);
    second.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    second.run(1).unwrap();
    assert_eq!(values(&second.problem().penalty), values(&whole.problem().penalty));
}

#[test]
fn what_is_no_answer_is_an_error_and_changes_nothing() {
    macro_rules! refused {
        ($name:ident, $data:ident, $config:ident) => {{
            let mut engine = made!($name, $data, $config);
            let error = engine.run(1).expect_err("no answer");
            assert_eq!(values(&engine.problem().weights), [0.0, 0.0]);
            assert_eq!(values(&engine.problem().penalty), [0.2]);
            error
        }};
    }
    let error = refused!(Wrong, WrongData, WrongConfig);
    let EngineError::Solver(SolverError::NotStationary { norm, tolerance, step: 1, .. }) = error else {
        panic!("{error}")
    };
    // The gradient there is what was left out: a tenth of e^λw. Its terms are as large as the numbers of the examples.
    let answer = ridge_answer(&train(), 0.9 * 0.2_f64.exp());
    assert_near(&[norm], &[0.1 * 0.2_f64.exp() * answer[0].hypot(answer[1])], 1e-12);
    assert!((1e-4..1e-2).contains(&tolerance), "{tolerance}");
    let text = error.to_string();
    assert!(text.contains("not stationary at step 1") && text.contains("raise `tolerance` of `custom`"), "{text}");
    let error = refused!(Short, ShortData, ShortConfig);
    assert!(matches!(error, EngineError::Solver(SolverError::Answer { .. })));
    let text = error.to_string();
    assert!(
        text.contains("answered `weights` as F64 of shape [1]") && text.contains("in the place of F64 of shape [2]"),
        "{text}"
    );
    let error = refused!(Lost, LostData, LostConfig);
    assert!(matches!(error, EngineError::Solver(SolverError::NotStationary { norm, .. }) if norm.is_nan()), "{error}");
    let error = refused!(Fails, FailsData, FailsConfig);
    assert_eq!(error.to_string(), "the solver of level `weights` failed at step 1: the matrix is singular");
    let error = refused!(Panics, PanicsData, PanicsConfig);
    assert!(matches!(error, EngineError::Panicked { .. }) && error.to_string().contains("no such key"), "{error}");
}

#[test]
fn a_config_names_it() {
    let config =
        ClosedConfig::from_json(r#"{ "weights": { "solver": { "name": "custom", "tolerance": 0.1 } } }"#).unwrap();
    assert_eq!(config.weights.solver, Some(LevelSolverConfig::CustomSolver(CustomSolverConfig { tolerance: 0.1 })));
    // Another solver takes its place, without it.
    let config = ClosedConfig::from_json(r#"{ "weights": { "solver": { "name": "lbfgs" } } }"#).unwrap();
    let problem = Closed { penalty: parameter(&[0.2]), weights: parameter(&[0.0, 0.0]) };
    let data = ClosedData { penalty: held_out().into(), weights: train().into() };
    Engine::new(problem, data, config).unwrap().run(1).unwrap();
    let mut config = RidgeConfig::default();
    config.weights.solver = Some(LevelSolverConfig::CustomSolver(CustomSolverConfig::default()));
    let problem = crate::closed_forms::Ridge { penalty: parameter(&[0.2]), weights: parameter(&[0.0, 0.0]) };
    let data = crate::closed_forms::RidgeData { penalty: held_out().into(), weights: train().into() };
    let error = Engine::new(problem, data, config).map(drop).expect_err("the program names none");
    assert_eq!(
        error.to_string(),
        "the config of level `weights` asks for the solver `custom`, but the program does not say which: `solver: \
         custom(MySolver)`"
    );
}

/// ½Σ(xᵢ − bᵢ)² + ½e^λ·Σmax(−xᵢ, 0)²: which entries are negative is found by an active set.
fn hinged(x: &Vector, lambda: &Vector, b: Tensor<1>) -> Tensor<1> {
    ((x.val() - b).square().sum() + lambda.val().exp() * x.val().neg().clamp_min(0.0).square().sum()) * 0.5
}

fn cubed(_lambda: &Vector, x: &Vector, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).powi_scalar(3).sum()
}

multilevel! {
    struct Hinged;
    level lambda: Vector { lower: [x], batch: Tensor<1>, loss: cubed, optimizer: sgd(lr = 1e-13) }
    level x: Vector {
        upper: [lambda], batch: Tensor<1>, loss: hinged, solver: custom(active_set, tolerance = 1e-12), hypergradient: cg,
    }
}

fn hinged_answer(b: &[f64], lambda: f64) -> Vec<f64> {
    b.iter().map(|b| if *b < 0.0 { b / (1.0 + lambda.exp()) } else { *b }).collect()
}

fn active_set(program: &Hinged, b: &Tensor<1>) -> Result<Vector, Infallible> {
    let b: Vec<f64> = b.to_data().iter().collect();
    Ok(parameter(&hinged_answer(&b, values(&program.lambda)[0])))
}

/// Against differences of whole solves.
#[test]
fn an_active_set_is_differentiated() {
    const B: [f64; 4] = [1.0, -2.0, 0.5, -0.3];
    let lambda = 0.4;
    let loss = |lambda: f64| hinged_answer(&B, lambda).iter().map(|x| (x - 0.25).powi(3)).sum::<f64>();
    let problem = Hinged { lambda: parameter(&[lambda]), x: parameter(&[0.0; 4]) };
    let data = HingedData { lambda: Stream::constant(tensor(&[0.25; 4])), x: Stream::constant(tensor(&B)) };
    let mut engine = Engine::new(problem, data, HingedConfig::default()).unwrap();
    engine.run(1).unwrap();
    let found = engine.gradient("lambda").unwrap().gradient.to_vec().unwrap();
    let step = 1e-5;
    assert_near(&found, &[(loss(lambda + step) - loss(lambda - step)) / (2.0 * step)], 1e-9);
}

/// ½Σ(10⁴x − b − λ)² in numbers of single precision, at λ = 0.
fn large(x: &Vector, lambda: &Vector, b: Tensor<1>) -> Tensor<1> {
    let scaled = x.val() * 1e4;
    (scaled - b - lambda.val()).square().sum() * 0.5
}

fn pulled(_lambda: &Vector, x: &Vector, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).square().sum()
}

macro_rules! large {
    ($name:ident, $data:ident, $config:ident, $share:expr, $dtype:expr) => {{
        multilevel! {
            struct $name;
            level lambda: Vector { lower: [x], batch: Tensor<1>, loss: pulled, optimizer: sgd(lr = 0.1) }
            level x: Vector {
                upper: [lambda], batch: Tensor<1>, loss: large, hypergradient: cg,
                solver: custom(|_: &$name, b: &Tensor<1>| Ok::<_, Infallible>(Param::from_tensor(b.clone() * ($share / 1e4)))),
            }
        }
        let tensor = |at: [f64; 3]| Tensor::<1>::from_data(at, (&Device::flex(), $dtype));
        let start = || Param::from_tensor(tensor([0.0; 3]));
        let data = $data {
            lambda: Stream::constant(tensor([1.0, 2.0, 3.0])),
            x: Stream::constant(tensor([12345.678, 33333.333, 98765.43])),
        };
        let program = $name { lambda: start(), x: start() };
        let mut engine = Engine::new(program, data, $config::default()).unwrap();
        engine.run(1).map(drop)
    }};
}

fn refused(outcome: Result<(), EngineError>) -> (f64, f64) {
    let error = outcome.expect_err("a part is left");
    let EngineError::Solver(SolverError::NotStationary { norm, tolerance, .. }) = error else { panic!("{error}") };
    (norm, tolerance)
}

/// In f32 rounding alone leaves a gradient of about 10⁴·10⁵·10⁻⁷ there, and a thousandth of the answer one of 10⁶.
#[test]
fn what_rounding_leaves_of_large_terms_is_stationary() {
    large!(Exact, ExactData, ExactConfig, 1.0, DType::F32).unwrap();
    let (norm, tolerance) = refused(large!(Off, OffData, OffConfig, 1.001, DType::F32));
    // ‖g‖ = 10⁴·10⁻³·‖b‖, beside terms of 10⁴·‖b‖ and twice that.
    assert!(norm > 1e6 && tolerance > 1e3 && tolerance < 1e5, "{norm:e} {tolerance:e}");
    // In f64 it leaves far less than the tolerance, and a hundred-thousandth of the answer 10⁴.
    large!(Whole, WholeData, WholeConfig, 1.0, DType::F64).unwrap();
    let (norm, tolerance) = refused(large!(Near, NearData, NearConfig, 1.00001, DType::F64));
    assert!(norm > 1e3 && tolerance < 1e-3, "{norm:e} {tolerance:e}");
}

fn falling(x: &Vector, _: Tensor<1>) -> Tensor<1> {
    x.val().sum()
}

/// A turn counted, and one without an end.
#[test]
fn a_loss_without_a_lower_bound_is_an_error() {
    multilevel! {
        struct Falling;
        level x: Vector { batch: Tensor<1>, loss: falling, solver: lbfgs }
    }
    let data = FallingData { x: Stream::constant(tensor(&[0.0])) };
    let mut engine = Engine::new(Falling { x: parameter(&[1.0, 2.0]) }, data, FallingConfig::default()).unwrap();
    let explained = engine.explain().unwrap();
    assert_eq!(explained.levels[0].evaluations, Some(1 + 100 * 101));
    assert!(explained.to_string().contains("a turn of the solver, 10101 gradients at the most: "), "{explained}");
    let error = engine.run(1).expect_err("no lower bound");
    assert!(matches!(error, EngineError::Solver(SolverError::Unbounded { start: 3.0, step: 1, .. })), "{error}");
    assert!(error.to_string().contains("it has no lower bound"), "{error}");
    assert_eq!(values(&engine.problem().x), [1.0, 2.0]);
}

/// 1.5x² − 10¹²x, whose minimum is −1.7·10²³
fn deep(x: &Vector, _: Tensor<1>) -> Tensor<1> {
    (x.val().square() * 1.5 - x.val() * 1e12).sum()
}

/// −x⁴
fn overflowing(x: &Vector, _: Tensor<1>) -> Tensor<1> {
    -x.val().powi_scalar(4).sum()
}

macro_rules! minimized {
    ($name:ident, $data:ident, $config:ident, $loss:ident, $solver:expr, $from:expr) => {{
        multilevel! {
            struct $name;
            level x: Vector { batch: Tensor<1>, loss: $loss, solver: $solver }
        }
        let data = $data { x: Stream::constant(tensor(&[0.0])) };
        let engine = Engine::new($name { x: parameter(&[$from]) }, data, $config::default()).unwrap();
        let done = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&done);
        let mut engine = engine.observe(move |event| {
            if let Event::Solved { converged, .. } = event {
                *seen.borrow_mut() = Some(*converged);
            }
        });
        let ran = engine.run(1).map(drop);
        ran.map(|()| (values(&engine.problem().x)[0], done.take()))
    }};
}

/// Its rounding is far above any tolerance there, but no loss that ends where precision does falls without end.
#[test]
fn a_deep_minimum_is_one() {
    let (found, converged) = minimized!(Deep, DeepData, DeepConfig, deep, lbfgs, 0.0).unwrap();
    assert!(converged.is_some());
    assert!((found / (1e12 / 3.0) - 1.0).abs() < 1e-7, "{found:e}");
    let (found, converged) =
        minimized!(DeepAsCanBe, DeepAsCanBeData, DeepAsCanBeConfig, deep, lbfgs(tolerance = 0.0), 0.0).unwrap();
    assert!((found / (1e12 / 3.0) - 1.0).abs() < 1e-7, "{found:e}");
    assert_eq!(converged, Some(true), "what precision allows is all that was asked for");
    let error = minimized!(Over, OverData, OverConfig, overflowing, lbfgs, 1.0).expect_err("it falls to −∞");
    assert!(matches!(error, EngineError::Solver(SolverError::Unbounded { .. })), "{error}");
}

//! What goes wrong in what users bring themselves is an error with its remedy, and nothing is changed by it.

use std::convert::Infallible;

use betty_runtime::{
    Derivatives, DerivativesError, Engine, EngineError, Graph, GraphError, Optimizer, SolverError, Stream,
    UpdateInputs, Updated, multilevel,
};
use burn::module::Param;
use burn::nn::LinearConfig;
use burn::tensor::{Device, Tensor};

use super::optimizer::{Point, distance};
use super::spectrum::{examples, loss};

fn point(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::flex())
}

/// Answers a parameter of another shape.
#[derive(Debug)]
struct Flat;

impl Optimizer for Flat {
    fn name(&self) -> &'static str {
        "flat"
    }

    fn states(&self) -> usize {
        0
    }

    fn scalars(&self, _step: u64) -> Vec<f64> {
        Vec::new()
    }

    fn update(&self, graph: &mut Graph, inputs: &UpdateInputs<'_>) -> Result<Updated, GraphError> {
        Ok(Updated { parameter: graph.sum_all(inputs.parameter)?, states: Vec::new() })
    }
}

multilevel! {
    struct Flattened;

    level x: Point { batch: Tensor<1>, loss: distance, optimizer: custom(Flat, lr = 0.1) }
}

#[test]
fn an_optimizer_that_changes_the_shape() {
    let data = FlattenedData { x: Stream::constant(point(&[1.0, 2.0])) };
    let problem = Flattened { x: Param::from_tensor(point(&[0.0, 0.0])) };
    let error = Engine::new(problem, data, FlattenedConfig::default()).map(drop).expect_err("another shape");
    assert!(matches!(error, EngineError::Optimizer { .. }), "{error}");
    assert!(error.to_string().contains("`flat` must answer the parameter as F32 of shape [2]"), "{error}");
}

fn halfway(_program: &Lazy, target: &Tensor<1>) -> Result<Point, Infallible> {
    Ok(Param::from_tensor(target.clone() * 0.5))
}

fn scaled(x: &Point, scale: &Point, target: Tensor<1>) -> Tensor<1> {
    ((x.val() - target).square() * scale.val().exp()).sum()
}

fn judge(_scale: &Point, x: &Point, target: Tensor<1>) -> Tensor<1> {
    distance(x, target)
}

multilevel! {
    struct Lazy;

    level scale: Point { lower: [x], batch: Tensor<1>, loss: judge, optimizer: sgd(lr = 0.1) }
    level x: Point {
        upper: [scale], batch: Tensor<1>, loss: scaled, solver: custom(halfway), hypergradient: cg,
    }
}

#[test]
fn a_solver_whose_answer_is_not_stationary() {
    let data = LazyData { scale: Stream::constant(point(&[1.0])), x: Stream::constant(point(&[2.0])) };
    let problem = Lazy { scale: Param::from_tensor(point(&[0.0])), x: Param::from_tensor(point(&[0.0])) };
    let mut engine = Engine::new(problem, data, LazyConfig::default()).expect("a program");
    let error = engine.run(1).expect_err("the gradient there is 2");
    assert!(matches!(error, EngineError::Solver(SolverError::NotStationary { .. })), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("the gradient of the level's loss has norm 2.0e0 there") && text.contains("raise `tolerance`"),
        "{text}"
    );
    let x: f32 = engine.problem().x.val().into_scalar();
    assert_eq!(x.to_bits(), 0.0_f32.to_bits());
}

#[test]
fn a_vector_of_another_model() -> Result<(), DerivativesError> {
    let device = Device::flex();
    let batch = examples(&device);
    let model = |bias: bool| LinearConfig::new(3, 1).with_bias(bias).init(&device);
    let other = Derivatives::of(loss, &model(true), &batch)?.parameters();
    let (plain, numbers) = (model(false), [1.0, 2.0]);
    let mut derivatives = Derivatives::of(loss, &plain, &batch)?;
    let error = derivatives.hessian()?.product(&other).expect_err("it has a bias").to_string();
    assert!(error.contains("it has 2 parameters instead of 1; make it from the module"), "{error}");
    let error = derivatives.parameters().with_values(&numbers).expect_err("there are three").to_string();
    assert!(error.contains('2') && error.contains('3'), "{error}");
    Ok(())
}

//! Preconditioners of one's own: for a system with the Hessian of a model's loss, and for those of a level.

use betty_runtime::linalg::{CgOptions, SolveError, preconditioned_conjugate_gradient};
use betty_runtime::{
    Coordinates, CurvatureOperator, Derivatives, DerivativesError, Engine, EngineError, HypergradientError,
    ParameterVector, Preconditioner, Preconditioning, Stream, System, SystemPreconditioner, Vector, multilevel,
};
use burn::module::Param;
use burn::nn::LinearConfig;
use burn::tensor::{Device, Tensor};

use super::optimizer::Point;
use super::spectrum::{examples, loss};

/// Divides by numbers, one for each parameter.
struct Divide(Vec<f64>);

impl Preconditioner<CurvatureOperator<'_>> for Divide {
    fn precondition(
        &mut self,
        _hessian: &mut CurvatureOperator<'_>,
        r: &ParameterVector,
    ) -> Result<ParameterVector, DerivativesError> {
        let divided: Vec<f64> = r.to_vec()?.iter().zip(&self.0).map(|(x, by)| x / by).collect();
        r.with_values(&divided)
    }
}

/// Iterations to the solution of H·x = b, and the solution.
fn solved(divide: Vec<f64>) -> Result<(usize, Vec<f64>), SolveError<DerivativesError>> {
    let device = Device::flex();
    let model = LinearConfig::new(3, 1).with_bias(false).init(&device);
    let mut derivatives = Derivatives::of(loss, &model, &examples(&device)).expect("the loss is recorded");
    let b = derivatives.parameters().with_values(&[2.0, 8.0, 32.0]).expect("three parameters");
    let mut hessian = derivatives.hessian().expect("it has second derivatives");
    let options = CgOptions { iterations: 10, tolerance: 1e-6, damping: 0.0 };
    let solution = preconditioned_conjugate_gradient(&mut hessian, &mut Divide(divide), &b, None, &options)?;
    Ok((solution.outcome.iterations, solution.x.to_vec().expect("it can be read")))
}

#[test]
fn one_that_knows_the_diagonal_solves_a_diagonal_system_at_once() {
    let (plain, x) = solved(vec![1.0; 3]).expect("it is positive definite");
    let (prepared, y) = solved(vec![2.0, 8.0, 32.0]).expect("it is positive definite");
    assert!(plain >= 3 && prepared == 1, "{plain} and {prepared}");
    for found in x.iter().chain(&y) {
        assert!((found - 1.0).abs() < 1e-4, "{x:?} and {y:?}");
    }
}

#[test]
fn one_that_is_not_definite_is_told() {
    let error = solved(vec![2.0, -8.0, 32.0]).expect_err("an entry is negative");
    assert!(matches!(error, SolveError::PreconditionerNotPositiveDefinite { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("make P⁻¹ positive definite") && text.contains("gmres, which takes any"), "{text}");
}

/// ½Σ dᵢ(xᵢ − λᵢ)² for d = 1, 100, 10000: a system that plain conjugate gradients take three iterations for.
fn stretched(x: &Point, lambda: &Point, d: Tensor<1>) -> Tensor<1> {
    ((x.val() - lambda.val()).square() * d).sum() * 0.5
}

fn sum(_lambda: &Point, x: &Point, _d: Tensor<1>) -> Tensor<1> {
    x.val().sum()
}

/// The diagonal of the matrix, known from how the loss is made; its sign is that of the preconditioner.
#[derive(Debug)]
struct Known(f64);

impl Preconditioning for Known {
    fn prepare(
        &self,
        _system: &mut System<'_>,
        damping: f64,
        like: &Vector,
    ) -> Result<SystemPreconditioner, HypergradientError> {
        let inverse: Vec<f64> = [1.0, 100.0, 10000.0].iter().map(|d| self.0 / (d + damping)).collect();
        let inverse = like.with_coordinates(&inverse);
        Ok(Box::new(move |_: &mut System<'_>, r: &Vector| Ok(r.entrywise(&inverse)?)))
    }
}

macro_rules! program {
    ($name:ident, $sign:literal) => {
        multilevel! {
            struct $name;

            level lambda: Point { lower: [x], batch: Tensor<1>, loss: sum, optimizer: sgd(lr = 1.0) }
            level x: Point {
                upper: [lambda], batch: Tensor<1>, loss: stretched, optimizer: sgd(lr = 1e-5),
                hypergradient: cg(iterations = 1), preconditioner: custom(Known($sign)),
            }
        }
    };
}

program!(Prepared, 1.0);
program!(Negative, -1.0);

macro_rules! stepped {
    ($name:ident, $data:ident, $config:ident) => {{
        let point = |values: [f32; 3]| Tensor::<1>::from_floats(values, &Device::flex());
        let d = || Stream::constant(point([1.0, 100.0, 10000.0]));
        let data = $data { lambda: d(), x: d() };
        let problem = $name { lambda: Param::from_tensor(point([0.0; 3])), x: Param::from_tensor(point([0.0; 3])) };
        let mut engine = Engine::new(problem, data, $config::default())?;
        engine.run(1).map(|_| engine.problem().lambda.val().into_data().iter::<f64>().collect::<Vec<_>>())
    }};
}

#[test]
fn one_of_a_level_solves_its_system_in_one_iteration() -> Result<(), EngineError> {
    // dC/dλ = ∂C/∂x = 1, and the step is all of it.
    let found = stepped!(Prepared, PreparedData, PreparedConfig)?;
    assert!(found.iter().all(|x| (x + 1.0).abs() < 1e-5), "{found:?}");
    let error = stepped!(Negative, NegativeData, NegativeConfig).expect_err("it is negative definite").to_string();
    assert!(error.contains("the preconditioner is not positive definite") && error.contains("use gmres"), "{error}");
    Ok(())
}

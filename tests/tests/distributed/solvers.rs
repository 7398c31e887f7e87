//! Solvers of the user's own, which see what a rank has: one answer for all, that of the first, held against the loss of all.

use std::convert::Infallible;

use betty_runtime::distributed::{Collective, Threads};
use betty_runtime::{Engine, EngineError, SolverError, Stream, multilevel};
use burn::module::Param;
use burn::tensor::Tensor;

use super::problem::{assert_exact, tensor};

type Point = Param<Tensor<1>>;

/// mean((b − x)²) + e^λx², whose minimum is mean(b)/(1 + e^λ).
fn shrunk(x: &Point, lambda: &Point, b: Tensor<1>) -> Tensor<1> {
    (b - x.val()).square().mean() + lambda.val().exp() * x.val().square()
}

fn gap(_lambda: &Point, x: &Point, b: Tensor<1>) -> Tensor<1> {
    (b - x.val()).square().mean()
}

fn closed_form(program: &Shrinkage, b: &Tensor<1>) -> Result<Point, Infallible> {
    Ok(Param::from_tensor(b.clone().mean() / (program.lambda.val().exp() + 1.0)))
}

multilevel! {
    struct Shrinkage;
    level lambda: Point { lower: [x], batch: Tensor<1>, loss: gap, optimizer: sgd(lr = 0.1) }
    level x: Point { upper: [lambda], batch: Tensor<1>, loss: shrunk, solver: custom(closed_form), hypergradient: cg }
}

fn engine(x: Tensor<1>) -> Result<Engine<Shrinkage>, EngineError> {
    let point = |at: f64| Param::from_tensor(tensor([1], vec![at]));
    let data = ShrinkageData { lambda: Stream::constant(tensor([2], vec![1.0, 0.5])), x: Stream::constant(x) };
    Engine::new(Shrinkage { lambda: point(0.2), x: point(0.0) }, data, ShrinkageConfig::default())
}

fn values(engine: &mut Engine<Shrinkage>) -> Vec<f64> {
    let Shrinkage { lambda, x } = engine.problem();
    [lambda, x].into_iter().flat_map(|point| point.val().into_data().try_to_vec::<f64>().expect("doubles")).collect()
}

/// Ranks may compute differently in the last bits; they go on from the same ones.
#[test]
fn all_take_the_answer_of_the_first() {
    let mut whole = engine(tensor([2], vec![3.0, 1.0])).expect("an engine");
    whole.run(20).expect("a run");
    let ranks = Threads::run(2, |rank| {
        let rounding = 1e-13 * rank.rank() as f64;
        let mut engine = engine(tensor([2], vec![3.0 + rounding, 1.0]))?.distributed(rank)?;
        engine.run(20)?;
        Ok(values(&mut engine))
    });
    assert_exact(&values(&mut whole), &ranks, 1e-12, "a closed form");
}

/// On each rank the gradient of its own share vanishes at its own answer, but no answer is that of the joined batch.
#[test]
fn an_answer_for_a_share_is_none() {
    let found = Threads::run(2, |rank| {
        let mut engine = engine(tensor([2], vec![1.0 + 4.0 * rank.rank() as f64, 2.0]))?.distributed(rank)?;
        let error = engine.run(1).map(drop);
        Ok::<_, EngineError>((error, values(&mut engine)))
    });
    for found in found {
        let (error, values) = found.expect("an engine");
        let Err(EngineError::Solver(SolverError::NotStationary { norm, step: 1, .. })) = error else {
            panic!("{error:?}")
        };
        // At 1.5/(1 + e^λ), where 2.5/(1 + e^λ) is the minimum: the gradient is twice the difference times 1 + e^λ.
        assert!((norm - 2.0).abs() < 1e-12, "{norm}");
        assert_eq!(values, [0.2, 0.0]);
        assert!(error.is_err_and(|error| error.to_string().contains(r#"engine.replicated("x")"#)));
    }
}

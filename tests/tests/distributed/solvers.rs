//! Solvers of the user's own, which see what a rank has: one answer for all, that of the first, held against the loss of all.

use std::convert::Infallible;

use betty_runtime::distributed::{Collective, Threads};
use betty_runtime::{Engine, EngineError, SolverError, Stream, multilevel};
use burn::module::Param;
use burn::tensor::Tensor;

use super::problem::{Outcome, assert_exact, tensor};

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

/// A step of gradient descent on the loss of `x`, then towards zero by `e^λ/10`: its fixed points are minima with an absolute value as
/// penalty.
fn proximal(x: &Point, lambda: &Point, b: Tensor<1>) -> Tensor<1> {
    let stepped = x.val() - (x.val() - b.mean()) * 0.2;
    let least = lambda.val().exp() * 0.1;
    stepped.clone().sign() * (stepped.abs() - least).clamp_min(0.0)
}

/// |x| is shrunk by `e^λ/2`.
fn soft(program: &Lasso, b: &Tensor<1>) -> Result<Point, Infallible> {
    let (mean, least) = (b.clone().mean(), program.lambda.val().exp() * 0.5);
    Ok(Param::from_tensor(mean.clone().sign() * (mean.abs() - least).clamp_min(0.0)))
}

multilevel! {
    struct Lasso;
    level lambda: Point { lower: [x], batch: Tensor<1>, loss: gap, optimizer: sgd(lr = 0.1) }
    level x: Point {
        upper: [lambda], batch: Tensor<1>, loss: shrunk, condition: fixed_point(proximal), solver: custom(soft), hypergradient: gmres,
    }
}

fn lasso(shift: f64) -> Result<Engine<Lasso>, EngineError> {
    let point = |at: f64| Param::from_tensor(tensor([1], vec![at]));
    let data = LassoData {
        lambda: Stream::constant(tensor([2], vec![1.0 + shift, 0.5 - shift])),
        x: Stream::constant(tensor([2], vec![3.0, 1.0])),
    };
    Engine::new(Lasso { lambda: point(0.2), x: point(0.0) }, data, LassoConfig::default())
}

fn of_lasso(engine: &mut Engine<Lasso>) -> Outcome {
    engine.run(5)?;
    let Lasso { lambda, x } = engine.problem();
    Ok([lambda, x].into_iter().flat_map(|point| point.val().into_data().iter::<f64>().collect::<Vec<_>>()).collect())
}

#[test]
fn a_fixed_point_of_the_same_batch_on_all_ranks_is_that_of_one_process() {
    let whole = lasso(0.0).and_then(|mut engine| of_lasso(&mut engine)).expect("a run");
    assert!((whole[0] - 0.2).abs() > 1e-3, "it moves: {whole:?}");
    for size in [2, 3] {
        // The level above is divided, and its mean loss that of `[1, 0.5]` where shifts cancel in the gradient.
        let ranks = Threads::run(size, |rank| {
            let mut engine = lasso(rank.rank() as f64)?.replicated("x")?.distributed(rank)?;
            of_lasso(&mut engine)
        });
        assert_exact(&whole, &ranks, 1e-12, "a lasso");
    }
    let refused = Threads::run(2, |rank| lasso(0.0)?.distributed(rank)?.run(1).map(drop));
    for found in refused {
        let text = found.expect_err("a map of shares").to_string();
        assert!(text.contains(r#"engine.replicated("x")"#), "{text}");
    }
}

//! What made a loss or gradient that is not finite.

use betty_runtime::{Engine, EngineError, Stream, multilevel};
use burn::tensor::{DType, Tensor};

use crate::finite::{Point, Slopes, above, point, tensor};

/// Where a number that is not finite came from, of a loss below on these slopes.
fn origin(loss: Loss, slopes: &[f64]) -> (&'static str, String) {
    let problem = Causes { high: point(&[1.0, 1.0], DType::F32), low: point(&[0.5, -0.25], DType::F32) };
    let slopes = Slopes { of: tensor(slopes, DType::F32) };
    let data = CausesData { high: Stream::constant(()), low: Stream::constant((slopes, loss as u32)) };
    let error = Engine::new(problem, data, CausesConfig::default()).unwrap().run(1).unwrap_err();
    match error {
        EngineError::NonFinite { quantity, origin, .. } => (quantity, origin.expect("an origin")),
        error => panic!("{error}"),
    }
}

#[derive(Clone, Copy)]
enum Loss {
    Log,
    Root,
    Overflow,
    Plain,
    MaskedRow,
}

fn caused(low: &Point, high: &Point, (slopes, loss): (Slopes, u32)) -> Tensor<1> {
    let z = low.x.val() * high.x.val();
    if loss == Loss::Log as u32 {
        (z + slopes.of).log().sum()
    } else if loss == Loss::Root as u32 {
        ((z * 0.0) + slopes.of).sqrt().sum()
    } else if loss == Loss::Overflow as u32 {
        let large = (z + slopes.of).exp();
        (large.clone() / large).sum()
    } else if loss == Loss::MaskedRow as u32 {
        let hidden = z.clone().ones_like().greater_elem(0.5);
        burn::tensor::activation::log_softmax((z * slopes.of).mask_fill(hidden, f32::NEG_INFINITY), 0).sum()
    } else {
        (z * slopes.of).sum()
    }
}

multilevel! {
    struct Causes;

    level high: Point { lower: [low], batch: (), loss: above, optimizer: sgd(lr = 0.1) }
    level low: Point {
        upper: [high], batch: (Slopes, u32), loss: caused, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 1.0),
    }
}

#[test]
fn the_first_operation_that_makes_it_is_named() {
    let (quantity, text) = origin(Loss::Log, &[-1.0, 1.0]);
    assert!(
        quantity == "loss" && text.starts_with("`log` (f32[2]) made it of numbers from -5.00e-1 to 7.50e-1"),
        "{text}"
    );
    // The loss is finite, its derivative at 0 is not.
    let (quantity, text) = origin(Loss::Root, &[0.0, 1.0]);
    assert!(quantity == "gradient" && text.contains("made it of"), "{quantity}: {text}");
    // ∞/∞ is what the overflow led to.
    let (_, text) = origin(Loss::Overflow, &[100.0, 0.0]);
    assert!(text.starts_with("`exp`"), "{text}");
    // The mask is meant, a softmax of nothing is not.
    let (_, text) = origin(Loss::MaskedRow, &[1.0, 1.0]);
    assert!(text.contains("softmax") || text.starts_with("`sub`"), "{text}");
    let (quantity, text) = origin(Loss::Plain, &[f64::NAN, 1.0]);
    assert!(quantity == "loss" && text.starts_with("tensor 0 of its batch"), "{text}");
}

fn root(task: &Point, slopes: Slopes) -> Tensor<1> {
    (task.x.val() * slopes.of).sqrt().sum()
}

fn sum(_meta: &Point, task: &Point, _batch: ()) -> Tensor<1> {
    task.x.val().sum()
}

multilevel! {
    struct Together;

    level meta: Point { lower: [task], batch: (), loss: sum, optimizer: sgd(lr = 0.1), tasks: 2, vectorize: true }
    level task: Point {
        start: from(meta), batch: Slopes, loss: root, optimizer: sgd(lr = 0.1), hypergradient: unrolled,
    }
}

#[test]
fn it_is_named_in_tasks_that_are_computed_together() {
    let text = |slope: f64| {
        let problem = Together { meta: point(&[0.5], DType::F32), task: point(&[0.5], DType::F32) };
        let slopes = Slopes { of: tensor(&[slope], DType::F32) };
        let data = TogetherData { meta: Stream::constant(()), task: Stream::constant(slopes) };
        Engine::new(problem, data, TogetherConfig::default()).unwrap().run(1).unwrap_err().to_string()
    };
    let found = text(-1.0);
    assert!(found.contains("the loss of level `task` is NaN") && found.contains("`sqrt`"), "{found}");
    let found = text(f64::NAN);
    assert!(found.contains("the data of level `task` have such an entry"), "{found}");
}

//! A solver of one's own: the best response in closed form, differentiated implicitly.

use std::convert::Infallible;

use betty_runtime::{Engine, EngineError, Stream, multilevel};
use burn::module::Param;
use burn::tensor::{Device, Tensor};

use super::optimizer::Point;

/// ½(x − b)² + ½λx², which is smallest at x = b/(1 + λ).
fn shrunk(x: &Point, lambda: &Point, b: Tensor<1>) -> Tensor<1> {
    ((x.val() - b).square() + lambda.val() * x.val().square()).sum() * 0.5
}

fn distance(_lambda: &Point, x: &Point, target: Tensor<1>) -> Tensor<1> {
    (x.val() - target).square().sum() * 0.5
}

fn closed_form(program: &Shrinking, b: &Tensor<1>) -> Result<Point, Infallible> {
    Ok(Param::from_tensor(b.clone() / (program.lambda.val() + 1.0)))
}

multilevel! {
    struct Shrinking;

    level lambda: Point { lower: [x], batch: Tensor<1>, loss: distance, optimizer: sgd(lr = 1.0) }
    level x: Point {
        upper: [lambda], batch: Tensor<1>, loss: shrunk, solver: custom(closed_form), hypergradient: cg,
    }
}

#[test]
fn its_answer_is_differentiated() -> Result<(), EngineError> {
    let device = Device::flex();
    let point = |value: f32| Tensor::<1>::from_floats([value], &device);
    let data = ShrinkingData { lambda: Stream::constant(point(0.5)), x: Stream::constant(point(3.0)) };
    let problem = Shrinking { lambda: Param::from_tensor(point(0.5)), x: Param::from_tensor(point(0.0)) };
    let mut engine = Engine::new(problem, data, ShrinkingConfig::default())?;
    engine.run(1)?;
    // dC/dλ = (x − t)·dx/dλ with x = 2 and dx/dλ = −b/(1 + λ)², and the step is all of it.
    let expected = 0.5 + (2.0 - 0.5) * 3.0 / 2.25;
    let found: f32 = engine.problem().lambda.val().into_scalar();
    assert!((f64::from(found) - expected).abs() < 1e-5, "{found} is not {expected}");
    Ok(())
}

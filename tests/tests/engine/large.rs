//! Gradients that a float type has, and whose squares it has not: in single precision those beyond 1.8e19.

use betty_runtime::{Derivatives, Engine, ProgramConfig, Stream, multilevel};
use burn::tensor::{DType, Tensor};

use crate::finite::{Point, point, tensor, values};

fn below(low: &Point, high: &Point, slopes: Tensor<1>) -> Tensor<1> {
    (low.x.val() * (slopes + high.x.val())).sum()
}

fn above(high: &Point, low: &Point, slopes: Tensor<1>) -> Tensor<1> {
    low.x.val().sum() + (high.x.val() * slopes).sum()
}

multilevel! {
    struct Cliff;

    level high: Point {
        lower: [low], batch: Tensor<1>, loss: above, optimizer: sgd(lr = 0.1), project: norm_ball(radius = 1.0),
    }
    level low: Point {
        upper: [high], batch: Tensor<1>, loss: below, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 1.0),
        clip: norm(1.0),
    }
}

#[test]
fn a_limit_is_for_gradients_that_explode() {
    for (dtype, digits) in [(DType::F32, 1e-6), (DType::BF16, 4e-3)] {
        for more in ["{}", r#"{ "low": { "accumulate": 2 } }"#] {
            let problem = Cliff { high: point(&[0.5, 0.0], dtype), low: point(&[0.5, -0.25], dtype) };
            let slopes = || Stream::constant(tensor(&[3e19, -2e19], dtype));
            let data = CliffData { high: slopes(), low: slopes() };
            let mut engine = Engine::new(problem, data, CliffConfig::from_json(more).unwrap()).unwrap();
            engine.run(1).unwrap();
            // Both steps lead against a gradient along the slopes, one of length 0.1 and one to the boundary.
            let unit = [3.0, -2.0].map(|x: f64| x / 13.0_f64.sqrt());
            let found = values(&engine.problem().low).into_iter().chain(values(&engine.problem().high));
            let expected = [0.5 - 0.1 * unit[0], -0.25 - 0.1 * unit[1], -unit[0], -unit[1]];
            for (found, expected) in found.zip(expected) {
                assert!((found - expected).abs() <= digits, "{dtype:?}{more}: {found} for {expected}");
            }
        }
    }
}

fn inclined(x: &Point, slopes: Tensor<1>) -> Tensor<1> {
    (x.x.val() * slopes).sum()
}

#[test]
fn such_a_gradient_is_one() {
    let (at, slopes) = (point(&[0.5, -0.25], DType::F32), tensor(&[3e19, -2e19], DType::F32));
    let mut derivatives = Derivatives::of(inclined, &at, &slopes).unwrap();
    let found = derivatives.gradient().unwrap().to_vec().unwrap();
    assert_eq!(found, [3e19, -2e19].map(|slope: f32| f64::from(slope)));
}

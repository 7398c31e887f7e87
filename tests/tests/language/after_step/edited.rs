//! A constant that is edited between two runs: steps read the new one, and so does every derivative of steps.

use super::*;

const NONE: [f64; 2] = [0.0; 2];

fn edit_away(point: &mut Point) {
    point.shift = tensor(&NONE);
}

#[test]
fn tasks_one_by_one_and_together_read_the_new_constant() {
    let (scale, _) = turn_by_hand(SHIFT, SCALE, (X, [0.0; 2]));
    let (scale, at) = turn_by_hand(NONE, scale, (X, [0.0; 2]));
    for vectorize in [false, true] {
        let json =
            format!(r#"{{ "scale": {{ "tasks": 2, "vectorize": {vectorize} }}, "point": {{ "start": "initial" }} }}"#);
        let mut engine = engine(&json);
        engine.run(1).unwrap();
        engine.edit(|problem| edit_away(&mut problem.point)).unwrap();
        engine.run(1).unwrap();
        assert_close(both(&mut engine), [scale, at.0]);
    }
}

fn above(_top: &Vector, scale: &Vector, b: Tensor<1>) -> Tensor<1> {
    half_square(scale.val() - b)
}

fn judged_near(scale: &Vector, top: &Vector, point: &Point, b: Tensor<1>) -> Tensor<1> {
    half_square(point.x.val() - b) + half_square(scale.val() - top.val())
}

multilevel! {
    /// A level that is solved over steps that the function follows.
    struct Nested;

    level top: Vector { lower: [scale], batch: Tensor<1>, loss: above, optimizer: sgd(lr = 1e-300) }
    level scale: Vector {
        upper: [top], lower: [point], batch: Tensor<1>, loss: judged_near, optimizer: sgd(lr = 0.4), unroll: 60,
        hypergradient: cg(iterations = 4),
    }
    level point: Point {
        upper: [scale], batch: Tensor<1>, loss: driven, after_step: squeezed, freeze: [still], start: initial,
        optimizer: sgd(lr = 0.3, momentum = 0.6, weight_decay = 0.1), unroll: 4, hypergradient: unrolled,
    }
}

/// `(I + ∂²ℓ/∂s²)⁻¹ (s − b)`, with second differences of whole turns.
fn expected(scale: [f64; 2]) -> [f64; 2] {
    let at = |a: f64, b: f64| loss(NONE, [scale[0] + a, scale[1] + b], (X, [0.0; 2]));
    let h = 1e-3;
    let own = |along: fn(f64) -> (f64, f64)| {
        let at = |by: f64| at(along(by).0, along(by).1);
        (at(h) - 2.0 * at(0.0) + at(-h)) / (h * h)
    };
    let (first, second) = (1.0 + own(|by| (by, 0.0)), 1.0 + own(|by| (0.0, by)));
    let mixed = (at(h, h) - at(h, -h) - at(-h, h) + at(-h, -h)) / (4.0 * h * h);
    let right = [0, 1].map(|i| scale[i] - B[i]);
    let determinant = first * second - mixed * mixed;
    [(second * right[0] - mixed * right[1]) / determinant, (first * right[1] - mixed * right[0]) / determinant]
}

#[test]
fn steps_that_are_differentiated_twice_read_the_new_constant() {
    let problem = Nested { top: parameter(&[0.9, 1.1]), scale: parameter(&SCALE), point: Point::new() };
    let b = || Stream::constant(tensor(&B));
    let data = NestedData { top: b(), scale: b(), point: Stream::constant(tensor(&A)) };
    let mut engine = Engine::new(problem, data, NestedConfig::default()).unwrap();
    engine.run(1).unwrap();
    engine.gradient("top").unwrap();
    engine.edit(|problem| edit_away(&mut problem.point)).unwrap();
    engine.run(1).unwrap();
    let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
    let expected = expected(values(&engine.problem().scale).try_into().unwrap());
    assert!((0..2).all(|i| (found[i] - expected[i]).abs() < 1e-5), "{found:?} is not {expected:?}");
}

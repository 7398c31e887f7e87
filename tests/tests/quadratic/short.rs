//! Cotangents in single precision that are almost nothing, as a saturated loss sends them down: one over their length is no number of
//! 32 bits, but the hypergradient is.

use super::*;

fn gentle(_lambda: &Vector, theta: &Vector, (_, _, _, t): Matrices) -> Tensor<1> {
    (theta.x.val() * t).sum()
}

multilevel! {
    struct Short;

    level outer: Vector { lower: [inner], batch: Matrices, loss: gentle, optimizer: sgd(lr = 0.1) }
    level inner: Vector {
        upper: [outer], batch: Matrices, loss: lower, optimizer: sgd(lr = 0.5), hypergradient: cg,
    }
}

/// All in single precision, with a cotangent of `T` times this.
fn found(length: f64, method: &str) -> Vec<f64> {
    let single = |values: &[f64]| {
        let data = TensorData::new(values.to_vec(), [values.len()]).convert::<f32>();
        Vector { x: Param::from_tensor(Tensor::from_data(data, (&Device::flex(), DType::F32))) }
    };
    let tensors = || {
        let (a, b, b0, t) = matrices();
        (a.cast(DType::F32), b.cast(DType::F32), b0.cast(DType::F32), t.mul_scalar(length).cast(DType::F32))
    };
    let problem = Short { outer: single(&LAMBDA), inner: single(&THETA) };
    let data = ShortData { outer: Stream::constant(tensors()), inner: Stream::constant(tensors()) };
    let mut config = ShortConfig::default();
    config.inner.hypergradient = Some(serde_json::from_str(method).unwrap());
    Engine::new(problem, data, config).unwrap().gradient("outer").unwrap().gradient.to_vec().unwrap()
}

#[test]
fn what_is_almost_nothing_is_solved_for_like_all_else() {
    let solution = solve(0.0, &T);
    let through = |q: &[f64]| -> Vec<f64> { (0..M).map(|j| (0..N).map(|i| B[i][j] * q[i]).sum()).collect() };
    for (method, q) in [
        (r#"{ "method": "cg" }"#, &solution[..]),
        (r#"{ "method": "minres" }"#, &solution),
        (r#"{ "method": "gmres" }"#, &solution),
        (r#"{ "method": "dense" }"#, &solution),
        (r#"{ "method": "neumann", "terms": 60, "step_size": 0.4 }"#, &solution),
        (r#"{ "method": "penalty", "steps": 60, "step_size": 0.4 }"#, &solution),
        (r#"{ "method": "finite_difference" }"#, &T),
    ] {
        // Numbers as short as that have five digits less than others, and four.
        for (length, tolerance) in [(1.0, 1e-3), (1e-39, 1e-3), (1e-41, 3e-2)] {
            let found: Vec<f64> = found(length, method).iter().map(|x| x / length).collect();
            let expected = through(q);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= tolerance, "{method} {length:e}: {found} is not {expected}");
            }
        }
    }
}

//! `verify_hypergradient` on a problem whose every number is known.

use betty_runtime::EngineError;

use super::*;

#[test]
fn a_hypergradient_is_compared_with_a_reference() {
    let mut exact = engine(method(r#"{"method": "cg", "iterations": 4}"#));
    let check = exact.verify_hypergradient("outer").unwrap();
    assert!(check.relative_error < 1e-10 && (check.cosine - 1.0).abs() < 1e-12, "{check}");
    assert!(check.to_string().contains("agrees with the reference"), "{check}");

    let check = engine(method(r#"{"method": "identity"}"#)).verify_hypergradient("outer").unwrap();
    let (found, best) = (expected(&cotangent()), expected(&solve(0.0, &cotangent())));
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gap: Vec<f64> = found.iter().zip(&best).map(|(x, y)| x - y).collect();
    assert!((check.relative_error - norm(&gap) / norm(&best)).abs() < 1e-10, "{check}");
    assert!((check.norm - norm(&found)).abs() < 1e-10 && (check.reference_norm - norm(&best)).abs() < 1e-10);

    let response = &check.responses[0];
    assert_eq!((response.level, response.method, response.reference), ("inner", "identity", "dense"));
    // The ends of the spectrum: det(A − μI) changes its sign there and nowhere beyond.
    let (ends, found) = (eigenvalues(), response.spectrum);
    assert!(
        (found.largest.value - ends.1).abs() < 1e-10 && (found.smallest.value - ends.0).abs() < 1e-10,
        "{response}"
    );
    assert!((response.condition() - ends.1 / ends.0).abs() < 1e-8, "{response}");
    // How far θ is from A⁻¹(Bλ + b).
    let right: Vec<f64> = (0..N).map(|i| B0[i] + (0..M).map(|j| B[i][j] * LAMBDA[j]).sum::<f64>()).collect();
    let away: Vec<f64> = solve(0.0, &right).iter().zip(THETA).map(|(best, theta)| best - theta).collect();
    assert!((response.distance - norm(&away) / norm(&THETA)).abs() < 1e-8, "{response}");
    assert!(check.to_string().contains("larger `unroll`"), "{check}");

    let error = engine(method(r#"{"method": "dense"}"#)).verify_hypergradient("inner").unwrap_err();
    assert!(matches!(error, EngineError::NoHypergradient { .. }), "{error}");
}

/// Smallest and largest eigenvalue of `A`, by power iteration on `A` and on `cI − A`.
fn eigenvalues() -> (f64, f64) {
    let power = |shift: f64, sign: f64| {
        let mut x = vec![1.0, -0.5, 0.25, 2.0];
        let mut value = 0.0;
        for _ in 0..2000 {
            let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            x.iter_mut().for_each(|x| *x /= norm);
            let product: Vec<f64> = times(&A, &x).iter().zip(&x).map(|(p, x)| shift * x + sign * p).collect();
            value = product.iter().zip(&x).map(|(p, x)| p * x).sum();
            x = product;
        }
        value
    };
    let largest = power(0.0, 1.0);
    (largest - power(largest, -1.0), largest)
}

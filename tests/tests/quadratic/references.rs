//! `verify_hypergradient` judges by references that have converged, and by no others.

use super::*;

/// Curvatures and targets, coordinate by coordinate.
type Wide = (Tensor<1>, Tensor<1>);

fn wide_upper(_lambda: &List, theta: &List, (_, target): Wide) -> Tensor<1> {
    let gap = theta.x.val() - target;
    (gap.clone() * gap).sum().mul_scalar(0.5)
}

fn wide_lower(theta: &List, lambda: &List, (curvature, _): Wide) -> Tensor<1> {
    let theta = theta.x.val();
    (curvature * theta.clone() * theta.clone()).sum().mul_scalar(0.5) - (theta * lambda.x.val()).sum()
}

#[derive(Module, Debug)]
struct List {
    x: Param<Tensor<1>>,
}

multilevel! {
    struct Spread;

    level outer: List { lower: [inner], batch: Wide, loss: wide_upper, optimizer: sgd(lr = 0.1) }
    level inner: List {
        upper: [outer], batch: Wide, loss: wide_lower, optimizer: sgd(lr = 0.1), hypergradient: cg(iterations = 20),
    }
}

/// A Hessian with these eigenvalues, at `λ = 0` and some `θ`, and the method with this damping.
fn spread(curvatures: Vec<f64>, target: impl Fn(usize) -> f64, damping: f64) -> Engine<Spread> {
    let n = curvatures.len();
    let list = |of: &dyn Fn(usize) -> f64| {
        let data = TensorData::new((0..n).map(of).collect::<Vec<f64>>(), [n]);
        Tensor::<1>::from_data(data, (&Device::flex(), DType::F64))
    };
    let parameters = |of: &dyn Fn(usize) -> f64| List { x: Param::from_tensor(list(of)) };
    let problem = Spread { outer: parameters(&|_| 0.0), inner: parameters(&|i| 1.0 + (i as f64).sin()) };
    let batch = (list(&|i| curvatures[i]), list(&target));
    let data = SpreadData { outer: Stream::constant(batch.clone()), inner: Stream::constant(batch) };
    let mut config = SpreadConfig::default();
    config.inner.hypergradient =
        Some(method(&format!(r#"{{"method": "cg", "iterations": 20, "damping": {damping}}}"#)));
    Engine::new(problem, data, config).unwrap()
}

/// From 1 down to 10⁻¹⁰, at equal distances of their logarithms.
fn logarithmic(n: usize) -> Vec<f64> {
    (0..n).map(|i| 10.0_f64.powf(-10.0 * i as f64 / (n - 1) as f64)).collect()
}

#[test]
fn what_has_not_converged_judges_nobody() {
    // Too large for elimination, and too spread out for minimal residuals.
    let check = spread(logarithmic(1100), |_| 0.0, 0.0).verify_hypergradient("outer").unwrap();
    let response = &check.responses[0];
    assert!(response.reference == "minres" && response.reference_residual > 0.01, "{check}");
    assert!(!check.is_judged() && !response.has_reference());
    let text = check.to_string();
    assert!(text.contains("cannot be judged: the reference did not converge through `inner`"), "{text}");
    assert!(!text.contains("right way") && !text.contains("relative error"), "{text}");
    // The condition number is 10¹⁰, and what is seen of it is stated as a bound.
    assert!(response.condition() <= 1e10 && text.contains(", condition at least "), "{text}");
    assert!(response.spectrum.smallest.value >= 1e-10 && text.contains("eigenvalues from at most "), "{text}");
    assert!((response.spectrum.largest.value - 1.0).abs() < 1e-3, "{text}");
}

#[test]
fn what_has_converged_does() {
    // The same spectrum with few enough unknowns for elimination, and a kinder one with many.
    let exact = spread(logarithmic(60), |_| 0.0, 0.0).verify_hypergradient("outer").unwrap();
    assert!(exact.is_judged() && exact.responses[0].reference_residual < 1e-5, "{exact}");
    assert!(exact.to_string().contains("does not point the right way"), "{exact}");
    assert!((exact.responses[0].condition() / 1e10 - 1.0).abs() < 1e-3, "{exact}");
    assert!(exact.to_string().contains(", condition 1.0e10"), "{exact}");
    let kind = (0..1100).map(|i| 1.0 + f64::from(i) / 1100.0).collect();
    let kind = spread(kind, |_| 0.0, 0.0).verify_hypergradient("outer").unwrap();
    assert!(kind.is_judged() && kind.responses[0].reference == "minres", "{kind}");
    assert!(kind.relative_error < 1e-8 && kind.to_string().contains("agrees with the reference"), "{kind}");
}

#[test]
fn unknowns_that_the_loss_does_not_depend_on_do_not_matter() {
    // The last one has no curvature, and what comes down has no part along it.
    let curvatures = vec![2.0, 1.0, 0.5, 0.0];
    let at_target = |i: usize| if i == 3 { 1.0 + 3.0_f64.sin() } else { 0.0 };
    let check = spread(curvatures.clone(), at_target, 0.0).verify_hypergradient("outer").unwrap();
    assert!(check.is_judged() && check.relative_error < 1e-12, "{check}");
    // With a part along it there is no solution, and no judgement.
    let check = spread(curvatures, |_| 0.0, 0.1).verify_hypergradient("outer").unwrap();
    assert!(!check.is_judged() && check.to_string().contains("cannot be judged"), "{check}");
}

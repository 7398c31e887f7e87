//! What a run says when a system cannot be solved, or a hypergradient is out of proportion; and that it helps.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::hypergradient::HypergradientError;
use betty_runtime::linalg::{Remedy, SolveError};
use betty_runtime::{EngineError, Event};

use super::*;

/// The matrices of the problem with another `A`.
fn with(a: [[f64; N]; N]) -> Matrices {
    let (_, b, b0, t) = matrices();
    let a = TensorData::new(a.concat(), [N, N]);
    (Tensor::from_data(a, (&Device::flex(), DType::F64)), b, b0, t)
}

/// `A − shift·I`
fn shifted(shift: f64) -> [[f64; N]; N] {
    let mut a = A;
    a.iter_mut().enumerate().for_each(|(i, row)| row[i] -= shift);
    a
}

fn engine_on(inner: Stream<Matrices>, config: QuadraticConfig) -> Engine<Quadratic> {
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    Engine::new(problem, QuadraticData { outer: Stream::constant(matrices()), inner }, config).unwrap()
}

fn config(json: &str) -> QuadraticConfig {
    let mut config = QuadraticConfig::default();
    config.inner.hypergradient = Some(method(json));
    config.inner.unroll = 3;
    config
}

fn solve_error(error: EngineError) -> (String, String, Remedy) {
    let text = error.to_string();
    let EngineError::Hypergradient { through, source, .. } = error else { panic!("{text}") };
    match *source {
        HypergradientError::Solve(
            SolveError::NotPositiveDefinite { remedy, .. } | SolveError::Diverged { remedy, .. },
        ) => (text, through, remedy),
        other => panic!("{other}"),
    }
}

#[test]
fn a_single_loop_with_too_long_a_step_stops_early_and_says_how_long_it_may_be() {
    // The largest eigenvalue is 2.2, so that steps of 1 make residuals 1.2 times as long.
    for single in [
        r#"{"method": "neumann", "terms": 1, "warm_start": true, "step_size": "#,
        r#"{"method": "neumann", "terms": 3, "warm_start": true, "step_size": "#,
        r#"{"method": "penalty", "steps": 1, "warm_start": true, "step_size": "#,
    ] {
        let mut engine = engine_on(Stream::constant(matrices()), config(&format!("{single}1.0}}")));
        let error = engine.run(2000).unwrap_err();
        assert!(engine.iterations() < 60, "{single}: {}", engine.iterations());
        let (text, through, remedy) = solve_error(error);
        assert!(through == "inner" && text.contains("step_size 1 must be below 2/λ_max"), "{text}");
        let Remedy { damping: None, step_size: Some(step_size) } = remedy else { panic!("{text}") };
        // One over the largest eigenvalue, in two digits.
        assert!((step_size - 0.45).abs() < 0.011, "{step_size}");
        engine_on(Stream::constant(matrices()), config(&format!("{single}{step_size}}}"))).run(200).unwrap();
    }
}

#[test]
fn the_damping_that_is_asked_for_is_enough() {
    // Of two negative eigenvalues, one, and none but a zero.
    for (shift, is_singular) in [(1.2, false), (0.9, false), (smallest(), true)] {
        let a = shifted(shift);
        for (name, options) in
            [("cg", ""), ("neumann", r#", "terms": 400, "step_size": 0.3"#), ("nystrom", r#", "rank": 4"#)]
        {
            let run = |damping: f64, step_size: Option<f64>| {
                let json = format!(r#"{{"method": "{name}", "damping": {damping:e}{options}}}"#);
                let mut config = config(&json);
                if let (Some(HypergradientConfig::Neumann(neumann)), Some(step_size)) =
                    (&mut config.inner.hypergradient, step_size)
                {
                    neumann.step_size = step_size;
                }
                engine_on(Stream::constant(with(a)), config).gradient("outer")
            };
            let at_first = if name == "nystrom" { 1e-6 } else { 0.0 };
            let error = match run(at_first, None) {
                Err(error) => error,
                // A zero eigenvalue is met as one a little above 0, or adds up too slowly to be noticed.
                Ok(_) if is_singular => continue,
                Ok(_) => panic!("{name} solves a system that is not definite"),
            };
            let (text, _, remedy) = solve_error(error);
            let damping = remedy.damping.unwrap();
            assert!(text.contains("raise the damping to ") && text.contains("minres"), "{text}");
            assert!(damping > shift - smallest() && damping < 3.0 * (shift - smallest()) + 0.01, "{text}");
            let found = run(damping, remedy.step_size).unwrap().gradient.to_vec().unwrap();
            let exact = engine_on(
                Stream::constant(with(a)),
                config(&format!(r#"{{"method": "dense", "damping": {damping:e}}}"#)),
            );
            let exact = { exact }.gradient("outer").unwrap().gradient.to_vec().unwrap();
            assert_close(&found, &exact, 1e-3);
        }
    }
}

/// The smallest eigenvalue of `A`: where the last pivot of `A − μ·I` changes its sign.
fn smallest() -> f64 {
    let is_definite = |shift: f64| {
        let mut a = shifted(shift);
        (0..N).all(|k| {
            for i in k + 1..N {
                let factor = a[i][k] / a[k][k];
                let pivot = a[k];
                a[i].iter_mut().zip(pivot).for_each(|(x, p)| *x -= factor * p);
            }
            a[k][k] > 0.0
        })
    };
    let (mut low, mut high) = (0.0, 2.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if is_definite(middle) { low = middle } else { high = middle }
    }
    low
}

/// Steps and ratios of the runaways of a run, and the last advice.
fn runaways(mut engine: Engine<Quadratic>, iterations: u64) -> (Vec<(u64, f64)>, String) {
    let told = Rc::new(RefCell::new((Vec::new(), String::new())));
    let seen = Rc::clone(&told);
    engine = engine.observe(move |event| {
        if let Event::Runaway { name: "outer", step, norm, ratio, advice, .. } = *event {
            assert!(norm.is_finite());
            let mut seen = seen.borrow_mut();
            seen.0.push((step, ratio));
            seen.1 = advice.to_owned();
        }
    });
    engine.run(iterations).unwrap();
    drop(engine);
    Rc::try_unwrap(told).unwrap().into_inner()
}

#[test]
fn a_hypergradient_out_of_proportion_is_told_of() {
    // In the fortieth step the Hessian is all but singular.
    let nearly = shifted(smallest() - 1e-8);
    let batches =
        (1..).map(move |step| Ok::<_, std::convert::Infallible>(if step == 40 { with(nearly) } else { matrices() }));
    let mut config = config(r#"{"method": "dense"}"#);
    // One batch a step.
    config.inner.unroll = 1;
    let (told, advice) = runaways(engine_on(Stream::batches(batches), config), 40);
    let &[(40, ratio)] = told.as_slice() else { panic!("{told:?}") };
    assert!((1e6..1e10).contains(&ratio), "{ratio:e}");
    assert!(
        advice.contains("raise the damping of `inner` (now 0, residual ") && advice.contains("clip: norm"),
        "{advice}"
    );
    assert!(advice.contains(r#"verify_hypergradient("outer")"#), "{advice}");
}

#[test]
fn convergence_is_told_of_by_nobody() {
    for (json, iterations) in [
        (r#"{"method": "cg", "iterations": 4}"#, 400),
        (r#"{"method": "neumann", "terms": 1, "warm_start": true, "step_size": 0.01}"#, 600),
        (r#"{"method": "identity"}"#, 200),
    ] {
        let (told, _) = runaways(engine_on(Stream::constant(matrices()), config(json)), iterations);
        assert!(told.is_empty(), "{json}: {told:?}");
    }
    // Other data after convergence: the level begins anew.
    let mut turned = matrices();
    turned.3 = turned.3.neg();
    let batches =
        (1..).map(move |step| Ok::<_, std::convert::Infallible>(if step > 300 { turned.clone() } else { matrices() }));
    let problem = Quadratic { outer: Vector::new(LAMBDA), inner: Vector::new(THETA) };
    let data = QuadraticData { outer: Stream::batches(batches), inner: Stream::constant(matrices()) };
    let engine = Engine::new(problem, data, config(r#"{"method": "dense"}"#)).unwrap();
    let (told, _) = runaways(engine, 400);
    assert!(told.is_empty(), "{told:?}");
}

//! Nested solves that are no more exact than needed: the error that is asked for, for a fraction of the kernels.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::execute::launched;
use betty_runtime::{ConfigError, Engine, EngineError, Event, HypergradientConfig, Multilevel, ProgramConfig};
use serde_json::json;

use crate::chains::{Five, FiveConfig, FiveData, Three, ThreeConfig, ThreeData};
use crate::level::{Vector, assert_close};
use crate::twice::{Deep, DeepData, start_x, start_y};
use crate::unrolled::{LAMBDA, nothing};

/// Every level that has a system below it solves it to this tolerance; the others are solved exactly.
fn inexactly<P: Multilevel>(config: &mut P::Config, tolerance: f64) {
    let solves = |method: &HypergradientConfig| !method.goes_through_steps();
    let is_solved: Vec<bool> =
        config.levels().iter().map(|level| level.hypergradient.as_ref().is_some_and(solves)).collect();
    for (level, spec) in config.levels_mut().into_iter().zip(P::SCHEDULE.levels) {
        let inexact = json!({ "name": "inexact", "tolerance": tolerance });
        let has_system = spec.sweep.iter().any(|stop| is_solved[stop.level]);
        level.solve = has_system.then(|| serde_json::from_value(inexact).unwrap());
    }
}

fn at(k: usize) -> Vector {
    Vector::new(&[0.3 - 0.2 * k as f64, 0.1 + 0.3 * k as f64])
}

fn five(config: FiveConfig) -> Engine<Five> {
    let data = FiveData { top: nothing(), a: nothing(), b: nothing(), c: nothing(), d: nothing() };
    Engine::new(Five { top: at(0), a: at(1), b: at(2), c: at(3), d: at(4) }, data, config).unwrap()
}

/// The hypergradient of the uppermost level, and the kernels of its second evaluation.
fn evaluated(mut engine: Engine<Five>) -> (Vec<f64>, f64) {
    engine.gradient("top").unwrap();
    let before = launched().kernels;
    let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
    (found, launched().kernels - before)
}

/// Against dense elimination at every level, with damping and without; losses are no quadratics.
#[test]
fn the_error_is_the_one_that_is_asked_for() {
    for damping in [0.0, 0.2] {
        let below = |method: &str| {
            let below = json!({ "hypergradient": { "method": method, "damping": damping } });
            FiveConfig::from_json(&json!({ "a": below, "b": below, "c": below, "d": below }).to_string()).unwrap()
        };
        let (exact, of_dense) = evaluated(five(below("dense")));
        let mut kernels = f64::INFINITY;
        for tolerance in [1e-12, 1e-8, 1e-4] {
            for method in ["cg", "dense"] {
                let mut config = below(method);
                inexactly::<Five>(&mut config, tolerance);
                let (found, taken) = evaluated(five(config));
                // The levels are well conditioned: residuals and errors are of one size.
                assert_close(&found, &exact, 2.0 * tolerance.max(1e-14));
                if method == "cg" {
                    assert!(taken <= kernels && taken < of_dense, "{tolerance:e}: {taken} after {kernels}");
                    kernels = taken;
                }
            }
        }
    }
}

/// Steps are gone through, what is solved below them is solved to the tolerance.
#[test]
fn beside_steps() {
    let gradient = |tolerance: Option<f64>| {
        let problem = Deep { nu: Vector::new(&[0.2]), lambda: Vector::new(&LAMBDA), x: start_x(), y: start_y() };
        let data = DeepData { nu: nothing(), lambda: nothing(), x: nothing(), y: nothing() };
        let mut config = <Deep as Multilevel>::Config::default();
        if let Some(tolerance) = tolerance {
            inexactly::<Deep>(&mut config, tolerance);
        }
        let mut engine = Engine::new(problem, data, config).unwrap();
        engine.run(1).unwrap();
        engine.gradient("nu").unwrap().gradient.to_vec().unwrap()
    };
    assert_close(&gradient(Some(1e-13)), &gradient(None), 1e-10);
}

/// A solve that uses up its iterations says so, with the residual of the whole system.
#[test]
fn what_is_not_reached_is_told() {
    let mut config = FiveConfig::default();
    let inexact = json!({ "name": "inexact", "iterations": 1, "tolerance": 1e-10, "prepare": false });
    config.top.solve = Some(serde_json::from_value(inexact).unwrap());
    let told = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&told);
    let mut engine = five(config).observe(move |event: &Event<'_>| {
        if let Event::Unfinished { name, through, iterations, residual, tolerance, .. } = *event {
            assert!(residual > tolerance && iterations == 1 && tolerance == 1e-10, "{residual:e}");
            assert!(event.warning().unwrap().fact.contains("`solve` of level `top`"));
            seen.borrow_mut().push((name.to_owned(), through.to_owned()));
        }
    });
    engine.run(2).unwrap();
    drop(engine);
    let expected: Vec<_> = ["d", "c", "b", "a"].map(|level| ("top".to_owned(), level.to_owned())).into();
    let mut told = Rc::into_inner(told).unwrap().into_inner();
    told.sort_by(|one, other| other.cmp(one));
    assert_eq!(told, expected);
}

#[test]
fn what_is_no_system_is_refused() {
    let refused = |json: serde_json::Value| {
        let data = ThreeData { top: nothing(), a: nothing(), b: nothing() };
        let config = ThreeConfig::from_json(&json.to_string()).map_err(EngineError::from);
        let error = config.and_then(|config| Engine::new(Three { top: at(0), a: at(1), b: at(2) }, data, config));
        error.map(|_| ()).unwrap_err()
    };
    let inexact = json!({ "solve": { "name": "inexact" } });
    let error = refused(json!({ "top": inexact, "b": { "hypergradient": { "method": "nystrom" } } }));
    let is_told = matches!(
        &error,
        EngineError::Config(ConfigError::Conflict(conflict)) if conflict.to_string().starts_with("`top.solve` is `inexact`, but")
    );
    assert!(is_told && error.to_string().contains("`nystrom` of `b` puts something of its own"), "{error}");
    let error = refused(json!({ "b": inexact })).to_string();
    assert!(error.contains("no best response answers to `b`"), "{error}");
    let error = refused(json!({ "top": { "solve": { "name": "inexact", "tolerance": -1.0 } } })).to_string();
    assert!(error.contains("`top.solve.tolerance` is -1"), "{error}");
}

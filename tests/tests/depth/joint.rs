//! Everything below a level solved by one loop: the same as exact nested solves, with damping, with steps, and between levels
//! whose system is not symmetric.

use betty_runtime::error::rules::Violation;
use betty_runtime::execute::launched;
use betty_runtime::{
    ConfigError, ConflictError, Engine, EngineError, HypergradientConfig, Multilevel, ProgramConfig, multilevel,
};
use burn::tensor::Tensor;
use serde_json::{Value, json};

use crate::chains::{Five, FiveConfig, FiveData, Four, FourConfig, FourData, Three, ThreeConfig, ThreeData};
use crate::level::{Vector, assert_close};
use crate::twice::{Deep, DeepData, Solved, SolvedData, start_x, start_y};
use crate::unrolled::{BelowPipeline, BelowPipelineData, LAMBDA, Nothing, nothing, square};

/// Every level that has a system below it solves it by one loop, prepared or not.
fn jointly<P: Multilevel>(config: &mut P::Config, prepare: bool) {
    let solves = |method: &HypergradientConfig| !method.goes_through_steps();
    let is_solved: Vec<bool> =
        config.levels().iter().map(|level| level.hypergradient.as_ref().is_some_and(solves)).collect();
    for (level, spec) in config.levels_mut().into_iter().zip(P::SCHEDULE.levels) {
        let joint =
            json!({ "name": "joint", "iterations": 500, "restart": 200, "tolerance": 1e-14, "prepare": prepare });
        let has_system = spec.sweep.iter().any(|stop| is_solved[stop.level]);
        level.solve = has_system.then(|| serde_json::from_value(joint).unwrap());
    }
}

/// The same by minimal residuals with a preconditioner of each level, the levels' damping staying what it is.
fn preconditioned<P: Multilevel>(config: &mut P::Config, preconditioner: &Value) {
    jointly::<P>(config, false);
    for level in config.levels_mut() {
        if level.hypergradient.as_ref().is_some_and(|method| !method.goes_through_steps()) {
            let of = serde_json::to_value(&level.hypergradient).unwrap();
            let minres = json!({ "method": "minres", "damping": of["damping"] });
            level.hypergradient = Some(serde_json::from_value(minres).unwrap());
            level.preconditioner = Some(serde_json::from_value(preconditioner.clone()).unwrap());
        }
    }
}

/// Every level that is solved is solved exactly, with a damping of its own.
fn damped<P: Multilevel>(config: &mut P::Config) {
    for (number, level) in config.levels_mut().into_iter().enumerate() {
        if level.hypergradient.as_ref().is_some_and(|method| !method.goes_through_steps()) {
            let dense = json!({ "method": "dense", "damping": 0.1 + 0.07 * number as f64 });
            level.hypergradient = Some(serde_json::from_value(dense).unwrap());
        }
    }
}

/// Compares the total gradients of all levels after some iterations.
fn compare<P: Multilevel>(program: impl Fn() -> (P, P::Data), iterations: u64, tolerance: f64) {
    for with_damping in [false, true] {
        let engine = |way: &dyn Fn(&mut P::Config)| {
            let mut config = P::Config::default();
            if with_damping {
                damped::<P>(&mut config);
            }
            way(&mut config);
            let (problem, data) = program();
            let mut engine = Engine::new(problem, data, config).unwrap();
            engine.run(iterations).unwrap();
            engine
        };
        let gradient = |engine: &mut Engine<P>, level| engine.gradient(level).unwrap().gradient.to_vec().unwrap();
        let mut nested = engine(&|_| ());
        let diagonal = json!({ "name": "diagonal", "probes": 1, "seed": 3 });
        let nystrom = json!({ "name": "nystrom", "rank": 1, "seed": 3 });
        let mut ways = [
            engine(&|config| jointly::<P>(config, false)),
            engine(&|config| jointly::<P>(config, true)),
            engine(&|config| preconditioned::<P>(config, &diagonal)),
            engine(&|config| preconditioned::<P>(config, &nystrom)),
        ];
        for spec in P::SCHEDULE.levels {
            let expected = gradient(&mut nested, spec.name);
            // What vanishes is rounding errors on both sides.
            if expected.iter().any(|x| x.abs() > 1e-12) {
                ways.iter_mut().for_each(|way| assert_close(&gradient(way, spec.name), &expected, tolerance));
            }
        }
    }
}

fn at(k: usize) -> Vector {
    Vector::new(&[0.3 - 0.2 * k as f64, 0.1 + 0.3 * k as f64])
}

#[test]
fn chains_of_losses_that_are_no_quadratics() {
    compare(
        || {
            let data = ThreeData { top: nothing(), a: nothing(), b: nothing() };
            (Three { top: at(0), a: at(1), b: at(2) }, data)
        },
        2,
        1e-10,
    );
    compare(
        || {
            let data = FourData { top: nothing(), a: nothing(), b: nothing(), c: nothing() };
            (Four { top: at(0), a: at(1), b: at(2), c: at(3) }, data)
        },
        2,
        1e-10,
    );
    compare(
        || {
            let data = FiveData { top: nothing(), a: nothing(), b: nothing(), c: nothing(), d: nothing() };
            (Five { top: at(0), a: at(1), b: at(2), c: at(3), d: at(4) }, data)
        },
        1,
        1e-8,
    );
}

#[test]
fn steps_are_gone_through_once_and_functions_of_steps_are_solved_with_the_rest() {
    let before = || Vector::new(&LAMBDA);
    compare(
        || {
            let data = SolvedData { lambda: nothing(), x: nothing(), y: nothing() };
            (Solved { lambda: before(), x: start_x(), y: start_y() }, data)
        },
        1,
        1e-10,
    );
    compare(
        || {
            let data = DeepData { nu: nothing(), lambda: nothing(), x: nothing(), y: nothing() };
            (Deep { nu: before(), lambda: before(), x: start_x(), y: start_y() }, data)
        },
        1,
        1e-9,
    );
    // Steps of one level beside another that is solved.
    compare(
        || {
            let data = BelowPipelineData { lambda: nothing(), x: nothing(), y: nothing() };
            (BelowPipeline { lambda: before(), x: start_x(), y: start_y() }, data)
        },
        1,
        1e-12,
    );
}

fn sides(top: &Vector, left: &Vector, right: &Vector, _: Nothing) -> Tensor<1> {
    (left.x.val().exp() * right.x.val().cos()).sum() + square(top.x.val()).mul_scalar(0.1)
}

fn left(own: &Vector, top: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(own.x.val() - top.x.val().sin()) + (net.x.val().exp() * own.x.val()).sum().mul_scalar(0.4)
}

fn right(own: &Vector, top: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(own.x.val() + top.x.val()) + square(net.x.val() - own.x.val()).mul_scalar(0.7)
}

fn shared(net: &Vector, left: &Vector, right: &Vector, _: Nothing) -> Tensor<1> {
    let gap = net.x.val() - left.x.val().sin() - right.x.val() * left.x.val();
    square(gap.clone()).mul_scalar(0.5) + square(gap.clone() * gap).mul_scalar(0.1)
}

multilevel! {
    struct Sides;
    level top: Vector { lower: [left, right], batch: Nothing, loss: sides, optimizer: sgd(lr = 0.05) }
    level left: Vector {
        upper: [top], lower: [net], batch: Nothing, loss: left, optimizer: sgd(lr = 0.05), hypergradient: dense,
    }
    level right: Vector {
        upper: [top], lower: [net], batch: Nothing, loss: right, optimizer: sgd(lr = 0.05), hypergradient: dense,
    }
    level net: Vector { upper: [left, right], batch: Nothing, loss: shared, optimizer: sgd(lr = 0.1), hypergradient: dense }
}

#[test]
fn levels_that_share_a_lower_one_are_not_symmetric() {
    compare(
        || {
            let data = SidesData { top: nothing(), left: nothing(), right: nothing(), net: nothing() };
            (Sides { top: at(0), left: at(1), right: at(2), net: at(3) }, data)
        },
        3,
        1e-10,
    );
}

#[test]
fn the_answer_is_judged_by_nested_solves() {
    let data = FourData { top: nothing(), a: nothing(), b: nothing(), c: nothing() };
    let mut config = FourConfig::default();
    jointly::<Four>(&mut config, true);
    let mut engine = Engine::new(Four { top: at(0), a: at(1), b: at(2), c: at(3) }, data, config).unwrap();
    let check = engine.verify_hypergradient("top").unwrap();
    assert!(check.relative_error < 1e-9, "{check}");
    assert!(check.responses.iter().all(|response| response.residual.is_some_and(|of| of < 1e-12)), "{check}");
}

/// Where all iterations run, and two unknowns let them, a hypergradient takes the kernels that were told before.
#[test]
fn what_it_takes_is_told_before() {
    for prepare in [false, true] {
        let data = FiveData { top: nothing(), a: nothing(), b: nothing(), c: nothing(), d: nothing() };
        // Prepared by methods that do little, so that nothing is solved before its iterations have run.
        let cg = json!({ "iterations": 1, "tolerance": 0.0, "damping": 0.3 });
        let solve = json!({ "name": "joint", "iterations": 2, "tolerance": 0.0, "prepare": prepare });
        let below = json!({ "hypergradient": cg });
        let json = json!({ "top": { "solve": solve }, "a": below, "b": below, "c": below, "d": below });
        let problem = Five { top: at(0), a: at(1), b: at(2), c: at(3), d: at(4) };
        let config = FiveConfig::from_json(&json.to_string()).unwrap();
        let mut engine = Engine::new(problem, data, config).unwrap();
        engine.run(1).unwrap();
        let explained = engine.explain().unwrap();
        engine.gradient("top").unwrap();
        let before = launched().kernels;
        engine.gradient("top").unwrap();
        let found = launched().kernels - before;
        let responses: f64 = explained.levels[0].responses.iter().map(|response| response.cost.kernels).sum();
        // Besides them, the loss and its direct gradient.
        let told = responses + explained.levels[0].step.kernels - UPDATE;
        if prepare {
            // Methods have nothing to do where nothing has arrived yet.
            assert!(found <= told && found > 0.7 * told, "{found} of {told}");
        } else {
            assert_eq!(found, told, "{explained}");
        }
    }
}

/// What nested solves take is told as well, at most that, with the multipliers of the levels between.
#[test]
fn nested_solves_are_told_before() {
    let data = FiveData { top: nothing(), a: nothing(), b: nothing(), c: nothing(), d: nothing() };
    let problem = Five { top: at(0), a: at(1), b: at(2), c: at(3), d: at(4) };
    let cg = json!({ "hypergradient": { "iterations": 2, "tolerance": 0.0 } });
    let json = json!({ "a": cg, "b": cg, "c": cg, "d": cg });
    let mut engine = Engine::new(problem, data, FiveConfig::from_json(&json.to_string()).unwrap()).unwrap();
    let explained = engine.explain().unwrap();
    engine.gradient("top").unwrap();
    let before = launched().kernels;
    engine.gradient("top").unwrap();
    let found = launched().kernels - before;
    let responses: f64 = explained.levels[0].responses.iter().map(|response| response.cost.kernels).sum();
    let told = responses + explained.levels[0].step.kernels - UPDATE;
    assert!(found <= told && found > 0.4 * told, "{found} of {told}");
}

/// The kernels of a step of sgd.
const UPDATE: f64 = 2.0;

#[test]
fn what_one_loop_cannot_solve_is_refused() {
    let refused = |json: &str| {
        let data = ThreeData { top: nothing(), a: nothing(), b: nothing() };
        let config = ThreeConfig::from_json(json).map_err(EngineError::from);
        let error = config.and_then(|config| Engine::new(Three { top: at(0), a: at(1), b: at(2) }, data, config));
        error.map(|_| ()).unwrap_err()
    };
    for (method, why) in [
        ("penalty", "`penalty` of `b` puts something of its own in the place"),
        ("finite_difference", "`finite_difference` of `b` puts something"),
        ("nystrom", "`nystrom` of `b` puts something"),
        ("identity", "`identity` of `b` puts something"),
        ("sama", "`sama` of `b` puts something"),
    ] {
        let json = json!({ "top": { "solve": { "name": "joint" } }, "b": { "hypergradient": { "method": method } } });
        let error = refused(&json.to_string());
        assert!(
            matches!(&error, EngineError::Config(ConfigError::Conflict(ConflictError::Broken { rule: Violation::NoSystem(_), path, .. })) if path == "top.solve"),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = refused(r#"{ "b": { "solve": { "name": "joint" } } }"#).to_string();
    assert!(error.contains("no best response answers to `b`"), "{error}");
    let steps = r#"{ "a": { "solve": { "name": "joint" } }, "b": { "hypergradient": { "method": "unrolled" } } }"#;
    let error = refused(steps).to_string();
    assert!(error.contains("every level below is gone through step by step"), "{error}");
    let error = refused(r#"{ "top": { "solve": { "name": "joint", "iterations": 0 } } }"#).to_string();
    assert!(error.contains("`top.solve.iterations` is 0; it must be an integer greater than zero"), "{error}");
    let error = refused(r#"{ "top": { "solve": { "name": "jont" } } }"#).to_string();
    assert!(error.contains("unknown solver `jont` (did you mean `joint`?)"), "{error}");
}

/// Configs from before there was a choice are read, and those that do not make it are written as they were.
#[test]
fn nothing_is_written_of_what_is_not_chosen() {
    let text = FiveConfig::default().to_json().unwrap();
    assert!(!text.contains("solve"), "{text}");
    let mut config = FiveConfig::default();
    jointly::<Five>(&mut config, true);
    assert_eq!(FiveConfig::from_json(&config.to_json().unwrap()).unwrap(), config);
    let none = FiveConfig::from_json(r#"{ "top": { "solve": null } }"#).unwrap();
    assert_eq!(none, FiveConfig::default());
}

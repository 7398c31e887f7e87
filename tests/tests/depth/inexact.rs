//! Nested solves that are no more exact than needed: the error that is asked for, for a fraction of the kernels.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::execute::launched;
use betty_runtime::watch::Retry;
use betty_runtime::{
    ConfigError, Engine, EngineError, Event, HypergradientConfig, Multilevel, ProgramConfig, Stream, multilevel,
};
use burn::module::Param;
use burn::tensor::{DType, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::chains::{Five, FiveConfig, FiveData, Three, ThreeConfig, ThreeData};
use crate::level::{Vector, assert_close, matrix, vector};
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
fn evaluated(engine: &mut Engine<Five>) -> (Vec<f64>, f64) {
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
        let (exact, of_dense) = evaluated(&mut five(below("dense")));
        let mut kernels = f64::INFINITY;
        for tolerance in [1e-12, 1e-8, 1e-4] {
            for method in ["cg", "dense"] {
                let mut config = below(method);
                inexactly::<Five>(&mut config, tolerance);
                let (found, taken) = evaluated(&mut five(config));
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

/// `A`, `B` and `G` of the lower levels, and `D`.
type Dense = (Tensor<2>, Tensor<2>, Tensor<2>, Tensor<2>);

fn judges(top: &Vector, a: &Vector, weights: Tensor<1>) -> Tensor<1> {
    (a.x.val() * weights + top.x.val().square().mul_scalar(0.5)).sum()
}

/// `½aᵀDa + aᵀGb + ½‖b‖² − aᵀtop`
fn answers(a: &Vector, top: &Vector, b: &Vector, (_, _, g, d): Dense) -> Tensor<1> {
    let (x, y) = (a.x.val(), b.x.val());
    let own = (x.clone() * times(d, x.clone()) + y.clone().square()).sum().mul_scalar(0.5);
    own + (x.clone() * (times(g, y) - top.x.val())).sum()
}

/// `½bᵀAb − bᵀBa`
fn bends(b: &Vector, a: &Vector, (curvature, mixed, _, _): Dense) -> Tensor<1> {
    let y = b.x.val();
    (y.clone() * (times(curvature, y).mul_scalar(0.5) - times(mixed, a.x.val()))).sum()
}

fn times(matrix: Tensor<2>, x: Tensor<1>) -> Tensor<1> {
    matrix.matmul(x.unsqueeze_dim(1)).squeeze_dim(1)
}

multilevel! {
    struct Bent;
    level top: Vector { lower: [a], batch: Tensor<1>, loss: judges, optimizer: sgd(lr = 0.1) }
    level a: Vector {
        upper: [top], lower: [b], batch: Dense, loss: answers, optimizer: sgd(lr = 0.1),
        hypergradient: cg(iterations = 30, tolerance = 1e-6),
    }
    level b: Vector { upper: [a], batch: Dense, loss: bends, optimizer: sgd(lr = 0.1), hypergradient: cg }
}

const SIZE: usize = 24;

/// Dense matrices, `A` of this condition; with `coupling` the reduced Hessian of `a` has eigenvalues of both signs.
fn bent(condition: f64, coupling: f64, configure: impl Fn(&mut BentConfig)) -> Engine<Bent> {
    let mut random = StdRng::seed_from_u64(7);
    let mut draw = |scale: f64| -> Vec<f64> { (0..SIZE).map(|_| scale * random.random_range(-1.0..1.0)).collect() };
    let mut spread = |condition: f64| -> Tensor<2> {
        let mut rows: Vec<Vec<f64>> = (0..SIZE)
            .map(|i| {
                let eigenvalue = condition.powf(-(i as f64) / (SIZE - 1) as f64);
                (0..SIZE).map(|j| if i == j { eigenvalue } else { 0.0 }).collect()
            })
            .collect();
        // Mirrored on both sides, as often as it takes to be dense.
        for _ in 0..3 {
            let v = draw(1.0);
            let square: f64 = v.iter().map(|v| v * v).sum();
            for _ in 0..2 {
                for row in &mut rows {
                    let along: f64 = row.iter().zip(&v).map(|(x, v)| x * v).sum();
                    row.iter_mut().zip(&v).for_each(|(x, v)| *x -= 2.0 * along / square * v);
                }
                rows = (0..SIZE).map(|i| rows.iter().map(|row| row[i]).collect()).collect();
            }
        }
        matrix(&rows)
    };
    let (a, d) = (spread(condition), spread(10.0));
    let mut mixed =
        |scale: f64| matrix(&(0..SIZE).map(|_| draw(scale / (SIZE as f64 / 3.0).sqrt())).collect::<Vec<_>>());
    let dense = (a, mixed(1.0), mixed(coupling), d);
    let data = BentData {
        top: Stream::constant(vector(&draw(1.0))),
        a: Stream::constant(dense.clone()),
        b: Stream::constant(dense),
    };
    let point = || Vector::new(&[0.0; SIZE]);
    let mut config = BentConfig::default();
    configure(&mut config);
    Engine::new(Bent { top: point(), a: point(), b: point() }, data, config).unwrap()
}

fn to(tolerance: f64, iterations: usize) -> impl Fn(&mut BentConfig) {
    let inexact = json!({ "name": "inexact", "tolerance": tolerance, "iterations": iterations });
    move |config| config.top.solve = Some(serde_json::from_value(inexact.clone()).unwrap())
}

fn solved(mut engine: Engine<Bent>) -> Vec<f64> {
    engine.gradient("top").unwrap().gradient.to_vec().unwrap()
}

/// Inverses amplify what the solves below leave by the square of their condition, of which nothing is known before.
#[test]
fn the_error_is_the_one_that_is_asked_for_also_where_inverses_are_large() {
    for (condition, coupling) in [(1e2, 0.0), (1e4, 1.0)] {
        let exact = solved(bent(condition, coupling, |config| {
            for level in [&mut config.a, &mut config.b] {
                level.hypergradient = Some(serde_json::from_value(json!({ "method": "dense" })).unwrap());
            }
        }));
        for tolerance in [1e-3, 1e-8] {
            let residuals = Rc::new(RefCell::new(Vec::new()));
            let seen = Rc::clone(&residuals);
            let mut engine =
                bent(condition, coupling, to(tolerance, 200)).observe(move |event: &Event<'_>| match event {
                    Event::Hypergradient { name: "top", residual, .. } => seen.borrow_mut().push(residual.unwrap()),
                    Event::Unfinished { .. } => panic!("{event:?}"),
                    _ => {}
                });
            engine.run(1).unwrap();
            // One step from zero.
            let found: Vec<f64> = engine.problem().top.values().iter().map(|x| x / -0.1).collect();
            let residuals = residuals.borrow();
            assert!(residuals.len() == 2 && residuals.iter().all(|&left| left <= tolerance), "{residuals:?}");
            assert_close(&found, &exact, 20.0 * tolerance);
        }
    }
}

/// Too few iterations below: what is found is better than nothing and told of, or it is an error.
#[test]
fn what_is_no_better_than_zero_is_an_error() {
    for iterations in [1, 3, 10, 20] {
        let told = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&told);
        let mut engine = bent(1e4, 1.0, to(1e-8, iterations)).observe(move |event: &Event<'_>| {
            if let Event::Unfinished { residual, is_used_up, .. } = *event {
                *seen.borrow_mut() = Some((residual, is_used_up));
            }
        });
        let outcome = engine.run(1);
        match outcome {
            Ok(_) => assert!(told.borrow().is_some_and(|(residual, is_used_up)| residual < 1.0 && is_used_up)),
            Err(error) => {
                assert!(error.to_string().contains("less of the system than zero does, with at most"), "{error}")
            }
        }
    }
}

/// What the message of that error advises is tried.
#[test]
fn more_damping_is_tried_where_nothing_is_better_than_zero() {
    let mut failed = 0;
    for iterations in [1, 3, 10, 20] {
        let folder = tempfile::tempdir().unwrap();
        let mut first = BentConfig::default();
        to(1e-8, iterations)(&mut first);
        if bent(1e4, 1.0, to(1e-8, iterations)).run(1).is_ok() {
            continue;
        }
        failed += 1;
        let mut dampings = Vec::new();
        let retry = Retry::new(folder.path().join("run.safetensors"));
        let run = retry.run(first, 1, |config: BentConfig| {
            let json: serde_json::Value = serde_json::from_str(&config.to_json()?).unwrap();
            dampings.push(json["b"]["hypergradient"]["damping"].as_f64());
            Ok(bent(1e4, 1.0, |of_engine| *of_engine = config.clone()))
        });
        drop(run);
        assert!(dampings.len() > 1 && dampings.windows(2).all(|two| two[0] < two[1]), "{dampings:?}");
    }
    assert!(failed > 0);
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
        EngineError::Config(ConfigError::Conflict(conflict)) if conflict.to_string().starts_with("`top.solve`: `inexact` cannot solve")
    );
    assert!(is_told && error.to_string().contains("`nystrom` of `b` puts something of its own"), "{error}");
    let error = refused(json!({ "b": inexact })).to_string();
    assert!(error.contains("no best response answers to `b`"), "{error}");
    let error = refused(json!({ "top": { "solve": { "name": "inexact", "tolerance": -1.0 } } })).to_string();
    assert!(error.contains("`top.solve.tolerance` is -1"), "{error}");
}

/// In single precision, against dense elimination in double precision at the same point.
#[test]
fn single_precision_keeps_what_it_can_hold() {
    let single = |of: Vector| {
        let numbers = of.x.val().cast(DType::F32);
        Vector { x: Param::from_tensor(numbers) }
    };
    let double = |of: Vector| Vector { x: Param::from_tensor(single(of).x.val().cast(DType::F64)) };
    let engine = |config: FiveConfig, place: &dyn Fn(Vector) -> Vector| {
        let data = FiveData { top: nothing(), a: nothing(), b: nothing(), c: nothing(), d: nothing() };
        let [top, a, b, c, d] = [0, 1, 2, 3, 4].map(|k| place(at(k)));
        Engine::new(Five { top, a, b, c, d }, data, config).unwrap()
    };
    let mut exact = FiveConfig::default();
    for level in exact.levels_mut().into_iter().skip(1) {
        level.hypergradient = Some(serde_json::from_value(json!({ "method": "dense" })).unwrap());
    }
    let exact = engine(exact, &double).gradient("top").unwrap().gradient.to_vec().unwrap();
    for tolerance in [1e-2, 1e-4, 1e-5] {
        let mut config = FiveConfig::default();
        inexactly::<Five>(&mut config, tolerance);
        let mut engine = engine(config, &single).observe(|event: &Event<'_>| {
            assert!(!matches!(event, Event::Unfinished { .. }), "{event:?}");
        });
        let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
        assert_close(&found, &exact, 2.0 * tolerance);
    }
}

/// From the solution of the step before, only what a step of this length has changed is solved for, to the same error.
#[test]
fn a_warm_start_takes_what_has_changed() {
    let run = |warm_start: bool, (tolerance, lr): (f64, f64)| {
        let mut config = FiveConfig::default();
        let inexact = json!({ "name": "inexact", "tolerance": tolerance, "warm_start": warm_start });
        config.top.solve = Some(serde_json::from_value(inexact).unwrap());
        for level in config.levels_mut() {
            level.optimizer = Some(serde_json::from_value(json!({ "name": "sgd", "lr": lr })).unwrap());
        }
        let mut engine = five(config);
        engine.run(2).unwrap();
        let (found, kernels) = evaluated(&mut engine);
        let mut exact = FiveConfig::default();
        for level in exact.levels_mut().into_iter().skip(1) {
            level.hypergradient = Some(serde_json::from_value(json!({ "method": "dense" })).unwrap());
        }
        let data = FiveData { top: nothing(), a: nothing(), b: nothing(), c: nothing(), d: nothing() };
        let (exact, _) = evaluated(&mut Engine::new(engine.into_problem(), data, exact).unwrap());
        assert_close(&found, &exact, 2.0 * tolerance);
        kernels
    };
    // Two unknowns a level take two iterations to nearly any tolerance, …
    let of = (1e-8, 1e-4);
    let (cold, warm) = (run(false, of), run(true, of));
    assert!(warm < 0.95 * cold, "{warm} of {cold}");
    // … but what has hardly changed is not solved for at all.
    let of = (1e-4, 1e-6);
    let (cold, warm) = (run(false, of), run(true, of));
    assert!(warm < 0.1 * cold, "{warm} of {cold}");
}

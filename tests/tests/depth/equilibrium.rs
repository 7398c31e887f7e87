//! A level that shares a lower one with another level, and whose method ends before it has solved its part: it prepares, and the system
//! of the equilibrium is solved all the same. Against the closed form.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::execute::launched;
use betty_runtime::{Engine, Event, Multilevel, Stream, multilevel};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::level::{Vector, assert_close, matrix, vector};
use crate::quadratics::{Form, four, three};
use crate::reference::Quadratics;

multilevel! {
    struct Shared;
    level top: Vector { lower: [left, right, bottom], batch: Form, loss: four, optimizer: sgd(lr = 1e-40) }
    level left: Vector { upper: [top], lower: [bottom], batch: Form, loss: three, optimizer: sgd(lr = 1e-40), hypergradient: cg }
    level right: Vector { upper: [top], lower: [bottom], batch: Form, loss: three, optimizer: sgd(lr = 1e-40), hypergradient: dense }
    level bottom: Vector { upper: [left, right], batch: Form, loss: three, optimizer: sgd(lr = 1e-40), hypergradient: dense }
}

const SIZES: [usize; 4] = [2, 40, 4, 3];

/// With own curvatures of `left` from 1 down to one over `condition`, and coupled so weakly that it has an
/// equilibrium.
fn program(condition: f64, seed: u64) -> (Quadratics, Vec<f64>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut draw = || random.random_range(-1.0..1.0);
    let mut form = Quadratics::random(&Shared::SCHEDULE, &SIZES, 0.3 / condition.sqrt(), &mut draw);
    for (k, i) in form.part(1).enumerate() {
        form.part(1).for_each(|j| form.matrices[1][i][j] = 0.0);
        form.matrices[1][i][i] = condition.powf(-(k as f64) / (SIZES[1] - 1) as f64);
    }
    let z = (0..SIZES.iter().sum()).map(|_| draw()).collect();
    (form, z)
}

fn engine((form, z): &(Quadratics, Vec<f64>), method: &Value) -> Engine<Shared> {
    let level = |s: usize| Vector::new(&z[form.part(s)]);
    let problem = Shared { top: level(0), left: level(1), right: level(2), bottom: level(3) };
    let stream = |s: usize| {
        let spec = &Shared::SCHEDULE.levels[s];
        let (q, linear) = form.restricted(s, &[&[s], spec.upper, spec.lower].concat());
        Stream::constant((matrix(&q), vector(&linear)))
    };
    let data = SharedData { top: stream(0), left: stream(1), right: stream(2), bottom: stream(3) };
    let mut config = SharedConfig::default();
    config.left.hypergradient = Some(serde_json::from_value(method.clone()).unwrap());
    Engine::new(problem, data, config).unwrap()
}

#[test]
fn methods_that_end_early_still_prepare() {
    for (condition, method) in [
        (1e2, json!({ "method": "cg" })),
        (1e2, json!({ "method": "minres" })),
        (1e3, json!({ "method": "cg", "iterations": 20 })),
    ] {
        for seed in 0..2 {
            let program = program(condition, seed);
            let expected = program.0.total_gradients(&Shared::SCHEDULE, &[], &program.1);
            let mut engine = engine(&program, &method);
            let found = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
            assert_close(&found, &expected[0], 1e-11);
        }
    }
}

/// Products with the reduced Hessian of the coupled level, and the residual, at each of three steps that lead nowhere.
fn taken(method: &Value) -> Vec<(usize, f64)> {
    let taken = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&taken);
    let mut engine = engine(&program(1e2, 0), method).observe(move |event: &Event<'_>| {
        if let Event::Hypergradient { name: "top", through: "left", products, residual, .. } = *event {
            seen.borrow_mut().push((products, residual.unwrap()));
        }
    });
    engine.run(3).unwrap();
    drop(engine);
    Rc::into_inner(taken).unwrap().into_inner()
}

#[test]
fn a_warm_start_begins_with_the_solution_of_the_step_before() {
    let (cold, warm) = (taken(&json!({ "method": "cg" })), taken(&json!({ "method": "cg", "warm_start": true })));
    assert!(cold.iter().chain(&warm).all(|(_, residual)| *residual < 1e-14), "{cold:?} {warm:?}");
    let products = |of: &[(usize, f64)]| of.iter().map(|(products, _)| *products).collect::<Vec<_>>();
    let (cold, warm) = (products(&cold), products(&warm));
    assert!(cold.len() == 3 && cold[1..] == [cold[0]; 2] && warm[0] == cold[0], "{cold:?} {warm:?}");
    assert!(warm[1..].iter().all(|later| 3 * later < warm[0]), "{cold:?} {warm:?}");
}

/// Some iterations end before they are used up.
#[test]
fn what_is_told_is_the_most_that_it_takes() {
    for method in
        [json!({ "method": "cg", "tolerance": 0.0 }), json!({ "method": "cg", "tolerance": 0.0, "warm_start": true })]
    {
        let mut engine = engine(&program(1e4, 0), &method);
        let explained = engine.explain().unwrap();
        let told: f64 = explained.levels[0].responses.iter().map(|response| response.cost.kernels).sum();
        let before = launched().kernels;
        engine.gradient("top").unwrap();
        let found = launched().kernels - before;
        let told = told + explained.levels[0].step.kernels;
        assert!(found <= told && told < 1.5 * found, "{found} of {told}");
    }
}

//! A preconditioner is made once for the matrix of a level, however many systems a hypergradient solves with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use betty_runtime::execute::Vector as Flat;
use betty_runtime::hypergradient::{HypergradientError, Preconditioning, System, SystemPreconditioner};
use betty_runtime::linalg::Coordinates;
use betty_runtime::{Engine, Event, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor};
use burn::tensor::Tensor;
use serde_json::{Value, json};

use crate::closed_forms::{Vector, assert_near};

const N: usize = 6;

/// The diagonal of the Hessian of `leaf`, and about that of the reduced one of `mid`.
fn scales() -> Vec<f64> {
    (0..N).map(|i| 4_f64.powf(i as f64) + (i as f64).cos().powi(2)).collect()
}

/// ½Σdᵢxᵢ² + ½(Σcᵢxᵢ)² − Σuᵢxᵢ
fn uneven(x: &Vector, pull: Tensor<1>) -> Tensor<1> {
    let d: Vec<f64> = (0..N).map(|i| 4_f64.powf(i as f64)).collect();
    let c: Vec<f64> = (0..N).map(|i| (i as f64).cos()).collect();
    let along = (tensor_like(x, &c) * x.val()).sum();
    ((tensor_like(x, &d) * x.val().square()).sum() + along.square()) * 0.5 - (pull * x.val()).sum()
}

fn tensor_like(x: &Vector, values: &[f64]) -> Tensor<1> {
    Tensor::from_data(tensor(values).into_data(), (&x.device(), x.val().dtype()))
}

fn leaf(leaf: &Vector, mid: &Vector, _: ()) -> Tensor<1> {
    uneven(leaf, mid.val())
}

fn mid(mid: &Vector, top: &Vector, leaf: &Vector, _: ()) -> Tensor<1> {
    uneven(mid, top.val()) + (leaf.val() - mid.val()).square().sum() * 0.3
}

fn top(top: &Vector, mid: &Vector, _: ()) -> Tensor<1> {
    (mid.val() - 0.2).square().sum() + top.val().square().sum() * 0.1
}

thread_local! {
    static MADE: RefCell<BTreeMap<&'static str, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// The diagonal, from how the losses are made; counts how often it is asked for.
#[derive(Debug)]
struct Known(&'static str);

impl Preconditioning for Known {
    fn prepare(&self, _: &mut System<'_>, _: f64, like: &Flat) -> Result<SystemPreconditioner, HypergradientError> {
        MADE.with_borrow_mut(|made| *made.entry(self.0).or_default() += 1);
        let inverse = like.with_coordinates(&scales().iter().map(|d| 1.0 / d).collect::<Vec<_>>());
        Ok(Box::new(move |_: &mut System<'_>, r: &Flat| Ok(r.entrywise(&inverse)?)))
    }
}

multilevel! {
    struct Chain;
    level top: Vector { lower: [mid], batch: (), loss: top, optimizer: sgd(lr = 0.1) }
    level mid: Vector {
        upper: [top], lower: [leaf], batch: (), loss: mid, optimizer: sgd(lr = 1e-4),
        hypergradient: cg(iterations = 4, tolerance = 0.0), preconditioner: custom(Known("mid")),
    }
    level leaf: Vector {
        upper: [mid], batch: (), loss: leaf, optimizer: sgd(lr = 1e-4),
        hypergradient: cg(iterations = 4, tolerance = 0.0), preconditioner: custom(Known("leaf")),
    }
}

/// The gradient of `top`, and the products that it took at `mid` and at `leaf`.
fn gradient(mut change: Value) -> (Vec<f64>, BTreeMap<String, usize>) {
    if change["top"].is_null() {
        change["top"] = json!({});
    }
    let problem = Chain { top: parameter(&[0.3; N]), mid: parameter(&[0.1; N]), leaf: parameter(&[0.2; N]) };
    let data = ChainData { top: Stream::constant(()), mid: Stream::constant(()), leaf: Stream::constant(()) };
    let config = ChainConfig::from_json(&change.to_string()).unwrap();
    let taken = Rc::new(RefCell::new(BTreeMap::new()));
    let told = Rc::clone(&taken);
    let mut engine = Engine::new(problem, data, config).unwrap().observe(move |event| {
        if let Event::Hypergradient { name: "top", through, products, .. } = *event {
            told.borrow_mut().insert(through.to_owned(), products);
        }
    });
    let gradient = engine.gradient("top").unwrap().gradient.to_vec().unwrap();
    MADE.take();
    engine.run(1).unwrap();
    (gradient, taken.take())
}

#[test]
fn it_is_made_once_for_each_matrix() {
    gradient(json!({}));
    // One hypergradient of `top`, through both, and one of `mid`.
    assert_eq!(MADE.take(), BTreeMap::from([("mid", 1), ("leaf", 2)]));
}

/// A diagonal of so many probes as there are unknowns is the one that is known, so iterations are the same, and all that is more
/// is one product for each probe.
#[test]
fn its_products_are_formed_once() {
    let only = |of: &str, preconditioner: &Value| {
        let mut change = json!({ "mid": { "preconditioner": null }, "leaf": { "preconditioner": null } });
        change[of]["preconditioner"] = preconditioner.clone();
        gradient(change).1
    };
    let (known, found) = (json!({ "name": "custom" }), json!({ "name": "diagonal", "probes": N }));
    let (of_known, of_found) = (only("leaf", &known), only("leaf", &found));
    // Several solves at the leaf for each product of the level in the middle, of four iterations each.
    assert!(of_known["leaf"] > 4 * of_known["mid"], "{of_known:?}");
    assert_eq!((of_found["leaf"], of_found["mid"]), (of_known["leaf"] + N, of_known["mid"]));
}

/// However the levels below are solved.
#[test]
fn the_hypergradient_is_that_of_dense_solves() {
    let dense = json!({ "hypergradient": { "method": "dense" }, "preconditioner": null });
    let (exact, _) = gradient(json!({ "mid": dense, "leaf": dense }));
    for name in ["diagonal", "nystrom", "custom"] {
        for method in ["cg", "minres", "gmres"] {
            for solve in
                ["null", r#"{ "name": "joint", "tolerance": 1e-11 }"#, r#"{ "name": "inexact", "tolerance": 1e-11 }"#]
            {
                let level = json!({
                    "hypergradient": { "method": method, "iterations": 40, "tolerance": 1e-13 },
                    "preconditioner": { "name": name },
                });
                let solve: Value = serde_json::from_str(solve).unwrap();
                let (found, _) = gradient(json!({ "mid": level, "leaf": level, "top": { "solve": solve } }));
                assert_near(&found, &exact, 1e-9);
            }
        }
    }
}

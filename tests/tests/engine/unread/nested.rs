//! What nothing moves, below levels that are differentiated themselves: all ways to solve the system come to what they do where the
//! same numbers are constants of the losses.

use serde_json::{Value, json};

use super::*;

/// Beside what moves, what the level's own loss does not read, and what it reads with its gradient stopped.
#[derive(Module, Debug)]
struct Parts {
    head: Point,
    x: Point,
    scale: Point,
}

/// What stands still of a level.
type Still = (Tensor<1>, Tensor<1>);

const HEAD: [f64; 2] = [20.0, -30.0];
const SCALE: [f64; 1] = [1.5];
const TOP: [f64; 2] = [0.4, -0.3];
const LEFT: [f64; 2] = [0.2, 0.5];
const RIGHT: [f64; 2] = [0.6, -0.1];
const NET: [f64; 2] = [0.3, -0.2];

fn still(beside: &Point) -> Still {
    (constant(&HEAD, &beside.val()), constant(&SCALE, &beside.val()))
}

fn parts(x: &[f64]) -> Parts {
    Parts { head: parameter(&HEAD), x: parameter(x), scale: parameter(&SCALE) }
}

fn still_of(net: &Parts) -> Still {
    (net.head.val(), net.scale.val())
}

fn leaf(x: Tensor<1>, above: Tensor<1>, scale: Tensor<1>) -> Tensor<1> {
    ((x.clone().exp() - above).square().sum() + x.square().sum() * 0.5) * betty_runtime::stop_gradient(scale)
}

fn middle(own: (Tensor<1>, Tensor<1>), top: Tensor<1>, x: Tensor<1>, (head, scale): Still) -> Tensor<1> {
    let (middle, own_scale) = own;
    let of_own = middle.clone().square().sum() * 0.5 + (middle * top.clone()).sum() * 0.1;
    (x.clone() - top).square().sum()
        + of_own * betty_runtime::stop_gradient(own_scale)
        + (head * x).sum() * 0.01
        + scale
}

fn top(middle: Tensor<1>, x: Tensor<1>, of_middle: Still, of_net: Still) -> Tensor<1> {
    let squares = [of_middle.0, of_net.0, of_middle.1 * 5.0, of_net.1 * 5.0].map(|part| part.square().sum());
    let near = (middle.clone() - 0.25).square().sum() + x.square().sum() * 0.1;
    squares.into_iter().fold(near, |sum, part| sum + part) + (middle.clone() * constant(&HEAD, &middle)).sum() * 0.01
}

fn leaf_of_more(net: &Parts, above: &Parts, _: ()) -> Tensor<1> {
    leaf(net.x.val(), above.x.val(), net.scale.val())
}

fn leaf_of_bare(net: &Point, above: &Point, _: ()) -> Tensor<1> {
    leaf(net.val(), above.val(), still(net).1)
}

fn middle_of_more(own: &Parts, top: &Point, net: &Parts, _: ()) -> Tensor<1> {
    middle((own.x.val(), own.scale.val()), top.val(), net.x.val(), still_of(net))
}

fn middle_of_bare(own: &Point, top: &Point, net: &Point, _: ()) -> Tensor<1> {
    middle((own.val(), still(own).1), top.val(), net.val(), still(own))
}

fn top_of_more(_top: &Point, own: &Parts, net: &Parts, _: ()) -> Tensor<1> {
    top(own.x.val(), net.x.val(), still_of(own), still_of(net))
}

fn top_of_bare(_top: &Point, own: &Point, net: &Point, _: ()) -> Tensor<1> {
    top(own.val(), net.val(), still(own), still(own))
}

multilevel! {
    struct LargeChain;

    level top: Point { lower: [middle, net], batch: (), loss: top_of_more, optimizer: sgd(lr = 0.05) }
    level middle: Parts {
        upper: [top], lower: [net], batch: (), loss: middle_of_more, optimizer: sgd(lr = 0.05), hypergradient: cg(damping = 0.1),
    }
    level net: Parts { upper: [middle], batch: (), loss: leaf_of_more, optimizer: sgd(lr = 0.05), hypergradient: cg }
}

multilevel! {
    struct SmallChain;

    level top: Point { lower: [middle, net], batch: (), loss: top_of_bare, optimizer: sgd(lr = 0.05) }
    level middle: Point {
        upper: [top], lower: [net], batch: (), loss: middle_of_bare, optimizer: sgd(lr = 0.05), hypergradient: cg(damping = 0.1),
    }
    level net: Point { upper: [middle], batch: (), loss: leaf_of_bare, optimizer: sgd(lr = 0.05), hypergradient: cg }
}

fn shared_of_more(net: &Parts, left: &Parts, right: &Parts, _: ()) -> Tensor<1> {
    leaf(net.x.val(), left.x.val() + right.x.val() * 0.5, net.scale.val())
}

fn shared_of_bare(net: &Point, left: &Point, right: &Point, _: ()) -> Tensor<1> {
    leaf(net.val(), left.val() + right.val() * 0.5, still(net).1)
}

fn over_more(_top: &Point, left: &Parts, right: &Parts, net: &Parts, _: ()) -> Tensor<1> {
    top(left.x.val() + right.x.val() * 0.3, net.x.val(), still_of(left), still_of(right))
}

fn over_bare(_top: &Point, left: &Point, right: &Point, net: &Point, _: ()) -> Tensor<1> {
    top(left.val() + right.val() * 0.3, net.val(), still(net), still(net))
}

multilevel! {
    struct LargeDiamond;

    level top: Point { lower: [left, right, net], batch: (), loss: over_more, optimizer: sgd(lr = 0.05) }
    level left: Parts { upper: [top], lower: [net], batch: (), loss: middle_of_more, optimizer: sgd(lr = 0.05), hypergradient: cg }
    level right: Parts { upper: [top], lower: [net], batch: (), loss: middle_of_more, optimizer: sgd(lr = 0.05), hypergradient: cg }
    level net: Parts { upper: [left, right], batch: (), loss: shared_of_more, optimizer: sgd(lr = 0.05), hypergradient: cg }
}

multilevel! {
    struct SmallDiamond;

    level top: Point { lower: [left, right, net], batch: (), loss: over_bare, optimizer: sgd(lr = 0.05) }
    level left: Point { upper: [top], lower: [net], batch: (), loss: middle_of_bare, optimizer: sgd(lr = 0.05), hypergradient: cg }
    level right: Point { upper: [top], lower: [net], batch: (), loss: middle_of_bare, optimizer: sgd(lr = 0.05), hypergradient: cg }
    level net: Point { upper: [left, right], batch: (), loss: shared_of_bare, optimizer: sgd(lr = 0.05), hypergradient: cg }
}

/// Ways to solve what is below the uppermost level.
fn ways() -> [Value; 6] {
    [
        Value::Null,
        json!({ "name": "joint", "tolerance": 1e-13 }),
        json!({ "name": "joint", "tolerance": 1e-13, "prepare": false, "iterations": 400 }),
        json!({ "name": "joint", "tolerance": 1e-13, "warm_start": true }),
        json!({ "name": "inexact", "tolerance": 1e-12 }),
        json!({ "name": "inexact", "tolerance": 1e-12, "warm_start": true }),
    ]
}

/// What solves with the levels' own parts.
fn methods() -> Vec<Value> {
    let with = |method: &str, preconditioner: Value, warm: bool| {
        json!({
            "hypergradient": { "method": method, "damping": 0.1, "warm_start": warm }, "preconditioner": preconditioner,
        })
    };
    let (diagonal, nystrom) = (json!({ "name": "diagonal", "probes": 2 }), json!({ "name": "nystrom", "rank": 2 }));
    vec![
        json!({ "hypergradient": { "method": "cg" } }),
        json!({ "hypergradient": { "method": "dense" } }),
        with("cg", Value::Null, false),
        with("cg", diagonal.clone(), true),
        with("minres", nystrom.clone(), false),
        with("minres", Value::Null, true),
        with("gmres", diagonal, false),
        with("gmres", nystrom, true),
        json!({ "hypergradient": { "method": "dense", "damping": 0.1 } }),
    ]
}

fn assert_near(found: &[f64], expected: &[f64], of: &Value) {
    let size = expected.iter().fold(0.0_f64, |most, y| y.abs().max(most));
    assert!(
        found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-8 * size),
        "{of}: {found:?} is not {expected:?}"
    );
}

#[test]
fn a_chain_does_not_see_what_stands_still() {
    for solve in ways() {
        for method in methods() {
            let json = json!({ "top": { "solve": solve }, "middle": method, "net": method });
            let text = json.to_string();
            let data = LargeChainData { top: ().into(), middle: ().into(), net: ().into() };
            let problem = LargeChain { top: parameter(&TOP), middle: parts(&LEFT), net: parts(&NET) };
            let mut large = Engine::new(problem, data, LargeChainConfig::from_json(&text).unwrap()).unwrap();
            let data = SmallChainData { top: ().into(), middle: ().into(), net: ().into() };
            let problem = SmallChain { top: parameter(&TOP), middle: parameter(&LEFT), net: parameter(&NET) };
            let mut small = Engine::new(problem, data, SmallChainConfig::from_json(&text).unwrap()).unwrap();
            for _ in 0..3 {
                let [found, expected] = [large.gradient("top"), small.gradient("top")]
                    .map(|total| total.unwrap().gradient.to_vec().unwrap());
                assert_near(&found, &expected, &json);
                large.run(1).unwrap();
                small.run(1).unwrap();
            }
            let (large, small) = (large.into_problem(), small.into_problem());
            assert_near(&values(&large.top), &values(&small.top), &json);
            assert_near(&values(&large.middle.x), &values(&small.middle), &json);
            assert_eq!([values(&large.middle.head), values(&large.net.head)], [HEAD, HEAD]);
        }
    }
}

#[test]
fn an_equilibrium_does_not_see_what_stands_still() {
    for solve in ways() {
        for method in methods() {
            let json = json!({ "top": { "solve": solve }, "left": method, "right": method, "net": method });
            let text = json.to_string();
            let data = LargeDiamondData { top: ().into(), left: ().into(), right: ().into(), net: ().into() };
            let (left, right, net) = (parts(&LEFT), parts(&RIGHT), parts(&NET));
            let problem = LargeDiamond { top: parameter(&TOP), left, right, net };
            let mut large = Engine::new(problem, data, LargeDiamondConfig::from_json(&text).unwrap()).unwrap();
            let data = SmallDiamondData { top: ().into(), left: ().into(), right: ().into(), net: ().into() };
            let (left, right, net) = (parameter(&LEFT), parameter(&RIGHT), parameter(&NET));
            let problem = SmallDiamond { top: parameter(&TOP), left, right, net };
            let mut small = Engine::new(problem, data, SmallDiamondConfig::from_json(&text).unwrap()).unwrap();
            for _ in 0..2 {
                let [found, expected] = [large.gradient("top"), small.gradient("top")]
                    .map(|total| total.unwrap().gradient.to_vec().unwrap());
                assert_near(&found, &expected, &json);
                large.run(1).unwrap();
                small.run(1).unwrap();
            }
            let checks = [large.verify_hypergradient("top"), small.verify_hypergradient("top")].map(Result::unwrap);
            let [found, expected] = &checks;
            assert!(
                (found.reference_norm - expected.reference_norm).abs() < 1e-8 * expected.reference_norm,
                "{checks:?}"
            );
        }
    }
}

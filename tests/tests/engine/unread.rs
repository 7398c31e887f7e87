//! A parameter that nothing reads has no gradient: a step leaves it alone, whatever else the step does.

mod heads;
mod implicit;
mod nested;

use betty_runtime::{Batch, Engine, ProgramConfig, Stream, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};

type Point = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Bare {
    x: Point,
}

/// With parameters that no loss reads, around the one that is read.
#[derive(Module, Debug)]
struct More {
    before: Point,
    x: Point,
    after: Vec<Point>,
}

const X: [f64; 2] = [0.8, -0.6];
const LAMBDA: [f64; 2] = [0.3, 0.5];

/// Numbers of a loss, where the tensor is.
fn constant(values: &[f64], beside: &Tensor<1>) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&beside.device(), DType::F64))
}

fn bare(x: &[f64]) -> Bare {
    Bare { x: parameter(x) }
}

fn more(x: &[f64]) -> More {
    More { before: parameter(&[1.0, 2.0, -3.0]), x: parameter(x), after: vec![parameter(&[1.0]), parameter(&[-4.0])] }
}

fn fit(x: Tensor<1>, lambda: Tensor<1>) -> Tensor<1> {
    (x.clone().exp() - lambda.clone()).square().sum() + (x.tanh() * lambda).sum()
}

fn judge(x: Tensor<1>) -> Tensor<1> {
    (x - 0.25).square().sum()
}

fn fit_bare(net: &Bare, lambda: &Bare, _: ()) -> Tensor<1> {
    fit(net.x.val(), lambda.x.val())
}

fn judge_bare(_lambda: &Bare, net: &Bare, _: ()) -> Tensor<1> {
    judge(net.x.val())
}

/// What is only looked at with its gradient stopped is not read either.
fn fit_more(net: &More, lambda: &More, _: ()) -> Tensor<1> {
    let looked_at = betty_runtime::stop_gradient(net.after[1].val()) * 0.0;
    fit(net.x.val(), lambda.x.val()) + looked_at
}

fn judge_more(_lambda: &More, net: &More, _: ()) -> Tensor<1> {
    judge(net.x.val())
}

multilevel! {
    struct Small;

    level lambda: Bare { lower: [net], batch: (), loss: judge_bare, optimizer: adamw(lr = 0.1, weight_decay = 0.5) }
    level net: Bare {
        upper: [lambda], batch: (), loss: fit_bare, optimizer: sgd(lr = 0.05, momentum = 0.5, weight_decay = 0.5),
        unroll: 3, start: initial, hypergradient: unrolled,
    }
}

multilevel! {
    struct Large;

    level lambda: More { lower: [net], batch: (), loss: judge_more, optimizer: adamw(lr = 0.1, weight_decay = 0.5) }
    level net: More {
        upper: [lambda], batch: (), loss: fit_more, optimizer: sgd(lr = 0.05, momentum = 0.5, weight_decay = 0.5),
        unroll: 3, start: initial, hypergradient: unrolled,
    }
}

fn small(json: &str) -> Engine<Small> {
    let data = SmallData { lambda: Stream::constant(()), net: Stream::constant(()) };
    Engine::new(Small { lambda: bare(&LAMBDA), net: bare(&X) }, data, SmallConfig::from_json(json).unwrap()).unwrap()
}

fn large(json: &str) -> Engine<Large> {
    let data = LargeData { lambda: Stream::constant(()), net: Stream::constant(()) };
    Engine::new(Large { lambda: more(&LAMBDA), net: more(&X) }, data, LargeConfig::from_json(json).unwrap()).unwrap()
}

fn assert_alone(found: &More, like: &More, json: &str) {
    let all = |net: &More| [values(&net.before), values(&net.after[0]), values(&net.after[1])];
    assert_eq!(all(found), all(like), "{json}");
}

/// The same bits as without the parameters that nothing reads.
fn assert_the_same(json: &str) {
    let (mut found, mut expected) = (large(json), small(json));
    found.run(3).unwrap();
    expected.run(3).unwrap();
    let (found, expected) = (found.into_problem(), expected.into_problem());
    assert_eq!(values(&found.net.x), values(&expected.net.x), "{json}");
    assert_eq!(values(&found.lambda.x), values(&expected.lambda.x), "{json}");
    assert_ne!(values(&found.lambda.x), LAMBDA, "{json}");
    assert_alone(&found.net, &more(&X), json);
    assert_alone(&found.lambda, &more(&LAMBDA), json);
}

#[test]
fn every_optimizer_leaves_it_alone() {
    for optimizer in [
        r#"{ "name": "sgd", "lr": 0.05, "weight_decay": 0.5 }"#,
        r#"{ "name": "sgd", "lr": 0.05, "momentum": 0.9, "dampening": 0.5, "nesterov": true, "weight_decay": 0.5 }"#,
        r#"{ "name": "adam", "lr": 0.02, "weight_decay": 0.5 }"#,
        r#"{ "name": "adamw", "lr": 0.02, "weight_decay": 0.5 }"#,
        r#"{ "name": "rmsprop", "lr": 0.01, "momentum": 0.5, "centered": true, "weight_decay": 0.5 }"#,
        r#"{ "name": "adagrad", "lr": 0.1, "weight_decay": 0.5 }"#,
    ] {
        assert_the_same(&format!(
            r#"{{ "net": {{ "optimizer": {optimizer} }}, "lambda": {{ "optimizer": {optimizer} }} }}"#
        ));
    }
}

#[test]
fn nothing_else_in_a_step_moves_it() {
    for part in [
        r#""clip": { "norm": 0.3 }"#,
        r#""clip": { "value": 0.2 }"#,
        r#""project": { "name": "norm_ball", "radius": 0.5 }"#,
        r#""project": { "name": "at_least", "low": 0.6 }"#,
        r#""project": { "name": "clamp", "low": -0.5, "high": 0.7 }"#,
        r#""project": { "name": "simplex" }"#,
        r#""accumulate": 2"#,
    ] {
        assert_the_same(&format!(r#"{{ "net": {{ {part} }} }}"#));
        assert_the_same(&format!(r#"{{ "lambda": {{ {part} }} }}"#));
    }
}

/// The step that is differentiated is the one that was taken.
#[test]
fn every_method_differentiates_that_step() {
    for method in [
        r#"{ "method": "unrolled" }"#,
        r#"{ "method": "unrolled", "truncate": 2 }"#,
        r#"{ "method": "forward" }"#,
        r#"{ "method": "sama" }"#,
        r#"{ "method": "neumann", "terms": 3, "step_size": 0.1 }"#,
        r#"{ "method": "identity" }"#,
        r#"{ "method": "dense" }"#,
    ] {
        for project in ["null", r#"{ "name": "norm_ball", "radius": 0.5 }"#] {
            if project != "null" && !method.contains("unrolled") && !method.contains("forward") {
                continue;
            }
            assert_the_same(&format!(r#"{{ "net": {{ "hypergradient": {method}, "project": {project} }} }}"#));
        }
    }
    for tasks in [r#""tasks": 3"#, r#""tasks": 3, "vectorize": true"#] {
        for project in ["null", r#"{ "name": "norm_ball", "radius": 0.5 }"#] {
            assert_the_same(&format!(r#"{{ "lambda": {{ {tasks} }}, "net": {{ "project": {project} }} }}"#));
        }
    }
}

/// A way of its own: random directions of all parameters above, of which those that are not read move nothing.
#[test]
fn directions_of_what_is_not_read_move_nothing() {
    for method in [r#"{ "method": "evolution", "pairs": 4 }"#, r#"{ "method": "forward_gradient", "directions": 4 }"#] {
        let mut engine = large(&format!(r#"{{ "net": {{ "hypergradient": {method} }} }}"#));
        engine.run(3).unwrap();
        let problem = engine.into_problem();
        assert_alone(&problem.lambda, &more(&LAMBDA), method);
        assert_ne!(values(&problem.lambda.x), LAMBDA);
    }
}

fn middle_of_more(middle: &More, top: &More, net: &More, _: ()) -> Tensor<1> {
    (net.x.val() - top.x.val()).square().sum() + middle.x.val().square().sum() * 0.5
}

fn middle_of_bare(middle: &Bare, top: &Bare, net: &Bare, _: ()) -> Tensor<1> {
    (net.x.val() - top.x.val()).square().sum() + middle.x.val().square().sum() * 0.5
}

fn top_of_more(_top: &More, middle: &More, _: ()) -> Tensor<1> {
    judge(middle.x.val())
}

fn top_of_bare(_top: &Bare, middle: &Bare, _: ()) -> Tensor<1> {
    judge(middle.x.val())
}

multilevel! {
    struct SmallTower;

    level top: Bare { lower: [middle], batch: (), loss: top_of_bare, optimizer: sgd(lr = 0.1, weight_decay = 0.5) }
    level middle: Bare {
        upper: [top], lower: [net], batch: (), loss: middle_of_bare, optimizer: sgd(lr = 0.1, weight_decay = 0.5),
        hypergradient: cg(damping = 0.1),
    }
    level net: Bare {
        upper: [middle], batch: (), loss: fit_bare, optimizer: adamw(lr = 0.05, weight_decay = 0.5), unroll: 3,
        start: initial, hypergradient: unrolled,
    }
}

multilevel! {
    struct LargeTower;

    level top: More { lower: [middle], batch: (), loss: top_of_more, optimizer: sgd(lr = 0.1, weight_decay = 0.5) }
    level middle: More {
        upper: [top], lower: [net], batch: (), loss: middle_of_more, optimizer: sgd(lr = 0.1, weight_decay = 0.5),
        hypergradient: cg(damping = 0.1),
    }
    level net: More {
        upper: [middle], batch: (), loss: fit_more, optimizer: adamw(lr = 0.05, weight_decay = 0.5), unroll: 3,
        start: initial, hypergradient: unrolled,
    }
}

/// Steps that are one function, and differentiated twice.
#[test]
fn steps_below_a_level_that_is_differentiated_leave_it_alone() {
    let data = SmallTowerData { top: Stream::constant(()), middle: Stream::constant(()), net: Stream::constant(()) };
    let problem = SmallTower { top: bare(&[0.2, 0.1]), middle: bare(&LAMBDA), net: bare(&X) };
    let mut expected = Engine::new(problem, data, SmallTowerConfig::default()).unwrap();
    expected.run(3).unwrap();
    let expected = expected.into_problem();
    let data = LargeTowerData { top: Stream::constant(()), middle: Stream::constant(()), net: Stream::constant(()) };
    let problem = LargeTower { top: more(&[0.2, 0.1]), middle: more(&LAMBDA), net: more(&X) };
    let mut found = Engine::new(problem, data, LargeTowerConfig::default()).unwrap();
    found.run(3).unwrap();
    let found = found.into_problem();
    assert_alone(&found.top, &more(&[]), "top");
    assert_alone(&found.middle, &more(&[]), "middle");
    assert_alone(&found.net, &more(&[]), "net");
    let pairs = [(&found.top, &expected.top), (&found.middle, &expected.middle), (&found.net, &expected.net)];
    for (found, expected) in pairs {
        let (found, expected) = (values(&found.x), values(&expected.x));
        assert!(found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-13), "{found:?} {expected:?}");
    }
    assert_ne!(values(&found.top.x), [0.2, 0.1]);
}

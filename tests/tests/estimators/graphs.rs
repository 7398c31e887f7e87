//! Programs of more than two levels: several levels above, starts at other parameters, steps that rest on best responses.

use betty_runtime::error::rules::Violation;
use betty_runtime::{
    ConfigError, ConflictError, Engine, EngineError, HypergradientConfig, Multilevel, ProgramConfig, Stream, multilevel,
};
use burn::nn::DropoutConfig;
use burn::tensor::Tensor;

use crate::linear::{Vector, half_square, vector};
use crate::problem::relative;
use crate::statistics::assert_unbiased;

type Nothing = Tensor<1>;

fn nothing() -> Stream<Nothing> {
    Stream::constant(vector(&[0.0]))
}

fn start() -> Vector {
    Vector::new(&[0.3, 0.1, -0.5])
}

/// Runs a program by two methods, `change` putting either into its config; both end at the same parameters of `level`.
#[track_caller]
fn same<P: Multilevel>(
    program: impl Fn() -> (P, P::Data),
    change: impl Fn(&mut P::Config, HypergradientConfig),
    level: impl Fn(P) -> Vec<f64>,
) {
    let run = |method: &str| {
        let (problem, data) = program();
        let mut config = P::Config::default();
        change(&mut config, method.parse().unwrap());
        let mut engine = Engine::new(problem, data, config).unwrap().seed(2);
        engine.run(2).unwrap();
        level(engine.into_problem())
    };
    let gap = relative(&run("forward"), &run("unrolled"));
    assert!(gap < 1e-10, "{gap:e}");
}

fn outer(lambda: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    x.x.val().exp().sum() + half_square(lambda.x.val()).mul_scalar(0.4)
}

fn pulled(x: &Vector, first: &Vector, second: &Vector, _: Nothing) -> Tensor<1> {
    let (x, first, second) = (x.x.val(), first.x.val(), second.x.val());
    half_square(x.clone() - first.sin()) + (x * second.exp()).cos().sum()
}

multilevel! {
    struct TwoUppers;
    level first: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 0.3) }
    level second: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 0.3) }
    level x: Vector {
        upper: [first, second], batch: Nothing, loss: pulled, optimizer: adam(lr = 0.1), unroll: 4,
        hypergradient: forward,
    }
}

#[test]
fn two_levels_above_share_the_directions() {
    let program = || {
        let problem = TwoUppers { first: start(), second: Vector::new(&[0.2, -0.4, 0.6]), x: start() };
        (problem, TwoUppersData { first: nothing(), second: nothing(), x: nothing() })
    };
    let change = |config: &mut TwoUppersConfig, method| config.x.hypergradient = Some(method);
    same(program, change, |problem| [problem.first.values(), problem.second.values()].concat());
}

fn adapt(x: &Vector, scale: &Vector, target: Tensor<1>) -> Tensor<1> {
    let gap = x.x.val() - target;
    half_square(gap.clone()) + (gap * scale.x.val()).cos().sum().mul_scalar(0.2)
}

fn adapted(_meta: &Vector, x: &Vector, target: Tensor<1>) -> Tensor<1> {
    (x.x.val() - target).exp().sum()
}

multilevel! {
    struct Meta;
    level scale: Vector { lower: [x], batch: Tensor<1>, loss: adapted, optimizer: sgd(lr = 0.1) }
    level meta: Vector { lower: [x], batch: Tensor<1>, loss: adapted, optimizer: sgd(lr = 0.1), tasks: 2 }
    level x: Vector {
        upper: [scale], start: from(meta), batch: Tensor<1>, loss: adapt, optimizer: sgd(lr = 0.3, momentum = 0.5),
        unroll: 3, hypergradient: forward,
    }
}

fn meta() -> (Meta, MetaData) {
    let problem = Meta { scale: Vector::new(&[0.2, -0.4, 0.6]), meta: start(), x: Vector::new(&[9.0; 3]) };
    let stream = |by: f64| {
        let targets = (0..).map(move |i: i32| Ok::<_, std::io::Error>(vector(&[by, by - f64::from(i % 5), 0.3])));
        Stream::batches(targets)
    };
    (problem, MetaData { scale: stream(0.1), meta: stream(-0.2), x: stream(0.4) })
}

#[test]
fn steps_that_begin_at_another_level() {
    let change = |config: &mut MetaConfig, method| config.x.hypergradient = Some(method);
    same(meta, change, |problem| [problem.meta.values(), problem.scale.values()].concat());
}

#[test]
fn estimates_of_where_steps_begin() {
    let gradients = |method: &str, count: usize| -> Vec<Vec<f64>> {
        let json = format!(
            r#"{{ "meta": {{ "optimizer": {{ "lr": 1e-13 }} }}, "scale": {{ "optimizer": {{ "lr": 1e-13 }} }},
                  "x": {{ "hypergradient": {method} }} }}"#
        );
        let stream = |values: &[f64]| Stream::constant(vector(values));
        let data =
            MetaData { scale: stream(&[0.1, 0.2, 0.3]), meta: stream(&[-0.2, 0.5, 0.1]), x: stream(&[0.4, -1.0, 0.7]) };
        let mut engine = Engine::new(meta().0, data, MetaConfig::from_json(&json).unwrap()).unwrap();
        let mut round = || {
            engine.run(1).unwrap();
            engine.gradient("meta").unwrap().gradient.to_vec().unwrap()
        };
        (0..count).map(|_| round()).collect()
    };
    let exact = gradients(r#"{ "method": "unrolled" }"#, 1).remove(0);
    for method in [
        r#"{ "method": "forward_gradient", "directions": 40 }"#,
        r#"{ "method": "evolution", "pairs": 40, "sigma": 1e-3 }"#,
    ] {
        assert_unbiased(&gradients(method, 100), &exact);
    }
}

fn follow_some(y: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    let target = DropoutConfig::new(0.4).init().forward(x.x.val().sin());
    half_square(y.x.val() - target)
}

fn middle(x: &Vector, lambda: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    let (x, lambda, y) = (x.x.val(), lambda.x.val(), y.x.val());
    let seen = DropoutConfig::new(0.3).init().forward(x.clone() * lambda.clone());
    half_square(x.clone() - lambda.clone())
        + (y.clone() * lambda.exp()).sum()
        + half_square(y.clone() * x).mul_scalar(0.6)
        + (seen * y).sum()
}

multilevel! {
    struct AboveImplicit;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 0.3) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: sgd(lr = 0.1, momentum = 0.5),
        unroll: 5, hypergradient: forward, accumulate: 2,
    }
    level y: Vector { upper: [x], batch: Nothing, loss: follow_some, optimizer: sgd(lr = 1.0), hypergradient: dense }
}

fn above_implicit() -> (AboveImplicit, AboveImplicitData) {
    let problem = AboveImplicit { lambda: Vector::new(&[0.4, -0.7, 0.2]), x: start(), y: Vector::new(&[0.0; 3]) };
    (problem, AboveImplicitData { lambda: nothing(), x: nothing(), y: nothing() })
}

#[test]
fn steps_that_rest_on_best_responses_below() {
    let change = |config: &mut AboveImplicitConfig, method| config.x.hypergradient = Some(method);
    same(above_implicit, change, |problem| problem.lambda.values());
}

/// Follows `cos y`.
fn deeper(z: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    half_square(z.x.val() - y.x.val().cos())
}

fn between(y: &Vector, x: &Vector, lambda: &Vector, z: &Vector, _: Nothing) -> Tensor<1> {
    let (y, x, lambda, z) = (y.x.val(), x.x.val(), lambda.x.val(), z.x.val());
    half_square(y.clone() - x.sin() * lambda) + (z * y).sum().mul_scalar(0.2)
}

multilevel! {
    struct AboveTwo;
    level lambda: Vector { lower: [x], batch: Nothing, loss: outer, optimizer: sgd(lr = 0.3) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: middle, optimizer: adam(lr = 0.1), unroll: 3,
        hypergradient: forward,
    }
    level y: Vector {
        upper: [x, lambda], lower: [z], batch: Nothing, loss: between, optimizer: sgd(lr = 0.8), unroll: 5,
        hypergradient: dense,
    }
    level z: Vector { upper: [y], batch: Nothing, loss: deeper, optimizer: sgd(lr = 1.0), hypergradient: dense }
}

#[test]
fn steps_that_rest_on_best_responses_with_responses_of_their_own() {
    let program = || {
        let (lambda, y) = (Vector::new(&[0.4, -0.7, 0.2]), Vector::new(&[0.1, 0.2, 0.3]));
        let problem = AboveTwo { lambda, x: start(), y, z: Vector::new(&[0.0; 3]) };
        (problem, AboveTwoData { lambda: nothing(), x: nothing(), y: nothing(), z: nothing() })
    };
    let change = |config: &mut AboveTwoConfig, method| config.x.hypergradient = Some(method);
    same(program, change, |problem| problem.lambda.values());
}

#[test]
fn steps_that_rest_on_unrolled_steps_below() {
    let change = |config: &mut AboveImplicitConfig, method| {
        config.x.hypergradient = Some(method);
        (config.y.unroll, config.y.optimizer) = (3, serde_json::from_str(r#"{ "name": "adam", "lr": 0.1 }"#).unwrap());
        config.y.hypergradient = Some("unrolled".parse().unwrap());
    };
    same(above_implicit, change, |problem| problem.lambda.values());
}

#[test]
fn steps_that_rest_on_best_responses_are_not_taken_again() {
    let (problem, data) = above_implicit();
    let json = r#"{ "x": { "hypergradient": { "method": "evolution" } } }"#;
    let error = Engine::new(problem, data, AboveImplicitConfig::from_json(json).unwrap()).err().unwrap();
    assert!(
        matches!(
            &error,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                rule: Violation::ReplayOfResponse { below: 2 },
                ..
            }))
        ),
        "{error}"
    );
}

#[test]
fn steps_below_a_level_that_is_differentiated_itself() {
    for method in ["forward", "forward_gradient", "evolution"] {
        let (problem, data) = above_implicit();
        let json = format!(
            r#"{{ "x": {{ "hypergradient": {{ "method": "cg" }} }}, "y": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#
        );
        let error = Engine::new(problem, data, AboveImplicitConfig::from_json(&json).unwrap()).err().unwrap();
        assert!(
            matches!(&error, EngineError::Config(ConfigError::Conflict(ConflictError::Broken { rule: Violation::StepsBelow { above: 1 }, .. })) if error.to_string().contains(&format!("`{method}`"))),
            "{error}"
        );
    }
}

#[test]
fn tasks_of_a_level_whose_steps_are_followed_are_not_computed_together() {
    for method in ["forward", "forward_gradient"] {
        let (problem, data) = above_implicit();
        let json = format!(
            r#"{{ "x": {{ "hypergradient": {{ "method": "{method}" }}, "tasks": 2, "accumulate": 1, "vectorize": true }},
                  "y": {{ "hypergradient": {{ "method": "unrolled" }}, "start": "initial" }} }}"#
        );
        let error = Engine::new(problem, data, AboveImplicitConfig::from_json(&json).unwrap()).err().unwrap();
        assert!(
            matches!(
                &error,
                EngineError::Config(ConfigError::Conflict(ConflictError::Broken {
                    rule: Violation::NotTogether(_),
                    ..
                }))
            ),
            "{error}"
        );
        assert!(
            error.to_string().contains("a hypergradient passes through `x`, and needs the steps below it one by one"),
            "{error}"
        );
    }
}

/// Both `x` and what is fine-tuned from it count.
fn both(lambda: &Vector, z: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    half_square(z.x.val() - 1.5) + half_square(x.x.val() + lambda.x.val()).mul_scalar(0.7)
}

fn drawn(x: &Vector, lambda: &Vector, _: Nothing) -> Tensor<1> {
    half_square(x.x.val() - lambda.x.val().mul_scalar(2.0))
}

fn finetune(z: &Vector, x: &Vector, _: Nothing) -> Tensor<1> {
    half_square(z.x.val() - x.x.val()) + half_square(z.x.val()).mul_scalar(0.5)
}

multilevel! {
    struct Pipeline;
    level lambda: Vector { lower: [z, x], batch: Nothing, loss: both, optimizer: sgd(lr = 1e-13) }
    level z: Vector {
        lower: [x], batch: Nothing, loss: finetune, optimizer: sgd(lr = 0.1), unroll: 4, start: initial,
        hypergradient: unrolled,
    }
    level x: Vector {
        upper: [lambda], batch: Nothing, loss: drawn, optimizer: sgd(lr = 0.2), unroll: 3, start: initial,
        hypergradient: forward,
    }
}

#[test]
fn what_other_levels_send_down_counts_as_well() {
    let engine = |json: &str| {
        let problem = Pipeline { lambda: Vector::new(&[0.4, -0.7, 0.2]), z: start(), x: start() };
        let data = PipelineData { lambda: nothing(), z: nothing(), x: nothing() };
        Engine::new(problem, data, PipelineConfig::from_json(json).unwrap()).unwrap()
    };
    let estimates = |json: &str, count: usize| -> Vec<Vec<f64>> {
        let mut engine = engine(json);
        let mut round = || {
            engine.run(1).unwrap();
            engine.gradient("lambda").unwrap().gradient.to_vec().unwrap()
        };
        (0..count).map(|_| round()).collect()
    };
    let exact = estimates(r#"{ "x": { "hypergradient": { "method": "unrolled" } } }"#, 1).remove(0);
    let forward = estimates("{}", 1).remove(0);
    assert!(relative(&forward, &exact) < 1e-10, "{forward:?} is not {exact:?}");
    // Everything is linear or quadratic, so differences are exact at any width, at either level and at both.
    let evolution = r#"{ "hypergradient": { "method": "evolution", "pairs": 20, "sigma": 0.7 } }"#;
    for json in [
        format!(r#"{{ "x": {evolution} }}"#),
        format!(r#"{{ "z": {evolution} }}"#),
        format!(r#"{{ "x": {evolution}, "z": {evolution} }}"#),
        r#"{ "x": { "hypergradient": { "method": "forward_gradient", "directions": 20 } } }"#.to_owned(),
    ] {
        assert_unbiased(&estimates(&json, 120), &exact);
    }
}

fn both_below(lambda: &Vector, x: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    let (x, y) = (x.x.val(), y.x.val());
    (x.clone().exp() * y.clone()).sum() + half_square(y - x) + half_square(lambda.x.val()).mul_scalar(0.4)
}

fn follow(y: &Vector, x: &Vector, lambda: &Vector, _: Nothing) -> Tensor<1> {
    half_square(y.x.val() - x.x.val().sin() * lambda.x.val().exp())
}

fn asks(x: &Vector, lambda: &Vector, y: &Vector, _: Nothing) -> Tensor<1> {
    half_square(x.x.val() - lambda.x.val()) + half_square(y.x.val() * x.x.val()).mul_scalar(0.6)
}

multilevel! {
    struct Triangle;
    level lambda: Vector { lower: [x, y], batch: Nothing, loss: both_below, optimizer: sgd(lr = 1e-13) }
    level x: Vector {
        upper: [lambda], lower: [y], batch: Nothing, loss: asks, optimizer: sgd(lr = 0.2, momentum = 0.5), unroll: 3,
        hypergradient: unrolled,
    }
    level y: Vector {
        upper: [x, lambda], batch: Nothing, loss: follow, optimizer: sgd(lr = 0.3, momentum = 0.4), unroll: 2,
        hypergradient: unrolled,
    }
}

/// Steps that a random direction goes along with, those of the level below too.
#[test]
fn estimates_through_the_steps_of_two_levels() {
    let gradient = |json: &str, seed: u64| -> Vec<f64> {
        let lambda = Vector::new(&[0.4, -0.7, 0.2]);
        let problem = Triangle { lambda, x: start(), y: Vector::new(&[0.5, -0.2, 0.1]) };
        let data = TriangleData { lambda: nothing(), x: nothing(), y: nothing() };
        let config = TriangleConfig::from_json(json).unwrap();
        let mut engine = Engine::new(problem, data, config).unwrap().seed(seed).verification(false);
        engine.run(2).unwrap();
        engine.gradient("lambda").unwrap().gradient.to_vec().unwrap()
    };
    let exact = gradient("{}", 0);
    let forward = gradient(r#"{ "x": { "hypergradient": { "method": "forward" } } }"#, 0);
    assert!(relative(&forward, &exact) < 1e-12, "{forward:?} is not {exact:?}");
    let json = r#"{ "x": { "hypergradient": { "method": "forward_gradient", "directions": 20 } } }"#;
    let estimates: Vec<Vec<f64>> = (0..100).map(|seed| gradient(json, seed)).collect();
    assert_unbiased(&estimates, &exact);
}

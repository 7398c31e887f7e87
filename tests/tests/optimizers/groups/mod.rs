//! Groups of parameters with an optimizer, a clip and a projection of their own: two optimizers by hand, and whole runs.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod configs;
mod joint;

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::{Engine, EngineError, Event, LevelModule, ProgramConfig, Stream, StreamPosition, multilevel};
use betty_tests::vectors::{parameter, tensor, values};
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::module::{Module, Param};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{Optimizer, RmsPropConfig, SgdConfig};
use burn::tensor::{DType, Device, Tensor};

use super::own::Heavy;

type Vector = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Pixels {
    first: Vector,
    second: Vector,
}

#[derive(Module, Debug)]
struct Parts {
    bias: Vector,
    pixels: Pixels,
    log_lr: Vector,
}

const START: [[f64; 2]; 4] = [[0.3, -0.4], [0.9, -1.1], [0.2, 0.7], [-0.5, 0.4]];
const TARGET: [f64; 2] = [0.8, -0.2];

/// Bias, both tensors of pixels, and the logarithms of learning rates, on a device.
fn parts_of(values: &[Vec<f64>], device: &Device) -> Parts {
    let vector =
        |index: usize| Param::from_tensor(Tensor::from_data(tensor(&values[index]).into_data(), (device, DType::F64)));
    Parts { bias: vector(0), pixels: Pixels { first: vector(1), second: vector(2) }, log_lr: vector(3) }
}

fn start() -> Parts {
    parts_of(&START.map(Vec::from), &Device::flex())
}

fn all(parts: &Parts) -> Vec<f64> {
    parts.leaves().iter().flat_map(|leaf| leaf.value.to_vec().unwrap()).collect()
}

fn error(parts: &Parts, target: Tensor<1>) -> Tensor<1> {
    let answer = parts.pixels.first.val() * parts.log_lr.val().exp() + parts.pixels.second.val().sin();
    (answer + parts.bias.val() - target).square()
}

fn plain(parts: &Parts, target: Tensor<1>) -> Tensor<1> {
    error(parts, target).sum() + (parts.bias.val() * parts.pixels.second.val()).sum()
}

fn fit(parts: &Parts, lambda: &Vector, target: Tensor<1>) -> Tensor<1> {
    (error(parts, target) * lambda.val().exp()).sum() + (parts.bias.val() * lambda.val()).sum()
}

fn judge(_lambda: &Vector, parts: &Parts, target: Tensor<1>) -> Tensor<1> {
    error(parts, target).sum() + parts.log_lr.val().square().sum()
}

multilevel! {
    struct Alone;

    level parts: Parts {
        batch: Tensor<1>,
        loss: plain,
        optimizer: sgd(lr = 0.1),
        groups: {
            pixels: {
                optimizer: rmsprop(lr = 0.05, alpha = 0.875, momentum = 0.5, epsilon = 0.0078125),
                clip: norm(0.5),
                project: norm_ball(radius = 1.4),
            },
            log_lr: { optimizer: sgd(lr = 0.2, momentum = 0.5), clip: value(0.25), project: at_least(low = -0.54) },
        },
    }
}

multilevel! {
    struct Two;

    level lambda: Vector { lower: [parts], batch: Tensor<1>, loss: judge, optimizer: sgd(lr = 1.0) }

    level parts: Parts {
        upper: [lambda],
        batch: Tensor<1>,
        loss: fit,
        optimizer: sgd(lr = 0.1, momentum = 0.5),
        unroll: 4,
        hypergradient: unrolled,
    }
}

fn alone(json: &str) -> Result<Engine<Alone>, EngineError> {
    let data = AloneData { parts: Stream::constant(tensor(&TARGET)) };
    Engine::new(Alone { parts: start() }, data, AloneConfig::from_json(json)?)
}

fn two(json: &str, lambda: &[f64]) -> Result<Engine<Two>, EngineError> {
    let data = TwoData { lambda: Stream::constant(tensor(&[0.5, 0.1])), parts: Stream::constant(tensor(&TARGET)) };
    Engine::new(Two { lambda: parameter(lambda), parts: start() }, data, TwoConfig::from_json(json)?)
}

/// The steps of `Alone`, each with gradients of Burn's autodiff, and with three of burn-optim's optimizers.
fn by_hand(steps: usize) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let plain_sgd = SgdConfig::new().build();
    let momentum = MomentumConfig::new().with_momentum(0.5).with_dampening(0.0);
    let with_momentum = SgdConfig::new().with_momentum(Some(momentum)).build();
    // Burn keeps these in `f32`, in which they are what they are.
    let rmsprop = RmsPropConfig::new().with_alpha(0.875).with_momentum(0.5).with_epsilon(0.0078125).build();
    let mut at: Vec<Vec<f64>> = START.map(Vec::from).into();
    let (mut of_bias, mut of_first, mut of_second, mut of_rates) = (None, None, None, None);
    let numbers = |tensor: Tensor<1>| tensor.into_data().iter::<f64>().collect::<Vec<f64>>();
    let length = |of: [&Vec<f64>; 2]| of.into_iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..steps {
        let parts = parts_of(&at, &device);
        let target = Tensor::from_data(tensor(&TARGET).into_data(), (&device, DType::F64));
        let gradients = plain(&parts, target).backward();
        let gradient = |of: &Vector| numbers(of.val().grad(&gradients).unwrap());
        let mut of = [&parts.bias, &parts.pixels.first, &parts.pixels.second, &parts.log_lr].map(gradient);
        let norm = length([&of[1], &of[2]]);
        of[1..3].iter_mut().flatten().for_each(|x| *x *= (0.5 / norm).min(1.0));
        of[3].iter_mut().for_each(|x| *x = x.clamp(-0.25, 0.25));
        let [bias, first, second, rates] = of.map(|of| tensor(&of));
        let before = |index: usize| tensor(&at[index]);
        let mut after = Vec::new();
        macro_rules! step {
            ($optimizer:expr, $lr:literal, $gradient:expr, $state:ident) => {{
                let (moved, state) = $optimizer.step($lr, before(after.len()), $gradient, $state);
                $state = state;
                after.push(numbers(moved));
            }};
        }
        step!(plain_sgd, 0.1, bias, of_bias);
        step!(rmsprop, 0.05, first, of_first);
        step!(rmsprop, 0.05, second, of_second);
        step!(with_momentum, 0.2, rates, of_rates);
        let norm = length([&after[1], &after[2]]);
        after[1..3].iter_mut().flatten().for_each(|x| *x *= (1.4 / norm).min(1.0));
        after[3].iter_mut().for_each(|x| *x = x.max(-0.54));
        at = after;
    }
    at.concat()
}

#[test]
fn a_level_steps_as_with_an_optimizer_for_each_group() {
    for steps in [1, 2, 7, 12] {
        let mut engine = alone("{}").unwrap();
        engine.run(steps).unwrap();
        let (ours, theirs) = (all(&engine.problem().parts), by_hand(steps as usize));
        assert!(ours.iter().zip(&theirs).all(|(x, y)| (x - y).abs() < 1e-12), "{steps}: {ours:?} is not {theirs:?}");
    }
    // Both sets hold something: rates at their bound, and pixels on the ball.
    assert_eq!(by_hand(1)[6].to_bits(), (-0.54_f64).to_bits());
    let end = by_hand(12);
    let square: f64 = end[2..6].iter().map(|x| x * x).sum();
    assert!((square.sqrt() - 1.4).abs() < 1e-12, "{end:?}");
}

const GROUPS: &str = r#""groups": {
    "pixels.first": { "optimizer": { "name": "adam", "lr": 0.05, "epsilon": 0.1 }, "clip": { "norm": 0.4 } },
    "log_lr": { "optimizer": { "name": "rmsprop", "lr": 0.03, "momentum": 0.5, "epsilon": 0.1 }, "clip": { "value": 0.3 },
                "project": { "name": "norm_ball", "radius": 0.62 } }
}"#;

/// The upper loss that the last of some iterations sees, and its hypergradient, which is its whole step.
fn iteration(json: &str, lambda: &[f64]) -> (f64, Vec<f64>) {
    let loss = Rc::new(RefCell::new(f64::NAN));
    let seen = Rc::clone(&loss);
    let mut engine = two(json, lambda).unwrap().verification(false).observe(move |event| {
        if let Event::Step { name: "lambda", loss, .. } = event {
            *seen.borrow_mut() = *loss;
        }
    });
    engine.run(1).unwrap();
    let after = values(&engine.problem().lambda);
    (*loss.borrow(), lambda.iter().zip(after).map(|(before, after)| before - after).collect())
}

/// Through the states of three optimizers, two kinds of clipping, and a projection.
/// Holds a hypergradient at a point against differences of whole runs.
fn check_differences(json: &str, at: [f64; 2], what: &str) {
    let (_, found) = iteration(json, &at);
    for (index, found) in found.into_iter().enumerate() {
        let loss = |by: f64| {
            let mut moved = at;
            moved[index] += by;
            iteration(json, &moved).0
        };
        let h = 2e-4;
        let expected = (8.0 * (loss(h) - loss(-h)) - (loss(2.0 * h) - loss(-2.0 * h))) / (12.0 * h);
        assert!(expected.abs() > 1e-3, "nothing to find");
        assert!((found - expected).abs() < 1e-8 * expected.abs(), "{what}: {found} is not {expected}");
    }
}

#[test]
fn hypergradients_through_groups_are_derivatives_of_whole_runs() {
    for method in
        [r#"{ "method": "unrolled" }"#, r#"{ "method": "unrolled", "memory": 4 }"#, r#"{ "method": "forward" }"#]
    {
        let json = format!(r#"{{ "parts": {{ {GROUPS}, "unroll": 7, "hypergradient": {method} }} }}"#);
        check_differences(&json, [0.2, -0.3], method);
    }
}

/// Groups that have the optimizer of the level are the level without groups, bit for bit, whatever the method.
#[test]
fn groups_of_one_optimizer_are_none() {
    let groups = r#""groups": {
        "pixels": { "optimizer": { "name": "sgd", "lr": 0.1, "momentum": 0.5 } },
        "log_lr": { "optimizer": { "name": "sgd", "lr": 0.1, "momentum": 0.5 } }
    }"#;
    for method in [
        r#""unroll": 5, "hypergradient": { "method": "unrolled", "truncate": 3 }"#,
        r#""start": "look_ahead""#,
        r#""hypergradient": { "method": "forward_gradient" }"#,
        r#""hypergradient": { "method": "evolution" }"#,
        r#""hypergradient": { "method": "sama" }"#,
        r#""hypergradient": { "method": "cg", "damping": 1.0 }"#,
    ] {
        let end = |parts: &str| {
            let mut engine = two(&format!(r#"{{ "parts": {{ {parts} }} }}"#), &[0.2, -0.3]).unwrap();
            engine.run(3).unwrap();
            [values(&engine.problem().lambda), all(&engine.problem().parts)].concat()
        };
        assert_eq!(end(method), end(&format!("{method}, {groups}")), "{method}");
    }
    // Tasks that are computed together.
    let end = |parts: &str| {
        let tasks = r#""lambda": { "tasks": 3, "vectorize": true }"#;
        let mut engine = two(&format!(r#"{{ {tasks}, "parts": {{ "start": "initial", {parts} }} }}"#), &[0.2, -0.3]);
        engine.as_mut().unwrap().run(3).unwrap();
        values(&engine.unwrap().problem().lambda)
    };
    assert_eq!(end(r#""unroll": 4"#), end(groups));
}

#[test]
fn a_run_goes_on_bit_for_bit_with_the_states_and_rates_of_all_groups() {
    let json = format!(r#"{{ "parts": {{ {GROUPS} }} }}"#);
    let engine = || {
        let falling = LinearLrSchedulerConfig::new(0.1, 0.01, 10).init().unwrap();
        let rising = LinearLrSchedulerConfig::new(0.01, 0.1, 10).init().unwrap();
        let engine = two(&json, &[0.2, -0.3]).unwrap();
        engine.scheduler("parts", falling).unwrap().scheduler("parts.log_lr", rising).unwrap()
    };
    let end = |engine: &mut Engine<Two>| [values(&engine.problem().lambda), all(&engine.problem().parts)].concat();
    let mut whole = engine();
    whole.run(5).unwrap();
    let mut first = engine();
    first.run(2).unwrap();
    let saved = first.checkpoint().unwrap();
    let mut second = engine();
    second.resume(&saved, StreamPosition::Start).unwrap();
    second.run(3).unwrap();
    assert_eq!(end(&mut second), end(&mut whole));
    // Each group has numbers of its own, and those that are given may be others.
    let told = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = std::rc::Rc::clone(&told);
    let same = LinearLrSchedulerConfig::new(0.1, 0.01, 10).init().unwrap();
    let rising = LinearLrSchedulerConfig::new(0.01, 0.1, 90).init().unwrap();
    let other = two(&json, &[0.2, -0.3]).unwrap();
    let other = other.scheduler("parts", same).unwrap().scheduler("parts.log_lr", rising).unwrap();
    let mut other = other.observe(move |event| log.borrow_mut().extend(event.warning().map(|warning| warning.fact)));
    other.resume(&saved, StreamPosition::Start).unwrap();
    let told = told.take();
    assert!(told.len() == 1 && told[0].contains("`parts.log_lr`"), "{told:?}");
    // The rates make a difference.
    let mut constant = two(&json, &[0.2, -0.3]).unwrap();
    constant.run(5).unwrap();
    assert_ne!(end(&mut constant), end(&mut whole));
    // Other optimizers, and other groups, have other states.
    for (parts, level) in [
        (r#""groups": { "log_lr": { "optimizer": { "name": "adam", "lr": 0.1 } } }"#, "parts.log_lr"),
        (&GROUPS.replace("log_lr", "bias"), "parts.bias"),
    ] {
        let mut other = two(&format!(r#"{{ "parts": {{ {parts} }} }}"#), &[0.2, -0.3]).unwrap();
        let error = other.resume(&saved, StreamPosition::Start).expect_err("other optimizers").to_string();
        assert!(error.contains(level), "{error}");
    }
}

#[test]
fn modules_are_edited_and_states_stay() {
    let json = format!(r#"{{ "parts": {{ {GROUPS} }} }}"#);
    let mut plain = two(&json, &[0.2, -0.3]).unwrap();
    plain.run(4).unwrap();
    let mut edited = two(&json, &[0.2, -0.3]).unwrap();
    edited.run(2).unwrap();
    // Away and back again.
    let lambda = values(&edited.problem().lambda);
    edited.edit(|problem| problem.lambda = parameter(&[0.0, 0.0])).unwrap();
    edited.edit(|problem| problem.lambda = parameter(&lambda)).unwrap();
    edited.run(2).unwrap();
    assert_eq!(all(&edited.problem().parts), all(&plain.problem().parts));
}

multilevel! {
    struct Whole;

    level parts: Parts {
        batch: Tensor<1>,
        loss: plain,
        groups: {
            bias: { optimizer: custom(Heavy { momentum: 0.9, decay: 0.01 }, lr = 0.1) },
            pixels: { optimizer: adagrad(lr = 0.1) },
            log_lr: { optimizer: adam(lr = 0.1) },
        },
    }
}

fn whole(json: &str) -> Result<Engine<Whole>, EngineError> {
    let data = WholeData { parts: Stream::constant(tensor(&TARGET)) };
    Engine::new(Whole { parts: start() }, data, WholeConfig::from_json(json)?)
}

/// A level whose parameters are all in groups has no optimizer of its own; one of the groups may have the user's.
#[test]
fn every_parameter_may_be_in_a_group() {
    let mut own = whole("{}").unwrap();
    own.run(6).unwrap();
    let sgd = r#"{ "name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01 }"#;
    let mut built =
        whole(&format!(r#"{{ "parts": {{ "groups": {{ "bias": {{ "optimizer": {sgd} }} }} }} }}"#)).unwrap();
    built.run(6).unwrap();
    assert_eq!(all(&own.problem().parts), all(&built.problem().parts));
    let falling = LinearLrSchedulerConfig::new(0.1, 0.01, 10).init().unwrap();
    let error = whole("{}").unwrap().scheduler("parts", falling).map(drop).expect_err("it has no rate of its own");
    assert!(matches!(error, EngineError::NoRate { .. }));
    assert_eq!(
        error.to_string(),
        "level `parts` cannot have a scheduler, because all of its parameters are in groups; name one of them: \
         `scheduler(\"parts.bias\", …)`"
    );
}

#[test]
fn tasks_that_are_computed_together_step_in_groups_as_one_after_the_other() {
    let end = |vectorize: bool| {
        let tasks = format!(r#""lambda": {{ "tasks": 3, "vectorize": {vectorize} }}"#);
        let parts = format!(r#""parts": {{ "start": "initial", "unroll": 4, {GROUPS} }}"#);
        let mut engine = two(&format!("{{ {tasks}, {parts} }}"), &[0.2, -0.3]).unwrap();
        engine.run(3).unwrap();
        values(&engine.problem().lambda)
    };
    let (together, one_by_one) = (end(true), end(false));
    let gap = together.iter().zip(&one_by_one).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(gap < 1e-12, "{together:?} is not {one_by_one:?}");
}

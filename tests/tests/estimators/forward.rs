//! Forward mode against the sweep in reverse, and against central differences of the whole run.

use betty_runtime::{Engine, EngineError, ProgramConfig, StepsError};
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrSchedulerConfig;
use burn::module::ParamGroup;

use crate::problem::{KNOBS, Tuning, engine, iteration, knobs, relative, trained};

/// Three iterations, so that steps go on from where others ended: both ways end at the same knobs.
#[track_caller]
fn check_prepared(net: &str, knobs_level: &str, dropout: f64, prepare: impl Fn(Engine<Tuning>) -> Engine<Tuning>) {
    let run = |method: &str| {
        let config = format!(
            r#"{{ "knobs": {{ "optimizer": {{ "lr": 0.3 }} {knobs_level} }},
                  "net": {{ "hypergradient": {{ "method": "{method}" }} {net} }} }}"#
        );
        trained(prepare(engine(&config, dropout, &knobs())), 3)
    };
    let moved = |after: Vec<f64>| -> Vec<f64> { after.iter().zip(knobs()).map(|(x, y)| x - y).collect() };
    let (forward, reverse) = (moved(run("forward")), moved(run("unrolled")));
    let relative = relative(&forward, &reverse);
    assert!(relative < 1e-10, "{net}: {forward:?} is not {reverse:?} ({relative:e})");
}

#[track_caller]
fn check(net: &str, dropout: f64) {
    check_prepared(net, "", dropout, |engine| engine);
}

#[test]
fn every_optimizer() {
    for optimizer in [
        r#""lr": 0.05, "weight_decay": 0.01"#,
        r#""lr": 0.02, "momentum": 0.9, "dampening": 0.3"#,
        r#""lr": 0.02, "momentum": 0.9, "nesterov": true"#,
        r#""name": "adam", "lr": 0.02, "weight_decay": 0.01"#,
        r#""name": "adamw", "lr": 0.02, "weight_decay": 0.1"#,
        r#""name": "rmsprop", "lr": 0.02, "epsilon": 0.01, "weight_decay": 0.01"#,
        r#""name": "rmsprop", "lr": 0.02, "epsilon": 0.01, "centered": true"#,
        r#""name": "adagrad", "lr": 0.1, "lr_decay": 0.2"#,
    ] {
        check(&format!(r#", "optimizer": {{ {optimizer} }}"#), 0.0);
    }
}

#[test]
fn clipping_accumulation_and_masks() {
    check(r#", "clip": { "norm": 0.5 }, "accumulate": 3"#, 0.0);
    check(r#", "clip": { "value": 0.7 }, "optimizer": { "momentum": 0.5 }"#, 0.0);
    check(r#", "accumulate": 2, "optimizer": { "momentum": 0.5 }"#, 0.4);
}

#[test]
fn projections() {
    check(r#", "project": { "name": "norm_ball", "radius": 1.5 }"#, 0.0);
    check(r#", "project": { "name": "clamp", "low": -0.4, "high": 0.5 }"#, 0.0);
    check(r#", "project": { "name": "simplex" }, "optimizer": { "momentum": 0.5 }"#, 0.0);
}

#[test]
fn starts_and_tasks() {
    let momentum = r#", "optimizer": { "momentum": 0.5 }"#;
    for start in ["kept", "initial", "look_ahead"] {
        check(&format!(r#"{momentum}, "start": "{start}""#), 0.3);
        check_prepared(
            &format!(r#"{momentum}, "start": "{start}""#),
            r#", "tasks": 2, "accumulate": 2"#,
            0.0,
            |engine| engine,
        );
    }
    check_prepared(momentum, r#", "warmup": 1"#, 0.0, |engine| engine);
}

#[test]
fn schedules_of_groups() {
    let falling = |rate, factor| ExponentialLrSchedulerConfig::new(rate, factor);
    let config = ModuleLrSchedulerConfig::new(falling(0.05, 0.9).into());
    let config = config.with_group(ParamGroup::from_path("second"), falling(0.1, 0.7));
    check_prepared("", "", 0.0, |engine| engine.scheduler("net", config.init().unwrap()).unwrap());
}

#[test]
fn the_derivative_of_the_whole_run() {
    let at = knobs();
    let config = r#"{ "net": { "optimizer": { "name": "adam", "lr": 0.02 }, "clip": { "norm": 2.0 } } }"#;
    let (_, found) = iteration(config, 0.3, &at);
    let loss = |index: usize, by: f64| {
        let mut moved = at.clone();
        moved[index] += by;
        iteration(config, 0.3, &moved).0
    };
    // A central difference of fourth order.
    let slope =
        |k: usize, h: f64| (8.0 * (loss(k, h) - loss(k, -h)) - (loss(k, 2.0 * h) - loss(k, -2.0 * h))) / (12.0 * h);
    let expected: Vec<f64> = (0..KNOBS).map(|k| slope(k, 1e-3)).collect();
    let relative = relative(&found, &expected);
    assert!(relative < 1e-8, "{found:?} is not {expected:?} ({relative:e})");
}

#[test]
fn more_upper_parameters_than_the_limit() {
    let config = |limit: usize| format!(r#"{{ "net": {{ "hypergradient": {{ "limit": {limit} }} }} }}"#);
    assert!(trained(engine(&config(KNOBS), 0.0, &knobs()), 1).iter().all(|knob| knob.is_finite()));
    let error = crate::problem::refused(&config(KNOBS - 1));
    assert!(matches!(&error, EngineError::Method { level, .. } if level == "net"), "{error}");
    let text = error.to_string();
    assert!(text.contains("each of 8 upper parameters is more than the limit of 7"), "{text}");
    assert!(text.contains("`forward_gradient`") && text.contains("`unrolled`"), "{text}");
}

#[test]
fn nothing_to_follow_before_the_first_step() {
    for method in ["forward", "forward_gradient", "evolution"] {
        let config = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let mut engine = engine(&config, 0.0, &knobs());
        let error = engine.gradient("knobs").unwrap_err();
        assert!(matches!(&error, EngineError::Steps(StepsError::NotTaken { level }) if level == "net"), "{error}");
        engine.run(1).unwrap();
        assert!(engine.gradient("knobs").unwrap().norm.is_finite());
        engine.edit(|_| {}).unwrap();
        assert!(engine.gradient("knobs").unwrap().norm.is_finite());
        // Changed modules begin anew.
        engine.edit(|problem| problem.net.halve()).unwrap();
        assert!(matches!(engine.gradient("knobs").unwrap_err(), EngineError::Steps(StepsError::NotTaken { .. })));
    }
}

#[test]
fn what_is_kept_does_not_grow_with_the_steps() {
    let kept = |method: &str, unroll: usize| {
        let config = format!(r#"{{ "net": {{ "unroll": {unroll}, "hypergradient": {{ "method": "{method}" }} }} }}"#);
        engine(&config, 0.0, &knobs()).explain().unwrap().levels[1].kept
    };
    let one = (3 * 4 + 4) * 8;
    assert_eq!((kept("forward", 5), kept("forward", 500)), (KNOBS * one, KNOBS * one));
    assert_eq!((kept("forward_gradient", 5), kept("forward_gradient", 500)), (8 * one, 8 * one));
    assert_eq!((kept("unrolled", 5), kept("unrolled", 500)), (2 * 5 * one, 2 * 500 * one));
}

#[test]
fn what_a_hypergradient_takes() {
    let knobs_cost = |method: &str| {
        let config = format!(r#"{{ "net": {{ "accumulate": 2, "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let explained = engine(&config, 0.0, &knobs()).explain().unwrap();
        let (cost, step) = (explained.levels[0].clone(), explained.levels[1].step.operations);
        (cost.responses[0].products, cost.responses[0].cost.operations / step, cost.reads)
    };
    let (products, unrolled, _) = knobs_cost("unrolled");
    assert_eq!(products, Some(5));
    // Five steps, one product for each of eight directions; the inner products with all of them are read at once, a loss and a norm.
    let (products, forward, reads) = knobs_cost("forward");
    assert_eq!((products, reads), (Some(5 * KNOBS), 2 + 1));
    assert!(forward > 4.0 * unrolled, "{forward} {unrolled}");
    // Eight pairs of runs of five steps, and the loss at the end of each.
    let (products, evolution, reads) = knobs_cost("evolution");
    assert_eq!((products, reads), (Some(0), 2 + 1));
    assert!(evolution > 16.0 * 5.0 && evolution < 16.0 * 6.0, "{evolution}");
}

#[test]
fn a_run_in_json() {
    let config = crate::problem::TuningConfig::default();
    let json = config.to_json().unwrap();
    assert!(json.contains(r#""method": "forward""#) && json.contains(r#""limit": 64"#), "{json}");
}

//! Schedules of learning rates: against Burn's schedulers, closed forms of the steps, and rates that observers are told of.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::error::rules::Violation;
use betty_runtime::{
    ConfigError, ConflictError, Engine, EngineError, Event, Multilevel, ProgramConfig, StreamPosition, multilevel,
};
use betty_tests::vectors::{parameter, values};
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::noam::NoamLrSchedulerConfig;
use burn::lr_scheduler::step::StepLrSchedulerConfig;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
struct Point {
    x: Param<Tensor<1>>,
    y: Param<Tensor<1>>,
}

type Vector = Param<Tensor<1>>;

fn square(x: Tensor<1>) -> Tensor<1> {
    x.powi_scalar(2).sum()
}

/// `½h(x − g)² + ½y²` with `h = 0.7`
fn near(point: &Point, goal: &Vector, _: ()) -> Tensor<1> {
    square(point.x.val() - goal.val()).mul_scalar(0.35) + square(point.y.val()).mul_scalar(0.5)
}

fn judge(_goal: &Vector, point: &Point, _: ()) -> Tensor<1> {
    square(point.x.val() - 0.25).mul_scalar(0.5)
}

multilevel! {
    struct Scheduled;

    level goal: Vector {
        lower: [point], batch: (), loss: judge, optimizer: sgd(lr = 1.0), schedule: step(steps = 2, gamma = 0.5),
    }
    level point: Point {
        upper: [goal], batch: (), loss: near, optimizer: sgd(lr = 0.4), schedule: cosine(to = 0.25, steps = 6, rise = 1),
        groups: { y: { optimizer: sgd(lr = 0.1), schedule: linear(from = 0.5, to = 1.0, steps = 2) } },
        unroll: 3, hypergradient: unrolled,
    }
}

const GOAL: f64 = 1.5;
const START: f64 = -0.6;

fn engine(config: &str) -> Engine<Scheduled> {
    let problem = Scheduled { goal: parameter(&[GOAL]), point: Point { x: parameter(&[START]), y: parameter(&[1.0]) } };
    let data = ScheduledData { goal: ().into(), point: ().into() };
    Engine::new(problem, data, ScheduledConfig::from_json(config).unwrap()).unwrap()
}

/// The rates that observers are told of, level by level.
fn rates(engine: Engine<Scheduled>, iterations: u64) -> [Vec<f64>; 2] {
    let told = Rc::new(RefCell::new([Vec::new(), Vec::new()]));
    let seen = Rc::clone(&told);
    let mut engine = engine.observe(move |event| {
        if let Event::Step { level, learning_rate, .. } = event {
            seen.borrow_mut()[*level].push(*learning_rate);
        }
    });
    engine.run(iterations).unwrap();
    told.take()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} is not {expected:?}");
    let is_close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-14);
    assert!(is_close, "{found:?} is not {expected:?}");
}

/// `0.4·(0.25 + ½·0.75·(1 + cos(πt/6)))` behind one step of half the first rate.
fn cosine(t: usize) -> f64 {
    match t {
        0 => 0.2,
        t if t > 6 => 0.1,
        t => 0.4 * (0.25 + 0.375 * (1.0 + (std::f64::consts::PI * (t - 1) as f64 / 6.0).cos())),
    }
}

#[test]
fn the_rates_of_a_program_are_those_of_its_schedules() {
    let [goal, point] = rates(engine("{}"), 4);
    assert_close(&goal, &[1.0, 1.0, 0.5, 0.5]);
    assert_close(&point, &(0..12).map(cosine).collect::<Vec<_>>());
}

/// `y ← (1 − α)y`, with rates of its own.
#[test]
fn a_group_follows_its_own_schedule() {
    let mut engine = engine("{}");
    engine.run(1).unwrap();
    let expected = (1.0 - 0.05) * (1.0 - 0.075) * (1.0 - 0.1);
    assert_close(&values(&engine.problem().point.y), &[expected]);
}

/// x ends at `g + Π(1 − hαₜ)(x₀ − g)`, whose derivative in `g` is `1 − Π(1 − hαₜ)`.
#[test]
fn hypergradients_go_through_steps_at_their_rates() {
    for (config, rates) in [
        ("{}", [0.2, 0.4, cosine(2)]),
        (r#"{ "point": { "schedule": { "name": "exponential", "gamma": 0.5 } } }"#, [0.4, 0.2, 0.1]),
        (r#"{ "point": { "schedule": null } }"#, [0.4; 3]),
        (r#"{ "point": { "hypergradient": { "method": "forward" } } }"#, [0.2, 0.4, cosine(2)]),
    ] {
        let mut engine = engine(config);
        engine.run(1).unwrap();
        let kept: f64 = rates.iter().map(|rate| 1.0 - 0.7 * rate).product();
        let end = GOAL + kept * (START - GOAL);
        assert_close(&values(&engine.problem().point.x), &[end]);
        assert_close(&values(&engine.problem().goal), &[GOAL - (1.0 - kept) * (end - 0.25)]);
    }
}

/// With rates that Burn's schedulers are asked for as often.
#[test]
fn schedules_are_burns_until_they_end() {
    let schedules: [(&str, ModuleLrScheduler, f64); 5] = [
        (
            r#""name": "cosine", "to": 0.2, "steps": 11, "rise": 0"#,
            CosineAnnealingLrSchedulerConfig::new(0.5, 11).with_min_lr(0.1).init().unwrap(),
            0.5,
        ),
        (
            r#""name": "linear", "from": 0.2, "to": 1.0, "steps": 7"#,
            LinearLrSchedulerConfig::new(0.1, 0.5, 7).init().unwrap(),
            0.5,
        ),
        (r#""name": "exponential", "gamma": 0.9"#, ExponentialLrSchedulerConfig::new(0.5, 0.9).init().unwrap(), 0.5),
        (
            r#""name": "step", "steps": 4, "gamma": 0.3"#,
            StepLrSchedulerConfig::new(0.5, 4).with_gamma(0.3).init().unwrap(),
            0.5,
        ),
        (
            r#""name": "noam", "rise": 5, "size": 64"#,
            NoamLrSchedulerConfig::new(0.5).with_warmup_steps(5).with_model_size(64).init().unwrap(),
            0.5,
        ),
    ];
    for (schedule, mut burns, lr) in schedules {
        let config = format!(r#"{{ "point": {{ "optimizer": {{ "lr": {lr} }}, "schedule": {{ {schedule} }} }} }}"#);
        let [_, found] = rates(engine(&config), 4);
        let expected: Vec<f64> = (0..12).map(|_| burns.step().base()).collect();
        assert_close(&found, &expected);
    }
}

/// The steps of the whole run count, or those since the level began anew.
#[test]
fn a_schedule_begins_again_with_its_level_if_it_says_so() {
    let falling = |restart: bool, rest: &str, tasks: &str| {
        format!(
            r#"{{ "goal": {{ {tasks} "optimizer": {{ "lr": 1e-3 }} }}, "point": {{ {rest} "schedule": {{ "name": "linear", "steps": 10,
               "restart": {restart} }} }} }}"#
        )
    };
    let on = |count: usize| (0..count).map(|t| 0.4 * (1.0 - t.min(10) as f64 / 10.0)).collect::<Vec<_>>();
    for tasks in ["", r#""tasks": 2, "#, r#""tasks": 2, "vectorize": true, "#] {
        let turns = if tasks.is_empty() { 2 } else { 4 };
        for restart in [false, true] {
            let [_, found] = rates(engine(&falling(restart, r#""start": "initial", "#, tasks)), 2);
            let expected = if restart { on(3).repeat(turns) } else { on(3 * turns) };
            assert_close(&found, &expected);
        }
    }
    // Steps that are undone count for nothing.
    let [_, found] = rates(engine(&falling(false, r#""start": "look_ahead", "#, "")), 2);
    let six = on(6);
    assert_close(&found, &[&six[..3], &six[..3], &six[3..], &six[3..]].concat());
}

#[test]
fn a_resumed_run_goes_on_with_its_rates() {
    let mut whole = engine("{}");
    whole.run(3).unwrap();
    let mut first = engine("{}");
    first.run(1).unwrap();
    let mut resumed = engine("{}");
    resumed.resume(&first.checkpoint().unwrap(), StreamPosition::Start).unwrap();
    resumed.run(2).unwrap();
    let ends = |engine: &mut Engine<Scheduled>| {
        let Scheduled { goal, point } = engine.problem();
        [values(goal), values(&point.x), values(&point.y)]
    };
    assert_eq!(ends(&mut resumed), ends(&mut whole));
}

#[test]
fn what_a_schedule_cannot_do_is_told() {
    let refused =
        |config: &str| ScheduledConfig::from_json(config).unwrap().validate(&Scheduled::SCHEDULE).unwrap_err();
    let error = refused(r#"{ "point": { "schedule": { "restart": true } } }"#);
    assert!(
        matches!(&error, ConfigError::Conflict(ConflictError::Broken { rule: Violation::NotScheduled(_), path, .. }) if path == "point.schedule.restart"),
        "{error}"
    );
    let error = refused(r#"{ "point": { "groups": { "y": { "schedule": { "restart": true } } } } }"#);
    assert!(
        error.to_string().starts_with("`point.groups.y.schedule.restart`: `point` goes on from where it was"),
        "{error}"
    );
    let text = |config: &str| ScheduledConfig::from_json(config).unwrap_err().to_string();
    assert_eq!(
        text(r#"{ "point": { "schedule": { "name": "cosin" } } }"#),
        "`point.schedule.name`: unknown schedule `cosin` (did you mean `cosine`?); known are `cosine`, `linear`, \
         `exponential`, `step` and `noam`"
    );
    assert_eq!(
        text(r#"{ "point": { "schedule": { "steps": 0 } } }"#),
        "`point.schedule.steps` is 0; it must be an integer greater than zero"
    );
    assert_eq!(
        text(r#"{ "point": { "schedule": { "name": "noam" } } }"#),
        "`point.schedule.rise` is missing; it must be an integer greater than zero"
    );
    // A scheduler of Burn's in the place of a schedule that is given would leave that out.
    let error = engine("{}").scheduler("point", 0.1).err().unwrap();
    assert!(matches!(&error, EngineError::NoRate { level, .. } if level == "point"), "{error}");
    assert!(engine(r#"{ "point": { "schedule": null } }"#).scheduler("point", 0.1).is_ok());
    assert!(engine("{}").scheduler("point.y", 0.1).is_err());
}

#[test]
fn a_config_is_read_back_with_schedules_and_without() {
    let config = ScheduledConfig::default();
    assert_eq!(ScheduledConfig::from_json(&config.to_json().unwrap()).unwrap(), config);
    let plain =
        r#"{ "goal": { "schedule": null }, "point": { "schedule": null, "groups": { "y": { "schedule": null } } } }"#;
    let plain = ScheduledConfig::from_json(plain).unwrap();
    assert!(plain.goal.schedule.is_none() && plain.point.schedule.is_none());
    assert_eq!(ScheduledConfig::from_json(&plain.to_json().unwrap()).unwrap(), plain);
}

//! Rounds of the levels below: one is a sweep over them, many lead to the equilibrium.

use std::cell::RefCell;
use std::rc::Rc;

use betty_runtime::error::rules::Violation;
use betty_runtime::{ConfigError, ConflictError, Engine, EngineError, Event, ProgramConfig, Start, multilevel};
use burn::tensor::Tensor;

use crate::level::{Vector, assert_close};
use crate::unrolled::{Nothing, nothing, square};

const C: f64 = 0.8;

fn sum(net: &Vector, left: &Vector, right: &Vector, _: Nothing) -> Tensor<1> {
    square(net.x.val() - left.x.val() - right.x.val()).mul_scalar(0.5)
}

fn pulled(side: &Vector, top: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(side.x.val() - top.x.val()).mul_scalar(0.5) + square(net.x.val()).mul_scalar(0.5 * C)
}

fn pushed(side: &Vector, top: &Vector, net: &Vector, _: Nothing) -> Tensor<1> {
    square(side.x.val() + top.x.val().mul_scalar(2.0)).mul_scalar(0.5) + square(net.x.val()).mul_scalar(0.5 * C)
}

fn both(top: &Vector, left: &Vector, right: &Vector, _: Nothing) -> Tensor<1> {
    (left.x.val().exp() + right.x.val().sin()).sum() + square(top.x.val()).mul_scalar(0.1)
}

// One step of each level solves it while the others stand still: the total gradient of a side is its distance from where it
// is pulled and C times the sum, so that its derivative is 1 + C.
multilevel! {
    struct Diamond;
    level top: Vector { lower: [left, right], batch: Nothing, loss: both, optimizer: sgd(lr = 1e-3), rounds: 2 }
    level left: Vector {
        upper: [top], lower: [net], batch: Nothing, loss: pulled, optimizer: sgd(lr = 0.5555555555555556), hypergradient: dense,
    }
    level right: Vector {
        upper: [top], lower: [net], batch: Nothing, loss: pushed, optimizer: sgd(lr = 0.5555555555555556), hypergradient: dense,
    }
    level net: Vector { upper: [left, right], batch: Nothing, loss: sum, optimizer: sgd(lr = 1.0), hypergradient: dense }
}

const TOP: [f64; 2] = [0.4, -0.7];

fn diamond(json: &str) -> Engine<Diamond> {
    let data = DiamondData { top: nothing(), left: nothing(), right: nothing(), net: nothing() };
    let start = |x: f64| Vector::new(&[x, -x]);
    let problem = Diamond { top: Vector::new(&TOP), left: start(0.3), right: start(-0.9), net: start(0.0) };
    Engine::new(problem, data, DiamondConfig::from_json(json).unwrap()).unwrap()
}

fn values(of: &Vector) -> Vec<f64> {
    of.x.val().into_data().try_to_vec().unwrap()
}

/// Where so many sweeps lead from the first parameters, entry by entry: the level that both sides wait for takes its step for the
/// first of them, so that the second reads where the first stood before.
fn swept(rounds: usize) -> [Vec<f64>; 2] {
    let entry = |top: f64, sign: f64| {
        let (mut left, mut right) = (0.3 * sign, -0.9 * sign);
        for _ in 0..rounds {
            (left, right) = ((top - C * right) / (1.0 + C), (-2.0 * top - C * left) / (1.0 + C));
        }
        (left, right)
    };
    let ((l0, r0), (l1, r1)) = (entry(TOP[0], 1.0), entry(TOP[1], -1.0));
    [vec![l0, l1], vec![r0, r1]]
}

#[test]
fn a_round_is_one_sweep_of_the_levels_below() {
    for (json, rounds) in [("{}", 2), (r#"{ "top": { "rounds": 1 } }"#, 1), (r#"{ "top": { "rounds": 7 } }"#, 7)] {
        let mut engine = diamond(json);
        let report = engine.run(1).unwrap();
        let steps: Vec<u64> = report.levels.iter().map(|level| level.steps).collect();
        assert_eq!(steps[..3], [1, rounds as u64, rounds as u64]);
        let explained = engine.explain().unwrap();
        assert_eq!(explained.levels[1].steps, rounds as u64);
        let problem = engine.into_problem();
        let [left, right] = swept(rounds);
        assert_close(&values(&problem.left), &left, 1e-12);
        assert_close(&values(&problem.right), &right, 1e-12);
    }
}

#[test]
fn many_rounds_lead_to_the_equilibrium_and_its_derivative() {
    let mut engine = diamond(r#"{ "top": { "rounds": 60 } }"#);
    engine.run(1).unwrap();
    let after = values(&engine.into_problem().top);
    // (1 + C)·l + C·r = t and C·l + (1 + C)·r = −2t.
    let determinant = (1.0 + C).powi(2) - C.powi(2);
    let (left, right) = ((1.0 + 3.0 * C) / determinant, (-2.0 - 3.0 * C) / determinant);
    let slope = |top: f64| left * (left * top).exp() + right * (right * top).cos() + 0.2 * top;
    let found: Vec<f64> = TOP.iter().zip(after).map(|(before, after)| (before - after) / 1e-3).collect();
    assert_close(&found, &TOP.map(slope), 1e-10);
    let [l, r] = swept(60);
    assert_close(&l, &TOP.map(|top| left * top), 1e-12);
    assert_close(&r, &TOP.map(|top| right * top), 1e-12);
}

fn follow(low: &Vector, top: &Vector, _: Nothing) -> Tensor<1> {
    let gap = low.x.val() - top.x.val().sin();
    square(gap.clone()).mul_scalar(0.5) + square(gap.clone() * gap).mul_scalar(0.1)
}

fn judge(_top: &Vector, low: &Vector, _: Nothing) -> Tensor<1> {
    low.x.val().exp().sum()
}

multilevel! {
    struct Pair;
    level top: Vector { lower: [low], batch: Nothing, loss: judge, optimizer: sgd(lr = 0.1) }
    level low: Vector {
        upper: [top], batch: Nothing, loss: follow, optimizer: sgd(lr = 0.2, momentum = 0.5), unroll: 6, hypergradient: unrolled,
    }
}

fn pair(config: PairConfig) -> Result<Engine<Pair>, EngineError> {
    let problem = Pair { top: Vector::new(&TOP), low: Vector::new(&[0.9, 0.2]) };
    Engine::new(problem, PairData { top: nothing(), low: nothing() }, config)
}

/// With one level below there is nothing that rounds could take turns with.
#[test]
fn rounds_of_one_level_are_more_steps_of_it() {
    for start in [Start::Kept, Start::Initial, Start::LookAhead] {
        for method in ["unrolled", "forward", "evolution", "dense"] {
            let run = |rounds: usize, unroll: usize| {
                let mut config = PairConfig::default();
                (config.top.rounds, config.low.unroll, config.low.start) = (rounds, unroll, start);
                config.low.hypergradient = Some(method.parse().unwrap());
                let seen = Rc::new(RefCell::new(Vec::new()));
                let log = Rc::clone(&seen);
                let mut engine = pair(config).unwrap().observe(move |event| {
                    if let Event::Step { level, step, loss, looks_ahead, .. } = *event {
                        log.borrow_mut().push((level, step, loss, looks_ahead));
                    }
                });
                engine.run(3).unwrap();
                let explained = engine.explain().unwrap();
                let told: Vec<_> =
                    explained.levels[0].responses.iter().map(|of| (of.products, of.cost.kernels)).collect();
                let problem = engine.into_problem();
                (values(&problem.top), values(&problem.low), seen.take(), told)
            };
            assert_eq!(run(3, 2), run(1, 6), "{start:?}, {method}");
        }
    }
}

#[test]
fn rounds_that_cannot_be() {
    let refused = |json: &str| pair(PairConfig::from_json(json)?).map(|_| ());
    let error = refused(r#"{ "low": { "rounds": 2 } }"#).unwrap_err();
    assert!(
        matches!(&error, EngineError::Config(ConfigError::Conflict(ConflictError::Broken { rule: Violation::NoRounds { rounds: 2 }, level, .. })) if level == "low"),
        "{error}"
    );
    let error = refused(r#"{ "top": { "rounds": 0 } }"#).unwrap_err();
    assert!(matches!(&error, EngineError::Config(ConfigError::Value { path, .. }) if path == "top.rounds"), "{error}");
    let error = refused(r#"{ "top": { "rounds": 2, "tasks": 2, "vectorize": true }, "low": { "start": "initial" } }"#)
        .unwrap_err();
    assert!(
        matches!(
            &error,
            EngineError::Config(ConfigError::Conflict(ConflictError::Broken { rule: Violation::NotTogether(_), .. }))
        ),
        "{error}"
    );
    assert!(error.to_string().contains("raise their `unroll` instead"), "{error}");
}

/// Configs from before there were rounds are read, and those that use none are written as they were.
#[test]
fn one_round_is_not_written() {
    let text = PairConfig::default().to_json().unwrap();
    assert!(!text.contains("rounds"), "{text}");
    assert_eq!(PairConfig::from_json(&text).unwrap(), PairConfig::default());
    let written = DiamondConfig::default().to_json().unwrap();
    assert!(written.contains(r#""rounds": 2"#), "{written}");
    assert_eq!(DiamondConfig::from_json(&written).unwrap(), DiamondConfig::default());
}

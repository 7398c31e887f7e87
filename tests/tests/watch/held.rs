//! Levels whose gradient does not vanish where they are best, because something holds it: Health says nothing of them, and speaks of
//! others as before.

use betty_runtime::{Engine, ProgramConfig, Stream, multilevel};
use burn::tensor::{Device, Tensor};

use crate::health::{ill, rules};
use crate::problem::Point;

/// Outside of the simplex, and none of its corners.
const TARGET: [f32; 3] = [2.0, 1.8, 1.5];

fn follow(x: &Point, y: &Point, _: ()) -> Tensor<1> {
    (x.at.val() - y.at.val()).square().sum() * 0.5
}

fn reach(y: &Point, x: &Point, target: Tensor<1>) -> Tensor<1> {
    (y.at.val() - target).square().sum() * 0.5 + x.at.val().square().sum() * 0.01
}

fn stay(y: &Point, x: &Point, _: ()) -> Tensor<1> {
    (x.at.val() - 1.0).square().sum() * 0.5 + (y.at.val() - 1.0).square().sum() * 0.5
}

multilevel! {
    struct Reaching;

    level y: Point { lower: [x], batch: Tensor<1>, loss: reach, optimizer: sgd(lr = 0.1) }
    level x: Point {
        upper: [y], batch: (), loss: follow, optimizer: sgd(lr = 0.5), unroll: 5, hypergradient: cg(iterations = 2),
    }
}

multilevel! {
    /// The level below begins at the minimum of its loss.
    struct Trained;

    level y: Point { lower: [x], batch: (), loss: stay, optimizer: sgd(lr = 0.1) }
    level x: Point {
        upper: [y], batch: (), loss: follow, optimizer: sgd(lr = 0.02, weight_decay = 0.1), hypergradient: cg(iterations = 2),
    }
}

fn reaching(y: &str) -> Engine<Reaching> {
    let problem = Reaching { y: Point::new(&[0.2, 0.3, 0.5]), x: Point::new(&[0.2, 0.3, 0.5]) };
    let target = Tensor::from_floats(TARGET, &Device::flex());
    let data = ReachingData { y: Stream::constant(target), x: Stream::constant(()) };
    let config = ReachingConfig::from_json(&format!(r#"{{ "y": {{ {y} }} }}"#)).unwrap();
    Engine::new(problem, data, config).unwrap()
}

#[test]
fn what_stands_where_a_set_or_a_decay_holds_it_is_not_still() {
    for y in [
        r#""project": { "name": "simplex" }"#,
        r#""project": { "name": "norm_ball", "radius": 1.0 }"#,
        r#""project": { "name": "clamp", "low": 0.0, "high": 1.6 }"#,
        r#""optimizer": { "name": "sgd", "lr": 0.1, "weight_decay": 1.0 }"#,
        r#""optimizer": { "name": "adam", "lr": 0.05, "weight_decay": 1.0 }"#,
    ] {
        assert_eq!(rules(reaching(y), 900), Vec::<String>::new(), "{y}");
    }
}

#[test]
fn what_a_small_decay_does_not_hold_is_still() {
    let slow = r#""optimizer": { "name": "sgd", "lr": 1e-12, "weight_decay": 1e-6 }"#;
    assert_eq!(rules(reaching(slow), 400), ["still"]);
}

#[test]
fn a_level_that_goes_from_its_minimum_to_where_its_decay_holds_it_is_not_away() {
    let ones = || Point::new(&[1.0, 1.0, 1.0]);
    let data = TrainedData { y: Stream::constant(()), x: Stream::constant(()) };
    let engine = Engine::new(Trained { y: ones(), x: ones() }, data, TrainedConfig::default()).unwrap();
    assert_eq!(rules(engine, 600), Vec::<String>::new());
}

#[test]
fn a_level_with_a_decay_that_gets_away_is_told_of() {
    let away = r#"{ "x": { "optimizer": { "name": "sgd", "lr": 0.335, "weight_decay": 1e-3 } } }"#;
    let told = rules(ill(2.0, 1.0, away), 420);
    assert!(told.contains(&"far".to_owned()), "{told:?}");
}

//! Configs held against the graph of their program.

use super::*;

#[test]
fn the_defaults_are_valid() {
    assert!(Config::default().validate(&SCHEDULE).is_ok());
}

#[track_caller]
fn check_invalid(text: &str, change: impl FnOnce(&mut Config)) {
    let mut config = Config::default();
    change(&mut config);
    let error = config.validate(&SCHEDULE).expect_err("the config has a mistake");
    assert_eq!(error.to_string(), text);
}

#[test]
fn hypergradients_are_given_exactly_where_one_passes() {
    check_invalid(
        "`net.hypergradient`: a hypergradient passes through `net`: add `hypergradient: …` to say how it is computed",
        |config| config.net.hypergradient = None,
    );
    check_invalid(
        "`weights.hypergradient`: no hypergradient passes through `weights`, so its `hypergradient` is never used",
        |config| config.weights.hypergradient = config.net.hypergradient.clone(),
    );
}

#[test]
fn a_best_response_is_not_held_by_a_constraint() {
    let set = Some(ProjectionConfig::Simplex(SimplexConfig::default()));
    check_invalid(
        "`net.project`: `cg` takes no notice of constraints, and no implicit method differentiates a best response that is held \
         by one; choose `unrolled` for `net`, or express the constraint in the loss or the module",
        |config| config.net.project = set,
    );
    let config = Config::default();
    let free = Config { weights: LevelConfig { project: set, ..config.weights }, ..config };
    assert!(free.validate(&SCHEDULE).is_ok());
}

#[test]
fn another_projection_starts_from_its_own_defaults() {
    let config = read(json!({ "weights": { "project": { "name": "clamp", "high": 3 } } }));
    let expected = ProjectionConfig::Clamp(ClampConfig { low: 0.0, high: 3.0 });
    assert_eq!(config.weights.project, Some(expected));
}

#[test]
fn what_nobody_waits_for_is_not_given() {
    check_invalid("`weights.unroll`: no level is solved after `weights`, so its `unroll` is never used", |config| {
        config.weights.unroll = 5;
    });
    check_invalid("`weights.start`: no level is solved after `weights`, so its `start` is never used", |config| {
        config.weights.start = Start::Initial;
    });
}

#[test]
fn numbers_that_were_set_in_code_are_checked_too() {
    check_invalid("`net.unroll` is 0; it must be an integer greater than zero", |config| config.net.unroll = 0);
    check_invalid("`net.clip.norm` is -1.0; it must be a number greater than zero", |config| {
        config.net.clip = Some(Clip::Norm(-1.0))
    });
    // JSON has no words for these; a check of the numbers themselves has.
    for (number, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "infinity"), (f64::NEG_INFINITY, "-infinity")] {
        check_invalid(&format!("`net.clip.value` is {name}; it must be a number greater than zero"), |config| {
            config.net.clip = Some(Clip::Value(number));
        });
        check_invalid(&format!("`net.optimizer.lr` is {name}; it must be a number greater than zero"), |config| {
            config.net.optimizer = Some(OptimizerConfig::Sgd(SgdConfig {
                lr: number.into(),
                momentum: 0.0.into(),
                dampening: 0.0.into(),
                nesterov: false,
                weight_decay: 0.0.into(),
            }));
        });
        check_invalid(
            &format!("`net.hypergradient.damping` is {name}; it must be a number that is not negative"),
            |config| {
                config.net.hypergradient =
                    Some(HypergradientConfig::Cg(CgConfig { damping: number, ..CgConfig::default() }));
            },
        );
    }
    check_invalid("`weights.project.high` is 1; it must be greater than `low`", |config| {
        config.weights.project = Some(ProjectionConfig::Clamp(ClampConfig { low: 1.0, high: 1.0 }));
    });
}

/// Zero is no number of steps, batches, tasks or rounds, also where it is set in code.
#[test]
fn every_count_is_held_against_its_range() {
    for field in &betty_schema::FIELDS {
        let betty_schema::Holds::Number(range @ betty_schema::Range::Count, _) = field.holds else { continue };
        let mut value = serde_json::to_value(Config::default()).expect("numbers are JSON");
        value["net"][field.name] = json!(0);
        let config: Config = serde_json::from_value(value).expect("a number is a number");
        let error = config.validate(&SCHEDULE).expect_err(field.name);
        assert_eq!(error.to_string(), format!("`net.{}` is 0; it must be {}", field.name, range.describe()));
    }
}

#[test]
fn a_config_of_another_program() {
    const LEVELS: [LevelSpec; 1] = [level("weights", &[])];
    let schedule = Schedule { levels: &LEVELS, ..SCHEDULE };
    let error = Config::default().validate(&schedule).expect_err("the program has one level");
    assert_eq!(error.to_string(), "the config has 2 levels, but the program `P` has 1");
}

/// What is written is read again, to the last bit: a run under a saved config is the run under the config.
#[test]
fn every_number_survives_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.json");
    let mut config = Config::default();
    for i in 1..=200_u32 {
        let lr = f64::from(i).sqrt() / 1000.0;
        let Some(OptimizerConfig::Adam(adam)) = &mut config.net.optimizer else { panic!("the default is adam") };
        adam.lr = lr.into();
        config.save(&file).expect("writable");
        let read = Config::from_file(&file).expect("as written");
        let rate = read.net.optimizer.as_ref().and_then(|optimizer| optimizer.lr().fixed());
        assert_eq!(rate.map(f64::to_bits), Some(lr.to_bits()), "{lr}");
    }
}

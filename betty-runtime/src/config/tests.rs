//! Configs from JSON, their errors, and the ranges held against the manual of the macro.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::{METHODS, OPTIMIZERS, PROJECTIONS, Presence};
use super::*;
use crate::engine::schedule::{LevelSpec, Schedule, Through};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    weights: LevelConfig,
    net: LevelConfig,
}

impl Default for Config {
    fn default() -> Self {
        let level = LevelConfig {
            unroll: 1,
            warmup: 0,
            optimizer: OptimizerConfig::Adam(AdamConfig {
                lr: 1e-3.into(),
                beta_1: 0.9.into(),
                beta_2: 0.999.into(),
                epsilon: 1e-5.into(),
                weight_decay: 0.0.into(),
            }),
            hypergradient: None,
            clip: None,
            project: None,
            accumulate: 1,
            start: Start::Kept,
            tasks: 1,
            vectorize: false,
            train: None,
            freeze: Vec::new(),
            precision: None,
        };
        let net = LevelConfig {
            unroll: 10,
            hypergradient: Some(HypergradientConfig::Cg(CgConfig::default())),
            clip: Some(Clip::Norm(1.0)),
            ..level.clone()
        };
        Self { weights: level, net }
    }
}

impl ProgramConfig for Config {
    fn levels(&self) -> Vec<&LevelConfig> {
        vec![&self.weights, &self.net]
    }

    fn levels_mut(&mut self) -> Vec<&mut LevelConfig> {
        vec![&mut self.weights, &mut self.net]
    }
}

const fn level(name: &'static str, sweep: &'static [Through]) -> LevelSpec {
    LevelSpec {
        name,
        module: "M",
        batch: "B",
        loss: "f",
        upper: &[],
        lower: &[],
        start: None,
        hyperparameters: &[],
        sweep,
    }
}

const SCHEDULE: Schedule = Schedule {
    name: "P",
    levels: &[level("weights", &[Through { level: 1, into: &[0] }]), level("net", &[])],
    roots: &[0],
};

#[track_caller]
fn read(json: Value) -> Config {
    match Config::from_json(&json.to_string()) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn check_err(text: &str, json: Value) {
    let error = Config::from_json(&json.to_string()).expect_err("the config has a mistake");
    assert_eq!(error.to_string(), text);
}

/// A directory of its own for each test, removed afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("betty-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the system has room for a test");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn nothing_changes_nothing() {
    assert_eq!(read(json!({})), Config::default());
    assert_eq!(read(json!({ "net": {} })), Config::default());
}

#[test]
fn a_config_survives_json() {
    let config = Config::default();
    let text = config.to_json().expect("numbers are JSON");
    assert_eq!(Config::from_json(&text).expect("its own text is read"), config);
}

#[test]
fn single_numbers_are_overridden() {
    let config = read(json!({ "net": { "unroll": 3, "optimizer": { "lr": 1 }, "hypergradient": { "damping": 0.5 } } }));
    let mut expected = Config::default();
    expected.net.unroll = 3;
    expected.net.hypergradient = Some(HypergradientConfig::Cg(CgConfig { damping: 0.5, ..CgConfig::default() }));
    let OptimizerConfig::Adam(adam) = &mut expected.net.optimizer else { panic!("the default is adam") };
    adam.lr = 1.0.into();
    assert_eq!(config, expected);
}

#[test]
fn another_method_starts_from_its_own_defaults() {
    let config = read(json!({ "net": { "hypergradient": { "method": "neumann", "terms": 3 } } }));
    let expected = NeumannConfig { terms: 3, ..NeumannConfig::default() };
    assert_eq!(config.net.hypergradient, Some(HypergradientConfig::Neumann(expected)));
}

#[test]
fn another_optimizer_starts_from_its_own_defaults() {
    let config = read(json!({ "net": { "optimizer": { "name": "sgd", "lr": 0.5 } } }));
    assert_eq!(config.net.optimizer.name(), "sgd");
    assert_eq!(config.net.optimizer.lr().fixed(), Some(0.5));
    check_err(
        "`net.optimizer.lr` is missing; it must be a number greater than zero",
        json!({ "net": { "optimizer": { "name": "sgd" } } }),
    );
}

#[test]
fn another_clip_replaces_the_first() {
    assert_eq!(read(json!({ "net": { "clip": { "value": 0.5 } } })).net.clip, Some(Clip::Value(0.5)));
    assert_eq!(read(json!({ "net": { "clip": null } })).net.clip, None);
}

#[test]
fn a_precision_is_a_word_or_none() {
    for (word, precision) in [("f32", Precision::F32), ("bf16", Precision::Bf16), ("f16", Precision::F16)] {
        let config = read(json!({ "net": { "precision": word } }));
        assert_eq!(config.net.precision, Some(precision));
        let text = config.to_json().expect("names are JSON");
        assert_eq!(Config::from_json(&text).expect("its own text is read"), config);
    }
    assert_eq!(read(json!({ "net": { "precision": null } })).net.precision, None);
    check_err(
        "`net.precision` is 16; it must be `null`, or the name of a float type",
        json!({ "net": { "precision": 16 } }),
    );
}

#[test]
fn not_json() {
    let error = Config::from_json("{ \"net\": ").expect_err("the text ends too early");
    assert_eq!(error.to_string(), "the config is not JSON: EOF while parsing a value at line 1 column 9");
}

#[test]
fn unknown_names() {
    check_err(
        "`config`: unknown level `nett` (did you mean `net`?); known are `net` and `weights`",
        json!({ "nett": {} }),
    );
    check_err(
        "`net`: unknown field `unrol` (did you mean `unroll`?); known are `unroll`, `warmup`, `optimizer`, `hypergradient`, \
         `clip`, `project`, `accumulate`, `start`, `tasks`, `vectorize`, `train`, `freeze` and `precision`",
        json!({ "net": { "unrol": 5 } }),
    );
    check_err(
        "`net.hypergradient`: unknown option `iteration` (did you mean `iterations`?); known are `iterations`, \
         `tolerance`, `damping`, `warm_start`, `batch` and `method`",
        json!({ "net": { "hypergradient": { "iteration": 5 } } }),
    );
    check_err(
        "`net.hypergradient.method`: unknown method `cgg` (did you mean `cg`?); known are `cg`, `minres`, `gmres`, \
         `neumann`, `nystrom`, `finite_difference`, `penalty`, `identity`, `sama`, `dense`, `unrolled`, \
         `forward`, `forward_gradient`, `evolution` and `custom`",
        json!({ "net": { "hypergradient": { "method": "cgg" } } }),
    );
    check_err(
        "`net.optimizer.name`: unknown optimizer `adamm` (did you mean `adam`?); known are `sgd`, `adam`, `adamw`, `rmsprop` \
         and `adagrad`",
        json!({ "net": { "optimizer": { "name": "adamm" } } }),
    );
    check_err(
        "`net.project.name`: unknown projection `simplx` (did you mean `simplex`?); known are `at_least`, `clamp`, `simplex` \
         and `norm_ball`",
        json!({ "net": { "project": { "name": "simplx" } } }),
    );
    check_err(
        "`net.clip`: unknown clip `limit`; known are `norm` and `value`",
        json!({ "net": { "clip": { "limit": 1 } } }),
    );
    check_err(
        "`net.precision`: unknown precision `fp8`; known are `f32`, `bf16` and `f16`",
        json!({ "net": { "precision": "fp8" } }),
    );
}

#[test]
fn options_of_another_method() {
    check_err(
        "`net.hypergradient`: unknown option `iterations`; known are `scale`, `batch` and `method`",
        json!({ "net": { "hypergradient": { "method": "identity", "iterations": 5 } } }),
    );
}

#[test]
fn values_out_of_range() {
    let cases = [
        ("`net.unroll` is 0; it must be an integer greater than zero", json!({ "unroll": 0 })),
        ("`net.unroll` is -1; it must be an integer greater than zero", json!({ "unroll": -1 })),
        ("`net.warmup` is -1; it must be an integer that is not negative", json!({ "warmup": -1 })),
        ("`net.accumulate` is 1.5; it must be an integer greater than zero", json!({ "accumulate": 1.5 })),
        (
            "`net.hypergradient.iterations` is 0; it must be an integer greater than zero",
            json!({ "hypergradient": { "iterations": 0 } }),
        ),
        (
            "`net.hypergradient.damping` is -0.1; it must be a number that is not negative",
            json!({ "hypergradient": { "damping": -0.1 } }),
        ),
        (
            "`net.hypergradient.batch` is \"newest\"; it must be `last` or `fresh`",
            json!({ "hypergradient": { "batch": "newest" } }),
        ),
        (
            "`net.hypergradient.seed` is -1; it must be an integer that is not negative",
            json!({ "hypergradient": { "method": "nystrom", "seed": -1 } }),
        ),
        (
            "`net.optimizer.lr` is \"fast\"; it must be a number greater than zero",
            json!({ "optimizer": { "lr": "fast" } }),
        ),
        (
            "`net.optimizer.beta_1` is 1.0; it must be a number that is not negative and less than 1",
            json!({ "optimizer": { "beta_1": 1.0 } }),
        ),
        (
            "`net.optimizer.nesterov` is 1; it must be `true` or `false`",
            json!({ "optimizer": { "name": "sgd", "lr": 1, "nesterov": 1 } }),
        ),
        (
            "`net.project.radius` is 0; it must be a number greater than zero",
            json!({ "project": { "name": "norm_ball", "radius": 0 } }),
        ),
        ("`net.project.high` is 1; it must be greater than `low`", json!({ "project": { "name": "clamp", "low": 2 } })),
        ("`net.clip.norm` is 0; it must be a number greater than zero", json!({ "clip": { "norm": 0 } })),
    ];
    for (text, level) in cases {
        check_err(text, json!({ "net": level }));
    }
}

#[test]
fn values_of_the_wrong_shape() {
    check_err("`config` is []; it must be an object with the levels of the program", json!([]));
    check_err("`net` is 5; it must be an object with the numbers of the level", json!({ "net": 5 }));
    check_err(
        "`net.optimizer` is \"sgd\"; it must be an object with the `name` of an optimizer",
        json!({ "net": { "optimizer": "sgd" } }),
    );
    check_err(
        "`net.hypergradient` is \"cg\"; it must be an object with a `method`",
        json!({ "net": { "hypergradient": "cg" } }),
    );
    check_err(
        "`weights.hypergradient.method` is missing; it must be a string",
        json!({ "weights": { "hypergradient": { "iterations": 5 } } }),
    );
    check_err(
        "`net.clip` is {\"norm\":1,\"value\":1}; it must be `null`, or an object with one of `norm` and `value`",
        json!({ "net": { "clip": { "norm": 1, "value": 1 } } }),
    );
}

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
    check_invalid("`net.hypergradient` is missing; a hypergradient passes through `net`", |config| {
        config.net.hypergradient = None
    });
    check_invalid("`weights.hypergradient` is given, but no hypergradient passes through `weights`", |config| {
        config.weights.hypergradient = config.net.hypergradient.clone()
    });
}

#[test]
fn a_best_response_is_not_held_by_a_constraint() {
    let set = Some(ProjectionConfig::Simplex(SimplexConfig::default()));
    check_invalid(
        "`net.project` is given, but a hypergradient passes through `net`, and no implicit method differentiates a best \
         response that is held by a constraint; choose `unrolled`, or express the constraint in the loss or the module",
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
    check_invalid("`weights.unroll` is given, but no level is solved after `weights`, so it is never used", |config| {
        config.weights.unroll = 5;
    });
    check_invalid("`weights.start` is given, but no level is solved after `weights`, so it is never used", |config| {
        config.weights.start = Start::Initial;
    });
}

#[test]
fn numbers_that_were_set_in_code_are_checked_too() {
    check_invalid("`net.unroll` is 0; it must be an integer greater than zero", |config| config.net.unroll = 0);
    check_invalid("`net.clip.norm` is -1.0; it must be a number greater than zero", |config| {
        config.net.clip = Some(Clip::Norm(-1.0))
    });
    // JSON has no other word for a number that is none.
    check_invalid("`net.clip.value` is null; it must be a number greater than zero", |config| {
        config.net.clip = Some(Clip::Value(f64::NAN))
    });
}

#[test]
fn a_config_of_another_program() {
    const LEVELS: [LevelSpec; 1] = [level("weights", &[])];
    let schedule = Schedule { levels: &LEVELS, ..SCHEDULE };
    let error = Config::default().validate(&schedule).expect_err("the program has one level");
    assert_eq!(error.to_string(), "the config has 2 levels, but the program `P` has 1");
}

#[test]
fn files() {
    let directory = Directory::new("files");
    let file = directory.0.join("config.json");
    let mut config = Config::default();
    config.net.unroll = 7;
    config.save(&file).expect("the directory is there");
    assert_eq!(Config::from_file(&file).expect("the file was just written"), config);

    config.net.unroll = 8;
    config.save(&file).expect("a file is replaced");
    assert_eq!(Config::from_file(&file).expect("the file was just replaced"), config);
    let files = fs::read_dir(&directory.0).expect("the directory is there").count();
    assert_eq!(files, 1, "nothing but the config is left");
}

#[test]
fn errors_of_files_name_the_file() {
    let directory = Directory::new("errors");
    let missing = directory.0.join("missing.json");
    let error = Config::from_file(&missing).expect_err("there is no such file");
    assert!(matches!(error, ConfigError::Read { ref file, .. } if *file == missing), "{error}");

    let broken = directory.0.join("broken.json");
    fs::write(&broken, "{ \"net\": { \"unroll\": 0 } }").expect("the directory is there");
    let error = Config::from_file(&broken).expect_err("the file has a mistake");
    assert_eq!(
        error.to_string(),
        format!("in `{}`: `net.unroll` is 0; it must be an integer greater than zero", broken.display())
    );

    let error = Config::default()
        .save(directory.0.join("nowhere").join("config.json"))
        .expect_err("there is no such directory");
    assert!(matches!(error, ConfigError::Write { .. }), "{error}");
}

#[test]
fn methods_are_found_by_name() {
    for entry in METHODS.entries {
        let method: HypergradientConfig = entry.name.parse().expect("the table lists it");
        assert_eq!(method.name(), entry.name);
        assert_eq!(method.batch(), LowerBatch::Last);
    }
    let error = "neuman".parse::<HypergradientConfig>().expect_err("there is no such method");
    assert!(error.to_string().contains("did you mean `neumann`?"), "{error}");
}

/// The macro has a table of its own, which its tests hold against the same manual.
#[test]
fn ranges_and_defaults_are_those_of_the_manual() {
    const MANUAL: &str = include_str!("../../../betty-macros/docs/multilevel.md");
    for (noun, family) in [("method", &METHODS), ("optimizer", &OPTIMIZERS), ("projection", &PROJECTIONS)] {
        let heading = format!("| {noun} | option | must be | default | meaning |");
        let mut rows = MANUAL.lines().skip_while(|line| *line != heading).skip(2);
        for entry in family.entries {
            let defaults = match noun {
                "method" => serde_json::from_value::<HypergradientConfig>(json!({ "method": entry.name }))
                    .and_then(serde_json::to_value),
                "projection" => serde_json::from_value::<ProjectionConfig>(json!({ "name": entry.name }))
                    .and_then(serde_json::to_value),
                _ => serde_json::from_value::<OptimizerConfig>(json!({ "name": entry.name, "lr": 1 }))
                    .and_then(serde_json::to_value),
            };
            let defaults = defaults.expect("all but the learning rate has a default");
            for &(option, range, presence) in entry.options {
                let row = rows.next().expect("the manual has a row for each option");
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                assert_eq!(cells[1], format!("`{}`", entry.name));
                assert_eq!(cells[2], format!("`{option}`"));
                assert_eq!(cells[3], range.describe(), "{row}");
                if presence == Presence::Required {
                    assert_eq!(cells[4], "required", "{row}");
                } else {
                    let text = cells[4].trim_matches('`');
                    let default = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
                    assert_eq!(default, defaults[option], "{row}");
                }
            }
            let named = defaults.as_object().map_or(0, serde_json::Map::len);
            assert_eq!(named, entry.options.len() + 1, "every field of `{}` has a range", entry.name);
        }
        assert!(!rows.next().is_some_and(|row| row.starts_with("| `")), "the manual has no other {noun}s");
    }
}

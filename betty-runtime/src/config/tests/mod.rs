//! Configs from JSON and files, and the ranges held against the manual of the macro.

mod refused;
mod round_trip;
mod valid;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use betty_schema::{FAMILIES, METHODS};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::schedule::{LevelSpec, Schedule, Through};

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
            optimizer: Some(OptimizerConfig::Adam(AdamConfig {
                lr: 1e-3.into(),
                beta_1: 0.9.into(),
                beta_2: 0.999.into(),
                epsilon: 1e-5.into(),
                weight_decay: 0.0.into(),
            })),
            schedule: None,
            groups: BTreeMap::new(),
            solver: None,
            hypergradient: None,
            preconditioner: None,
            curvature: CurvatureOf::Total,
            solve: None,
            clip: None,
            project: None,
            accumulate: 1,
            start: Start::Kept,
            tasks: 1,
            rounds: 1,
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
        condition: None,
        after_step: None,
        upper: &[],
        lower: &[],
        start: None,
        hyperparameters: &[],
        sweep,
    }
}

const SCHEDULE: Schedule = Schedule {
    name: "P",
    levels: &[
        LevelSpec { lower: &[1], ..level("weights", &[Through { level: 1, into: &[0] }]) },
        LevelSpec { upper: &[0], ..level("net", &[]) },
    ],
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
    let Some(OptimizerConfig::Adam(adam)) = &mut expected.net.optimizer else { panic!("the default is adam") };
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
    let optimizer = config.net.optimizer.expect("it has one");
    assert_eq!(optimizer.name(), "sgd");
    assert_eq!(optimizer.lr().fixed(), Some(0.5));
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
    for entry in METHODS.rows {
        let method: HypergradientConfig = entry.name.parse().expect("the table lists it");
        assert_eq!(method.name(), entry.name);
        assert_eq!(method.batch(), LowerBatch::Last);
    }
    let error = "neuman".parse::<HypergradientConfig>().expect_err("there is no such method");
    assert!(error.to_string().contains("did you mean `neumann`?"), "{error}");
}

/// The config structs stand beside the tables: options and defaults have to be the same.
#[test]
fn options_and_defaults_are_those_of_the_tables() {
    for family in FAMILIES {
        for row in family.rows {
            let mut text = json!({ family.tag: row.name });
            for required in row.options.iter().filter(|option| option.default.is_none()) {
                text[required.name] = if required.range.is_float() { json!(1.0) } else { json!(1) };
            }
            let defaults = match family.nouns {
                "methods" => serde_json::from_value::<HypergradientConfig>(text).and_then(serde_json::to_value),
                "level solvers" => serde_json::from_value::<LevelSolverConfig>(text).and_then(serde_json::to_value),
                "preconditioners" => {
                    serde_json::from_value::<PreconditionerConfig>(text).and_then(serde_json::to_value)
                }
                "solvers" => serde_json::from_value::<SolverConfig>(text).and_then(serde_json::to_value),
                "schedules" => serde_json::from_value::<ScheduleConfig>(text).and_then(serde_json::to_value),
                "projections" => serde_json::from_value::<ProjectionConfig>(text).and_then(serde_json::to_value),
                _ => serde_json::from_value::<OptimizerConfig>(text).and_then(serde_json::to_value),
            };
            let defaults = defaults.expect("all but what is required has a default");
            for option in row.options {
                let Some(text) = option.default else { continue };
                let default = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
                assert_eq!(defaults[option.name], default, "`{}` of `{}`", option.name, row.name);
            }
            let fields = defaults.as_object().map_or(0, serde_json::Map::len);
            assert_eq!(fields, row.options.len() + 1, "every field of `{}` has a row", row.name);
        }
    }
}

/// JSON has no word for them, and `null` would be read as something else.
#[test]
fn numbers_that_are_not_finite_are_not_written() {
    let directory = Directory::new("finite");
    let file = directory.0.join("config.json");
    let whole = Config::default();
    whole.save(&file).expect("the directory is there");
    let mut infinite = whole.clone();
    infinite.net.clip = Some(Clip::Norm(f64::INFINITY));
    let mut none = whole.clone();
    none.weights.optimizer = Some(OptimizerConfig::Sgd(SgdConfig {
        lr: f64::NAN.into(),
        momentum: 0.0.into(),
        dampening: 0.0.into(),
        nesterov: false,
        weight_decay: 0.0.into(),
    }));
    for (config, expected) in [
        (&infinite, "`net.clip.norm` is infinity; it must be a number greater than zero"),
        (&none, "`weights.optimizer.lr` is NaN; it must be a number greater than zero"),
    ] {
        let levels_to_json = program::levels_to_json(&["weights", "net"], &config.levels(), &whole.levels());
        for error in [config.save(&file).err(), config.to_json().err(), levels_to_json.err()] {
            assert_eq!(error.expect("it has no word").to_string(), expected);
        }
        assert_eq!(Config::from_file(&file).expect("nothing was written"), whole);
    }
}

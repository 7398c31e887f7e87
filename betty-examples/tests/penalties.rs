//! The program that learns penalties, as its users meet it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn penalties(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_penalties")).args(arguments).output().expect("the program starts")
}

fn refused(arguments: &[&str]) -> String {
    let output = penalties(arguments);
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A small run into `folder`.
fn short_run(folder: &Path, arguments: &[&str]) -> String {
    let out = folder.to_string_lossy().into_owned();
    let short = ["--train", "60", "--validation", "100", "--steps", "12", "--fit-steps", "100"];
    let output = penalties(&[&short[..], &["--out", &out], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn impossible_numbers_are_refused() {
    for option in ["train", "validation", "hidden", "steps", "fit-steps", "seeds"] {
        let expected = format!("error: `--{option}` must be at least 1\n");
        assert_eq!(refused(&[&format!("--{option}"), "0"]), expected);
    }
    let expected = "error: `--train` and `--validation` ask for 1797 of 1797 examples, and leave none for the test\n";
    assert_eq!(refused(&["--train", "797", "--validation", "1000"]), expected);
    assert!(refused(&["--seed", "18446744073709551615"]).contains("choose a smaller `--seed`"));
}

#[test]
fn a_printed_config_can_be_read_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.json");
    let printed = penalties(&["--print-config"]).stdout;
    fs::write(&file, &printed).expect("writable");
    assert_eq!(penalties(&["--config", &file.to_string_lossy(), "--print-config"]).stdout, printed);
}

#[test]
fn learned_penalties_beat_the_best_of_the_grid_on_validation_data() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = short_run(folder.path(), &["--distractors", "8"]);
    for part in ["60 training and 100 validation examples, 8 inputs", "best common", "one for each parameter"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let read =
        |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let report: serde_json::Value = serde_json::from_str(&read("report.json")).expect("JSON");
    let outcome = &report["outcomes"][0];
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let common = number(&outcome["common"]["scores"]["validation_loss"]);
    let grid = outcome["grid"].as_array().expect("a grid");
    assert_eq!(grid.len(), 11);
    assert!(grid.iter().all(|tried| number(&tried["scores"]["validation_loss"]) >= common));
    assert!(number(&outcome["learned"]["validation_loss"]) < common, "{text}");
    assert_eq!(outcome["log10_penalties"][0].as_array().map(Vec::len), Some(64 * 10));
    assert_eq!(outcome["log10_penalties"][1].as_array().map(Vec::len), Some(8 * 10));
    assert!(read("losses.svg").contains("validation") && read("penalties.svg").contains("without meaning"));
    assert!(read("levels.txt").contains("penalties") && read("config.json").contains("clamp"));
}

#[test]
fn a_perceptron_over_several_seeds_is_repeatable() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let arguments = ["--hidden", "4", "--seeds", "2", "--distractors", "0"];
    let text = short_run(first.path(), &arguments);
    assert!(text.contains("over 2 seeds") && text.contains('±') && !text.contains("and of inputs"), "{text}");
    short_run(second.path(), &arguments);
    let read = |folder: &Path| fs::read_to_string(folder.join("report.json")).expect("a report");
    assert_eq!(read(first.path()), read(second.path()));
}

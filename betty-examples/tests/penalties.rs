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

/// A table in which `shape` and `size` tell the class, and a hundred columns say nothing.
fn table(folder: &Path) -> String {
    let mut text: String = "size,shape,kind".into();
    (0..40).for_each(|column| text += &format!(",noise {column}"));
    text.push('\n');
    let mut state = 7_u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    for row in 0..150 {
        let (size, round) = (draw(), draw() < 0.5);
        let large = size + if round { 0.3 } else { -0.3 } > 0.5;
        let shape = if row % 31 == 0 {
            "?"
        } else if round {
            "round"
        } else {
            "flat"
        };
        text += &format!("{size},{shape},{}", if large { "a <large>" } else { "small" });
        (0..40).for_each(|_| text += &format!(",{}", draw()));
        text.push('\n');
    }
    let file = folder.join("table.csv");
    fs::write(&file, text).expect("writable");
    file.to_string_lossy().into_owned()
}

#[test]
fn a_pilot_compares_what_is_learned_with_the_plain_workflow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = table(folder.path());
    let pilot = |arguments: &[&str]| {
        let out = folder.path().join("out").to_string_lossy().into_owned();
        let all = [&["--data", &data, "--out", &out][..], arguments].concat();
        Command::new(env!("CARGO_BIN_EXE_pilot")).args(all).output().expect("the program starts")
    };
    let missing = pilot(&["--target", "weight"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("has no column `weight`; its columns are `size`"));
    let short =
        ["--target", "kind", "--steps", "8", "--fit-steps", "120", "--log", "report,csv", "--on-unhealthy", "stop"];
    let output = pilot(&short);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["67 training, 33 validation and 50 test rows, 44 inputs", "one learned penalty", "one learned weight"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).expect("there");
    let found: serde_json::Value = serde_json::from_str(&read("pilot.json")).expect("JSON");
    for way in found["ways"].as_array().expect("ways") {
        assert!(way["accuracy"].as_f64().expect("a number") > 0.6, "{way}");
        assert!(way["memory"].as_f64().expect("a number") > 0.0, "{way}");
    }
    let page = read("pilot.html");
    for part in ["penalties.report.html", "plain workflow", "Inputs that are suppressed most"] {
        assert!(page.contains(part), "no `{part}`");
    }
    for name in ["penalties.report.html", "weights.report.html", "penalties.numbers.csv", "weights.numbers.csv"] {
        assert!(read(name).len() > 1000, "{name}");
    }
}

#[test]
fn a_run_that_was_not_healthy_is_not_gone_on_with() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("slow.json");
    let method = r#"{ "method": "neumann", "terms": 1, "step_size": 1e-9 }"#;
    fs::write(&config, format!(r#"{{ "classifier": {{ "unroll": 1, "hypergradient": {method} }} }}"#))
        .expect("writable");
    let (out, config) = (folder.path().join("out"), config.to_string_lossy().into_owned());
    let run = |arguments: &[&str]| {
        let out = out.to_string_lossy().into_owned();
        let small = ["--train", "60", "--validation", "60", "--distractors", "0", "--fit-steps", "5", "--steps", "30"];
        let output = penalties(&[&small[..], &["--config", &config, "--out", &out], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, message) = run(&["--on-unhealthy", "stop"]);
    assert!(code == Some(1) && message.contains("not healthy"), "{message}");
    let (code, message) = run(&["--on-unhealthy", "stop", "--resume"]);
    assert!(code == Some(2) && message.contains("solves in a row"), "{message}");
    let (code, message) = run(&["--on-unhealthy", "warn", "--resume"]);
    assert_eq!(code, Some(0), "{message}");
}

//! The program that computes influence functions, as its users meet it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn influence(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_influence")).args(arguments).output().expect("the program starts")
}

fn refused(arguments: &[&str]) -> String {
    let output = influence(arguments);
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A small run into `folder`.
fn short_run(folder: &Path, arguments: &[&str]) -> String {
    let out = folder.to_string_lossy().into_owned();
    let short = ["--train", "150", "--test", "200", "--retrain", "12"];
    let output = influence(&[&short[..], &["--out", &out], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn impossible_numbers_are_refused() {
    for option in ["train", "test", "hidden"] {
        let expected = format!("error: `--{option}` must be at least 1\n");
        assert_eq!(refused(&[&format!("--{option}"), "0"]), expected);
    }
    assert_eq!(refused(&["--retrain", "1"]), "error: `--retrain` must be at least 2\n");
    let expected = "error: `--retrain` leaves out 11 examples by turns, but `--train` is 10\n";
    assert_eq!(refused(&["--train", "10", "--retrain", "11"]), expected);
    let expected = "error: `--train` and `--test` ask for 1800 of 1797 examples\n";
    assert_eq!(refused(&["--train", "800", "--test", "1000"]), expected);
    let expected = "error: `--penalty` is 0; it must be a number that is greater than zero\n";
    assert_eq!(refused(&["--penalty", "0"]), expected);
    let expected = "error: `--damping` is NaN; it must be a number that is not negative\n";
    assert_eq!(refused(&["--damping", "nan"]), expected);
    assert!(refused(&["--noise", "1.5"]).starts_with("error: `--noise`: "));
}

#[test]
fn influence_ranks_examples_as_training_without_them_does() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let text = short_run(first.path(), &[]);
    for part in ["150 training examples, 15 of them with a wrong label; 200 for the test", "of 650 parameters", "trace"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let read = |folder: &Path, name: &str| {
        fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let report: serde_json::Value = serde_json::from_str(&read(first.path(), "report.json")).expect("JSON");
    let number = |key: &str| report[key].as_f64().expect("a number");
    assert!(number("rank_correlation") > 0.95 && number("correlation") > 0.95, "{text}");
    assert!(number("auc_of_wrong_labels") > 0.85, "{text}");
    assert_eq!(report["influence"].as_array().map(Vec::len), Some(150));
    // The penalty is the smallest eigenvalue: softmax does not see a number that is added to all classes.
    let smallest = report["smallest"]["value"].as_f64().expect("a number");
    assert!((smallest - 0.01).abs() <= report["smallest"]["error"].as_f64().expect("a number") + 1e-9, "{text}");
    let shares = report["density"].as_array().expect("points").iter().filter_map(|point| point[1].as_f64());
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(read(first.path(), "left_out.csv").lines().count(), 13);
    assert!(read(first.path(), "influence.svg").contains("predicted by influence"));
    assert!(read(first.path(), "spectrum.svg").contains("650 eigenvalues"));
    // The same seed, the same numbers.
    short_run(second.path(), &["--quiet"]);
    assert_eq!(read(first.path(), "report.json"), read(second.path(), "report.json"));
}

#[test]
fn a_perceptron_is_trained_to_a_minimum() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["--hidden", "3", "--train", "60", "--retrain", "4", "--penalty", "0.05", "--damping", "0.001"];
    let out = folder.path().to_string_lossy().into_owned();
    let output = influence(&[&arguments[..], &["--test", "100", "--out", &out]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("a perceptron of 235 parameters"), "{text}");
    let report = fs::read_to_string(folder.path().join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert!(report["smallest"]["value"].as_f64().is_some_and(|value| value > 0.0), "{text}");
}

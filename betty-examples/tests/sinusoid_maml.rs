//! The sinusoid program, as its users meet it.

use std::fs;
use std::process::{Command, Output};

fn sinusoid_maml(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sinusoid_maml")).args(arguments).output().expect("the program starts")
}

#[test]
fn impossible_numbers_are_refused() {
    for option in ["shots", "iterations", "inner-steps", "test-tasks"] {
        let output = sinusoid_maml(&[&format!("--{option}"), "0"]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: `--{option}` must be at least 1\n"));
    }
}

#[test]
fn what_the_test_would_not_adapt_by_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.json");
    for (json, level, field) in [
        (r#"{"adapted": {"optimizer": {"name": "adam", "lr": 0.01}}}"#, "adapted", "optimizer"),
        (r#"{"adapted": {"optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9}}}"#, "adapted", "optimizer"),
        (r#"{"adapted": {"clip": {"norm": 1.0}}}"#, "adapted", "clip"),
        (r#"{"meta": {"optimizer": {"name": "sgd", "lr": 0.01}}}"#, "meta", "optimizer"),
        (r#"{"meta": {"accumulate": 2}}"#, "meta", "accumulate"),
    ] {
        fs::write(&file, json).expect("writable");
        let output = sinusoid_maml(&["--config", &file.to_string_lossy(), "--iterations", "1"]);
        let expected = format!(
            "error: `--config` gives `{level}` another `{field}`, which what it is compared with would not have; leave it away\n"
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(2));
    }
    fs::write(&file, r#"{"adapted": {"optimizer": {"name": "sgd", "lr": 0.02}, "unroll": 2}}"#).expect("writable");
    assert!(sinusoid_maml(&["--config", &file.to_string_lossy(), "--print-config"]).status.success());
}

#[test]
fn a_printed_config_can_be_read_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.json");
    let printed = sinusoid_maml(&["--inner-steps", "3", "--print-config"]).stdout;
    assert!(String::from_utf8_lossy(&printed).contains("\"unroll\": 3"));
    fs::write(&file, &printed).expect("writable");
    assert_eq!(sinusoid_maml(&["--config", &file.to_string_lossy(), "--print-config"]).stdout, printed);
}

#[test]
fn a_run_writes_everything_and_is_repeatable() {
    let run = || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().to_string_lossy().into_owned();
        let output = sinusoid_maml(&[
            "--iterations",
            "3",
            "--test-tasks",
            "5",
            "--inner-steps",
            "2",
            "--seed",
            "1",
            "--out",
            &out,
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (folder, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (first, text) = run();
    for part in ["5 points a task, 3 iterations", "on 5 new tasks", "MAML", "pretrained", "10 steps"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let read =
        |name: &str| fs::read_to_string(first.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (name, lines) in [("errors.csv", 1 + 2 * 11), ("tasks.csv", 1 + 2 * 5 * 11), ("training.csv", 1 + 2 * 3)] {
        assert_eq!(read(name).lines().count(), lines, "{name}");
    }
    for (name, part) in
        [("task_3.svg", "seen"), ("training.svg", "pretrained"), ("errors.svg", "MAML"), ("levels.txt", "adapted")]
    {
        assert!(read(name).contains(part), "no `{part}` in {name}");
    }
    let (second, _) = run();
    for name in ["tasks.csv", "training.csv"] {
        assert_eq!(read(name), fs::read_to_string(second.path().join(name)).expect("there"), "{name}");
    }
}

#[test]
fn implicit_methods_pull_the_adapted_network_back() {
    let config = |arguments: &[&str]| {
        let printed = sinusoid_maml(&[arguments, &["--print-config"]].concat()).stdout;
        String::from_utf8_lossy(&printed).into_owned()
    };
    let printed = config(&["--method", "identity", "--proximity", "4"]);
    assert!(printed.contains("\"scale\": 0.25") && printed.contains("\"unroll\": 16"), "{printed}");
    assert!(config(&["--method", "unrolled"]).contains("\"unroll\": 1"));
    for proximity in ["0", "-1", "NaN", "inf"] {
        let output = sinusoid_maml(&["--method", "minres", &format!("--proximity={proximity}")]);
        assert_eq!(output.status.code(), Some(2));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.starts_with(&format!("error: `--proximity` is {proximity}; it must be")), "{message}");
    }
    for method in ["minres", "cg", "identity", "unrolled"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().to_string_lossy().into_owned();
        // Positive definite whatever the network does.
        let short = ["--iterations", "2", "--inner-steps", "2", "--test-tasks", "3", "--proximity", "100"];
        let output = sinusoid_maml(&[&short[..], &["--method", method, "--out", &out]].concat());
        assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

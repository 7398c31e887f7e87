//! Small examples, in a reduced form, as their users meet them. Those that take minutes where the library is not optimised are
//! run by `tools/gallery`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What an example prints whose runs are looked after: a rule of `Health` that speaks ends it. All runs of its table are, baselines too.
fn run_healthily(program: &str, folder: &Path, arguments: &[&str]) -> String {
    run(program, folder, &[arguments, &["--on-unhealthy", "stop"]].concat())
}

/// What an example prints that writes into `folder`.
fn run(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let out = folder.to_string_lossy().into_owned();
    let output = Command::new(program).args(["--out", &out]).args(arguments).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A number of a table: of this row, in this column.
fn number(folder: &Path, file: &str, row: &[(&str, &str)], column: &str) -> f64 {
    let mut table = csv::Reader::from_path(folder.join(file)).expect("a table");
    let rows = table.deserialize::<std::collections::BTreeMap<String, String>>().map(|row| row.expect("a row"));
    let found =
        rows.into_iter().find(|found| row.iter().all(|(name, value)| found[*name] == *value)).expect("that row");
    found[column].parse().expect("a number")
}

#[test]
fn exact_methods_find_the_hypergradient_of_a_quadratic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run(env!("CARGO_BIN_EXE_quadratic"), folder.path(), &[]);
    let error =
        |method, steps| number(folder.path(), "errors.csv", &[("method", method), ("steps", steps)], "relative_error");
    // (1 − 0.02)^1000 is 2e-9, by which the lower level is away from its best response; 20 iterations for 20 eigenvalues leave
    // what rounding makes of them.
    for (method, most) in [
        ("dense", 1e-8),
        ("unrolled", 1e-8),
        ("forward", 1e-8),
        ("cg(iterations = 20)", 1e-4),
        ("minres(iterations = 20)", 1e-4),
    ] {
        assert!(error(method, "1000") < most && error(method, "50") > 1e-2, "{text}");
    }
    assert!((error("unrolled", "200") - error("forward", "200")).abs() < 1e-9, "{text}");
    assert!(error("finite_difference", "1000") > 0.1, "{text}");
    assert!(fs::read_to_string(folder.path().join("errors.svg")).expect("a plot").contains("unrolled"));
}

#[test]
fn a_program_by_hand_is_the_declared_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run(env!("CARGO_BIN_EXE_by_hand"), folder.path(), &[]);
    assert_eq!((text.matches("the same").count(), text.matches("different").count()), (3, 0), "{text}");
    assert!(fs::read_to_string(folder.path().join("penalties.svg")).expect("a plot").contains("not needed"));
}

#[test]
fn ten_distilled_images_teach_more_than_ten_real_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run_healthily(env!("CARGO_BIN_EXE_distillation"), folder.path(), &["--steps", "60"]);
    let accuracy = |column| number(folder.path(), "accuracies.csv", &[("seed", "0")], column);
    assert!(accuracy("distilled") > accuracy("real_images") + 0.1, "{text}");
    assert!(accuracy("class_means") < accuracy("all_examples"), "{text}");
    assert!(accuracy("all_examples") > 0.85, "{text}");
    let images = fs::read_to_string(folder.path().join("images.svg")).expect("a drawing");
    assert_eq!(images.matches("<rect").count(), 640);
}

/// What is asked for the page changes nothing.
#[test]
fn a_page_shows_what_steps_take_of_the_memory() {
    let [plain, watched] = [&[][..], &["--log", "report"]].map(|more| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        run_healthily(env!("CARGO_BIN_EXE_distillation"), folder.path(), &[&["--steps", "2"], more].concat());
        folder
    });
    let read = |folder: &tempfile::TempDir, name: &str| fs::read_to_string(folder.path().join(name)).expect("there");
    let pages = fs::read_dir(watched.path()).expect("a folder").map(|entry| entry.expect("one").file_name());
    let pages: Vec<String> = pages.filter_map(|name| name.into_string().ok()).collect();
    let pages: Vec<&String> = pages.iter().filter(|name| name.ends_with(".report.html")).collect();
    assert!(!pages.is_empty() && pages.iter().all(|name| read(&watched, name).contains("Memory by step")), "{pages:?}");
    assert_eq!(read(&plain, "accuracies.csv"), read(&watched, "accuracies.csv"));
}

#[test]
fn rates_of_steps_are_learned_through_all_of_them() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let loss = |folder: &Path, column| number(folder, "losses.csv", &[("seed", "0")], column);
    let [first, later] = [(&folders[0], "1"), (&folders[1], "8")].map(|(folder, steps)| {
        run_healthily(env!("CARGO_BIN_EXE_schedule"), folder.path(), &["--steps", steps]);
        loss(folder.path(), "learned")
    });
    assert!(later < first - 0.05, "{first}, {later}");
    // A baseline is good only if it is the best of its grid: the smallest and the largest constant rates are far worse.
    assert!(loss(folders[0].path(), "best_constant") < 0.4);
    let plot = fs::read_to_string(folders[1].path().join("rates.svg")).expect("a plot");
    assert!(plot.contains("best cosine"));
}

#[test]
fn five_steps_are_enough_where_they_were_trained_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run_healthily(env!("CARGO_BIN_EXE_few_shot"), folder.path(), &["--steps", "20", "--test-tasks", "40"]);
    let accuracy = |column| number(folder.path(), "accuracies.csv", &[("seed", "0")], column);
    assert!(accuracy("maml") > accuracy("scratch") + 0.02, "{text}");
    assert!(accuracy("nearest") > 0.75, "{text}");
    assert!(fs::read_to_string(folder.path().join("steps.svg")).expect("a plot").contains("MAML"));
}

#[test]
fn networks_are_judged_although_training_begins_to_move_them_later() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.json");
    fs::write(&config, r#"{"meta": {"warmup": 10}}"#).expect("writable");
    let options = ["--steps", "1", "--test-tasks", "5", "--config", &config.to_string_lossy()];
    let text = run_healthily(env!("CARGO_BIN_EXE_few_shot"), folder.path(), &options);
    assert!(!text.contains("NaN") && text.contains("MAML"), "{text}");
}

#[test]
#[ignore = "takes minutes where the library is not optimised: tools/gallery runs it in release"]
fn weights_two_levels_up_find_the_good_sources() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run_healthily(env!("CARGO_BIN_EXE_three_levels"), folder.path(), &["--steps", "6"]);
    let accuracy = |column| number(folder.path(), "accuracies.csv", &[("seed", "0")], column);
    assert!(accuracy("learned") > accuracy("all") + 0.05, "{text}");
    assert!(accuracy("oracle") > accuracy("none") + 0.1, "{text}");
    assert!(fs::read_to_string(folder.path().join("weights.svg")).expect("a plot").contains("like the target"));
}

#[test]
fn a_searched_cell_is_trained_anew_beside_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run_healthily(env!("CARGO_BIN_EXE_darts"), folder.path(), &["--steps", "20", "--fit-steps", "25"]);
    let accuracy = |column| number(folder.path(), "accuracies.csv", &[("seed", "0")], column);
    // Chance is 0.1. The best of three is more than their mean, unless all are the same.
    assert!(accuracy("found") > 0.3 && accuracy("convolutions") > 0.3, "{text}");
    assert!(accuracy("random_best") > accuracy("random"), "{text}");
    let cell = fs::read_to_string(folder.path().join("cell.svg")).expect("a drawing");
    // Every node has two edges but the first, which has one.
    assert_eq!(cell.matches("#d55e00").count(), 5);
}

#[test]
fn examples_that_can_be_trusted_are_worth_more_than_their_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run_healthily(env!("CARGO_BIN_EXE_long_tail"), folder.path(), &["--steps", "8", "--batch", "40"]);
    let accuracy = |column| number(folder.path(), "imbalance-50.csv", &[("seed", "0")], column);
    // Chance is 0.1, and two of the ten classes have a sixth of all examples.
    assert!(accuracy("learned") > 0.2 && accuracy("learned_both") > accuracy("learned") + 0.05, "{text}");
    assert!(accuracy("none_both") > accuracy("none") + 0.05, "{text}");
    assert!(fs::read_to_string(folder.path().join("weights-50.svg")).expect("a plot").contains("learned weight"));
}

#[test]
fn meanings_of_labels_are_learned_beside_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run_healthily(env!("CARGO_BIN_EXE_two_uppers"), folder.path(), &["--steps", "40"]);
    let accuracy = |column| number(folder.path(), "accuracies.csv", &[("seed", "0")], column);
    // Most labels name another class.
    assert!(accuracy("neither") < 0.5 && accuracy("oracle") > 0.8, "{text}");
    assert!(
        accuracy("meanings") > accuracy("neither") + 0.05 && accuracy("both") > accuracy("neither") + 0.05,
        "{text}"
    );
}

#[test]
fn a_text_classifier_learns_from_a_lexicon() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run_healthily(env!("CARGO_BIN_EXE_weak_labels"), folder.path(), &["--steps", "3", "--batch", "8"]);
    let accuracy = |column| number(folder.path(), "accuracies.csv", &[("seed", "0")], column);
    // What the lexicon says does not depend on how long a network is trained.
    assert!((0.6..0.7).contains(&accuracy("lexicon")), "{text}");
    // After three steps a network says the same of nearly all sentences, half of which are good.
    let ways = ["both", "corrected", "weighed", "weak", "clean_too", "clean_only", "oracle"];
    assert!(ways.iter().all(|way| (0.4..0.6).contains(&accuracy(way))), "{text}");
    assert!(fs::read_to_string(folder.path().join("meanings.svg")).expect("a drawing").contains("very good"));
}

/// What is written after an interruption is what is written without.
fn assert_goes_on(program: &str, option: &str, small: &[&str], files: &[&str]) {
    let [whole, interrupted] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let go = |folder: &Path, more: &[&str]| run_healthily(program, folder, &[small, more].concat());
    go(whole.path(), &[option, "8"]);
    go(interrupted.path(), &[option, "3", "--save-every", "2"]);
    go(interrupted.path(), &[option, "8", "--resume"]);
    for name in files {
        let [one, other] = [&whole, &interrupted].map(|folder| fs::read(folder.path().join(name)).expect("there"));
        assert!(one == other, "{program}: {name} differs");
    }
    let out = interrupted.path().to_string_lossy().into_owned();
    let fewer = [small, &["--out", &out, option, "5", "--resume"]].concat();
    let output = Command::new(program).args(fewer).output().expect("the program starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let says = format!("has taken 8 steps, and `{option} 5` asks for fewer");
    assert!(output.status.code() == Some(2) && message.contains(&says), "{message}");
}

#[test]
fn runs_that_were_interrupted_end_like_those_that_were_not() {
    let files = ["accuracies.csv", "accuracies.svg", "images.svg", "config.json"];
    assert_goes_on(env!("CARGO_BIN_EXE_distillation"), "--steps", &[], &files);
    let small = ["--train", "60", "--validation", "60", "--distractors", "0", "--fit-steps", "5", "--quiet"];
    assert_goes_on(env!("CARGO_BIN_EXE_penalties"), "--steps", &small, &["report.json"]);
    let small = ["--test-tasks", "3", "--quiet"];
    let files = ["errors.csv", "training.csv"];
    assert_goes_on(env!("CARGO_BIN_EXE_sinusoid_maml"), "--iterations", &small, &files);
}

//! The hyper-cleaning program, as its users meet it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn hyper_cleaning(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_hyper_cleaning");
    Command::new(program).args(arguments).output().expect("the program starts")
}

/// A run of a few steps into a fresh folder.
fn short_run(arguments: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().to_string_lossy().into_owned();
    let short = ["--steps", "2", "--hidden", "4", "--clean", "100", "--out", &out];
    let output = hyper_cleaning(&[&short, arguments].concat());
    (folder, output)
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What is asked for the page changes nothing.
#[test]
fn a_page_shows_what_steps_take_of_the_memory() {
    let [plain, watched] = [&[][..], &["--log", "report", "--on-unhealthy", "stop"]].map(|more| {
        let (folder, output) = short_run(more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    assert!(read(watched.path(), "seed-0.report.html").contains("Memory by step"));
    let numbers = |folder: &TempDir| read(folder.path(), "weights.csv");
    assert_eq!(numbers(&plain), numbers(&watched));
}

/// The one line on standard error of a run that ends with `code`.
fn refused(arguments: &[&str], code: i32) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out").to_string_lossy().into_owned();
    let output = hyper_cleaning(&[&["--out", &out], arguments].concat());
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    message.trim_end().strip_prefix("error: ").unwrap_or_else(|| panic!("{message}")).into()
}

#[test]
fn impossible_numbers_are_refused() {
    assert_eq!(
        refused(&["--noise", "1.5"], 2),
        "`--noise`: the share of corrupted labels must be in 0..=1, but is 1.5"
    );
    assert!(refused(&["--noise", "-0.1"], 2).ends_with("but is -0.1"));
    assert!(refused(&["--noise", "NaN"], 2).ends_with("but is NaN"));
    for option in ["steps", "batch", "seeds", "clean", "hidden", "restart"] {
        assert_eq!(refused(&[&format!("--{option}"), "0"], 2), format!("`--{option}` must be at least 1"));
    }
    assert_eq!(
        refused(&["--clean", "1198"], 2),
        "`--clean`: a clean set of 1198 examples is impossible: it takes at least 1 and leaves at least 1 of 1198"
    );
    assert!(refused(&["--seed", "18446744073709551615"], 2).contains("choose a smaller `--seed`"));
}

#[test]
fn a_number_that_single_precision_does_not_hold_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.json");
    fs::write(&config, r#"{ "weighting": { "optimizer": { "epsilon": 1e-46 } } }"#).expect("a config");
    let text = refused(&["--config", &config.to_string_lossy()], 2);
    assert!(text.starts_with("`weighting.optimizer.epsilon` is 1e-46, which is 0 in f32"), "{text}");
}

#[test]
fn an_interrupted_run_ends_like_one_that_was_not() {
    let run = |folder: &TempDir, arguments: &[&str]| {
        let out = folder.path().to_string_lossy().into_owned();
        let output = hyper_cleaning(&[&["--hidden", "4", "--clean", "100", "--out", &out], arguments].concat());
        assert!(output.status.success(), "{output:?}");
    };
    let [whole, interrupted] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    run(&whole, &["--steps", "4"]);
    run(&interrupted, &["--steps", "2", "--save-every", "1"]);
    // The second time there is nothing left to do.
    for _ in 0..2 {
        run(&interrupted, &["--steps", "4", "--save-every", "1", "--resume"]);
        assert_equal(&interrupted, &whole);
    }
}

/// Every file of the first run is the same in the other one.
fn assert_equal(run: &TempDir, whole: &TempDir) {
    for entry in fs::read_dir(whole.path()).expect("there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(read(run.path(), &name) == read(whole.path(), &name), "{name} differs");
    }
}

#[test]
fn a_run_is_gone_on_with_under_the_same_options() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().to_string_lossy().into_owned();
    let run = |arguments: &[&str]| {
        let small = ["--hidden", "4", "--clean", "100", "--steps", "3", "--quiet", "--out", &out];
        // What is given twice counts the last time.
        let name_of = |argument: &str| arguments.contains(&argument);
        let kept = small.chunks(2).filter(|pair| !name_of(pair[0])).flatten().copied();
        hyper_cleaning(&kept.chain(arguments.iter().copied()).collect::<Vec<_>>())
    };
    assert!(run(&["--save-every", "2"]).status.success());
    let tables = || ["losses.csv", "accuracies.csv", "weights.csv"].map(|name| read(folder.path(), name));
    let before = tables();
    let config = folder.path().join("other.json");
    fs::write(&config, r#"{"classifier": {"unroll": 5}}"#).expect("writable");
    let config = config.to_string_lossy().into_owned();
    for (arguments, says) in [
        (&["--noise", "0.3"][..], "`--noise` 0.4, and this one has 0.3"),
        (&["--wrong", "next"], "`--wrong` any, and this one has next"),
        (&["--clean", "50"], "`--clean` 100, and this one has 50"),
        (&["--hidden", "5"], "`--hidden` 4, and this one has 5"),
        (&["--batch", "10"], "`--batch` 1024, and this one has 10"),
        (&["--weighting", "network"], "`--weighting` table, and this one has network"),
        (&["--restart", "10"], "\"cg\", and this one has \"unrolled\""),
        (&["--method", "identity"], "`config.classifier.hypergradient.method` \"cg\", and this one has \"identity\""),
        (&["--config", &config], "`config.classifier.unroll` 10, and this one has 5"),
        (&["--steps", "2"], "has taken 3 steps, and `--steps 2` asks for fewer; ask for at least 3"),
    ] {
        let output = run(&[arguments, &["--resume"]].concat());
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.starts_with("error: `--resume`: the run saved in `") && message.contains(says), "{message}");
        assert!(message.contains("without `--resume` or with another `--out`"), "{message}");
        assert_eq!(tables(), before, "{arguments:?}");
    }
    assert!(run(&["--resume"]).status.success());
    assert_eq!(tables(), before);
    // A run of an earlier release was saved without its options and curves.
    for name in ["seed-0.options.json", "seed-0.curves.csv"] {
        fs::remove_file(folder.path().join(name)).expect("there");
    }
    assert!(run(&["--resume", "--steps", "4"]).status.success());
    assert!(tables()[0].contains("\n0,weighting,4,") && !tables()[0].contains("\n0,weighting,3,"));
}

#[test]
fn a_run_that_was_not_healthy_is_not_gone_on_with() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("slow.json");
    let method = r#"{ "method": "neumann", "terms": 1, "step_size": 1e-6 }"#;
    fs::write(&config, format!(r#"{{ "classifier": {{ "unroll": 1, "hypergradient": {method} }} }}"#))
        .expect("writable");
    let (out, config) = (folder.path().join("out"), config.to_string_lossy().into_owned());
    let run = |arguments: &[&str]| {
        let out = out.to_string_lossy().into_owned();
        let small = ["--hidden", "4", "--clean", "100", "--save-every", "5", "--config", &config, "--out", &out];
        let output = hyper_cleaning(&[&small, arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, message) = run(&["--steps", "30", "--on-unhealthy", "stop"]);
    assert!(code == Some(1) && message.contains("not healthy"), "{message}");
    let taken = fs::read(out.join("seed-0.safetensors")).expect("saved when it was ended");
    for then in [&[][..], &["--on-unhealthy", "stop"]] {
        let (code, message) = run(&[&["--steps", "30", "--resume"], then].concat());
        assert!(code == Some(2) && message.starts_with("error: `--resume`: the run saved in"), "{message}");
        assert!(message.contains("solves in a row") && message.contains("`--on-unhealthy warn`"), "{message}");
        assert!(!out.join("weights.csv").exists());
    }
    assert!(fs::read(out.join("seed-0.safetensors")).expect("there") == taken);
    let (code, message) = run(&["--steps", "30", "--resume", "--on-unhealthy", "warn"]);
    assert_eq!(code, Some(0), "{message}");
    // A new run begins in its place.
    assert_eq!(run(&["--steps", "2"]).0, Some(0));
    let (code, message) = run(&["--steps", "3", "--resume"]);
    assert_eq!(code, Some(0), "{message}");
}

#[test]
fn two_runs_do_not_write_into_one_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().to_string_lossy().into_owned();
    let _first = betty_examples::output::OutputFolder::open(folder.path()).expect("free");
    let output = hyper_cleaning(&["--out", &out]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    let holder = format!("process {}", std::process::id());
    assert!(
        message.contains(&holder) && message.contains(&out) && message.contains("choose another folder"),
        "{message}"
    );
}

#[test]
fn nothing_to_resume_is_said() {
    let message = refused(&["--resume"], 2);
    assert!(message.contains("seed-0.safetensors") && message.contains("`--save-every`"), "{message}");
}

#[test]
fn a_broken_checkpoint_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("seed-0.safetensors"), "nothing of the kind").expect("writable");
    let output = hyper_cleaning(&["--resume", "--out", &folder.path().to_string_lossy()]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("seed-0.safetensors") && message.contains("no checkpoint of betty"), "{message}");
}

#[test]
fn a_build_without_a_device_says_how_to_get_it() {
    let built = [("cuda", cfg!(feature = "cuda")), ("wgpu", cfg!(feature = "wgpu")), ("rocm", cfg!(feature = "rocm"))];
    for (name, _) in built.into_iter().filter(|of| !of.1) {
        let said = refused(&["--device", &format!("{name}:1")], 2);
        assert!(said.contains(&format!("build it with `--features {name}`")), "{said}");
    }
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_build_without_mpi_says_how_to_get_it() {
    let message = refused(&["--distributed"], 2);
    assert!(message.contains("`--distributed`") && message.contains("build it with `--features mpi`"), "{message}");
}

#[test]
fn missing_data_are_named() {
    let message = refused(&["--data", "no/such/folder"], 1);
    assert!(message.contains("there is no folder `no/such/folder`"), "{message}");
    let empty = tempfile::tempdir().expect("a temporary folder");
    let message = refused(&["--data", &empty.path().to_string_lossy()], 1);
    assert!(message.contains("holds none of what is accepted") && message.contains("IDX"), "{message}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_before_training() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_string_lossy().into_owned();
    let output = hyper_cleaning(&["--out", &path, "--steps", "1000000000"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&path), "{message}");
}

#[test]
fn mistakes_in_a_config_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.json");
    fs::write(&file, r#"{"classifer": {}}"#).expect("writable");
    let message = refused(&["--config", &file.to_string_lossy()], 2);
    assert!(message.contains("classifer") && message.contains("classifier"), "{message}");
}

#[test]
fn a_printed_config_can_be_read_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.json");
    let printed = hyper_cleaning(&["--method", "neumann", "--weighting", "network", "--print-config"]).stdout;
    assert!(String::from_utf8_lossy(&printed).contains("neumann"));
    fs::write(&file, &printed).expect("writable");
    let again = hyper_cleaning(&["--config", &file.to_string_lossy(), "--print-config"]).stdout;
    assert_eq!(printed, again);
}

#[test]
fn a_run_writes_everything_and_is_repeatable() {
    let (first, output) = short_run(&["--seeds", "2"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "1098 training examples, 439 of them with a wrong label; 100 clean, 599",
        "hyper-cleaned",
        "cleaned and clean set",
        "AUC",
        "±",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    for (name, part) in [
        ("metrics.csv", "seed,training,test_accuracy,weight_auc\n0,everything,"),
        ("accuracies.csv", "\n1,oracle,20,"),
        ("losses.csv", "\n0,weighting,2,"),
        ("weights.csv", "seed,example,given_label,corrupted,weight\n"),
        ("weights.svg", "label is wrong"),
        ("accuracies.svg", "oracle"),
        ("losses.svg", "classifier"),
        ("levels.dot", "digraph"),
        ("levels.mmd", "weighting"),
        ("levels.txt", "classifier"),
        ("config.json", "\"unroll\": 10"),
    ] {
        assert!(read(first.path(), name).contains(part), "no `{part}` in {name}");
    }
    assert_eq!(read(first.path(), "metrics.csv").lines().count(), 1 + 2 * 5);
    assert_eq!(read(first.path(), "weights.csv").lines().count(), 1 + 2 * 1098);

    // As often as the host reads what steps came to, nothing else becomes of them.
    let (second, output) = short_run(&["--seeds", "2", "--read-every", "7"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_, none) = short_run(&["--read-every", "0"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("0 is not in 1.."));
    for name in ["metrics.csv", "losses.csv", "weights.csv"] {
        assert_eq!(read(first.path(), name), read(second.path(), name), "{name}");
    }
}

#[test]
fn every_method_moves_both_kinds_of_weights() {
    let implicit =
        ["cg", "minres", "gmres", "neumann", "nystrom", "finite_difference", "penalty", "identity", "sama", "dense"];
    for method in implicit.into_iter().chain(["unrolled"]) {
        for weighting in ["table", "network"] {
            let (folder, output) = short_run(&["--method", method, "--weighting", weighting, "--quiet"]);
            assert!(output.status.success(), "{method}, {weighting}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout.is_empty());
            let weights = read(folder.path(), "weights.csv");
            let weights: Vec<&str> = weights.lines().skip(1).filter_map(|row| row.split(',').nth(4)).collect();
            assert!(weights.iter().any(|&weight| weight != weights[0]), "{method}, {weighting}: all weights are equal");
        }
    }
}

#[test]
fn a_classifier_that_starts_anew_is_differentiated_through_its_steps() {
    let config = |arguments: &[&str]| {
        let printed = hyper_cleaning(&[&["--restart", "7", "--print-config"], arguments].concat()).stdout;
        String::from_utf8_lossy(&printed).into_owned()
    };
    let unrolled = config(&[]);
    for part in ["\"start\": \"initial\"", "\"unroll\": 7", "\"method\": \"unrolled\""] {
        assert!(unrolled.contains(part), "no `{part}` in\n{unrolled}");
    }
    assert!(config(&["--method", "cg"]).contains("\"method\": \"cg\""));
    let (folder, output) = short_run(&["--restart", "3"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(read(folder.path(), "accuracies.csv").contains("\n0,refitted,6,"));
}

#[test]
fn labels_that_are_all_right_leave_the_auc_undefined() {
    let (folder, output) = short_run(&["--noise", "0"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("undefined"));
    assert!(read(folder.path(), "metrics.csv").contains("hyper_cleaned"));
}

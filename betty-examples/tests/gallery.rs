//! Small examples, in a reduced form, as their users meet them.

use std::fs;
use std::path::Path;
use std::process::Command;

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
fn ten_distilled_images_teach_more_than_ten_real_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = run(env!("CARGO_BIN_EXE_distillation"), folder.path(), &["--steps", "60"]);
    let accuracy = |column| number(folder.path(), "accuracies.csv", &[("seed", "0")], column);
    assert!(accuracy("distilled") > accuracy("real_images") + 0.1, "{text}");
    assert!(accuracy("class_means") < accuracy("all_examples"), "{text}");
    assert!(accuracy("all_examples") > 0.85, "{text}");
    let images = fs::read_to_string(folder.path().join("images.svg")).expect("a drawing");
    assert_eq!(images.matches("<rect").count(), 640);
}

#[test]
fn rates_of_steps_are_learned_through_all_of_them() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let loss = |folder: &Path, column| number(folder, "losses.csv", &[("seed", "0")], column);
    let [first, later] = [(&folders[0], "1"), (&folders[1], "8")].map(|(folder, steps)| {
        run(env!("CARGO_BIN_EXE_schedule"), folder.path(), &["--steps", steps]);
        loss(folder.path(), "learned")
    });
    assert!(later < first - 0.05, "{first}, {later}");
    // A baseline is good only if it is the best of its grid: the smallest and the largest constant rates are far worse.
    assert!(loss(folders[0].path(), "best_constant") < 0.4);
    let plot = fs::read_to_string(folders[1].path().join("rates.svg")).expect("a plot");
    assert!(plot.contains("best cosine"));
}

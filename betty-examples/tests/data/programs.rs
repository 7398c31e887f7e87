//! Programs on data of one's own: what they take, and what they refuse before anything is trained.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::folders::{COLOUR, folder};
use crate::idx::idx;

/// What a program says that ends with this code.
fn run(program: &str, code: i32, arguments: &[&str]) -> (TempDir, String) {
    let out = tempfile::tempdir().expect("a temporary folder");
    let output =
        Command::new(program).arg("--out").arg(out.path()).args(arguments).output().expect("the program starts");
    let [said, failed] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert_eq!(output.status.code(), Some(code), "{failed}");
    (out, if code == 0 { said } else { failed })
}

fn long_tail(code: i32, arguments: &[&str]) -> (TempDir, String) {
    run(env!("CARGO_BIN_EXE_long_tail"), code, arguments)
}

/// A folder of IDX files: images of 3 × 5 pixels, so many of each class.
fn images(of_each: &[usize]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let labels: Vec<u8> = of_each.iter().zip(0..).flat_map(|(&count, class)| vec![class; count]).collect();
    let count = labels.len() as u32;
    let pixels: Vec<u8> = labels.iter().flat_map(|label| (0..15).map(move |pixel| 40 * label + pixel)).collect();
    for set in ["train", "t10k"] {
        let write =
            |name: &str, bytes| fs::write(folder.path().join(format!("{set}-{name}")), bytes).expect("writable");
        write("images-idx3-ubyte", idx(&[count, 3, 5], &pixels));
        write("labels-idx1-ubyte", idx(&[count], &labels));
    }
    folder
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

fn rows(folder: &Path, name: &str) -> usize {
    fs::read_to_string(folder.join(name)).map_or(0, |table| table.lines().count() - 1)
}

#[test]
fn a_long_tail_is_made_of_images_of_any_shape() {
    let data = images(&[15, 14, 16]);
    let short = ["--steps", "2", "--batch", "5", "--data", path(&data)];
    let (out, text) = long_tail(0, &[&short[..], &["--imbalance", "4"]].concat());
    assert!(text.contains("imbalance 4: classes of 4 to 1"), "{text}");
    assert_eq!(rows(out.path(), "imbalance-4.csv"), 1);
    // Colours, and folders.
    let data = (0..2).flat_map(|class| (0..12).map(move |image| format!("train/{class}/{image}.png")));
    let files: Vec<String> = data.chain(["test/0/a.png".into(), "test/1/a.png".into()]).collect();
    let data = folder(&files.iter().map(|file| (file.as_str(), COLOUR)).collect::<Vec<_>>());
    let (_out, text) = long_tail(0, &["--steps", "1", "--batch", "5", "--imbalance", "2", "--data", path(&data)]);
    assert!(text.contains("classes of 2 to 1"), "{text}");
    let arguments = ["--steps", "1", "--hidden", "2", "--clean", "3", "--data", path(&data)];
    let (_out, text) = run(env!("CARGO_BIN_EXE_hyper_cleaning"), 0, &arguments);
    assert!(text.contains("21"), "training examples: {text}");
}

#[test]
fn what_cannot_be_a_long_tail_is_refused() {
    let data = images(&[15, 0, 16]);
    let (_out, text) = long_tail(2, &["--data", path(&data)]);
    assert_eq!(text, "error: `--data`: class 1 has 0 examples to train on, and at least 11 are needed of each\n");
    let data = images(&[15, 14]);
    let (_out, text) = long_tail(2, &["--data", path(&data), "--full"]);
    assert!(
        text.contains("`--imbalance` 50 leaves no example of the smallest class, because the largest one has 4"),
        "{text}"
    );
    let (_out, text) = long_tail(2, &["--imbalance", "200"]);
    assert!(text.contains("`--imbalance` 200 leaves no example") && text.contains("choose at most 10"), "{text}");
    for imbalance in ["0.5", "NaN", "inf"] {
        let (_out, text) = long_tail(2, &["--imbalance", imbalance]);
        assert_eq!(text, "error: `--imbalance` must be at least 1\n");
    }
}

#[test]
fn what_is_asked_for_counts_also_with_everything() {
    let data = images(&[15, 14, 16]);
    let short = ["--steps", "1", "--batch", "5", "--data", path(&data), "--full"];
    let (out, _text) = long_tail(0, &[&short[..], &["--imbalance", "2", "--seeds", "2"]].concat());
    assert_eq!(rows(out.path(), "imbalance-2.csv"), 2);
    let tables = fs::read_dir(out.path()).expect("there").flatten();
    let tables = tables.filter(|file| file.file_name().to_string_lossy().starts_with("imbalance-"));
    assert_eq!(tables.count(), 2, "a table, and a drawing of it");
}

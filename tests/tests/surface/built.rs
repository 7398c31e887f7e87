//! Every source file belongs to a build: a module that nobody declares is no error to the compiler, and its tests run no more.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of sources that cargo finds by themselves: each file or folder in them is a program of its own.
const ROOTS: [&str; 3] = ["bin", "tests", "benches"];

#[test]
fn every_source_file_belongs_to_a_build() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let crates = fs::read_dir(workspace).expect("the workspace").map(|entry| entry.expect("an entry").path());
    let mut files = Vec::new();
    for folder in crates.filter(|folder| folder.join("Cargo.toml").exists()) {
        ["src", "tests", "benches"].iter().for_each(|part| sources(&folder.join(part), &mut files));
    }
    assert!(files.len() > 900, "only {} files were found", files.len());
    let lost: Vec<&PathBuf> = files.iter().filter(|file| !is_root(file) && !is_declared(file)).collect();
    assert!(lost.is_empty(), "no module declares {lost:?}, so that what is in them is not built");
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Whether cargo or a test that compiles programs takes the file by itself.
fn is_root(file: &Path) -> bool {
    let folder = file.parent().expect("in a folder");
    let of = |folder: &Path| folder.file_name().is_some_and(|name| ROOTS.iter().any(|root| name == *root));
    let is_main = ["main.rs", "lib.rs"].iter().any(|name| file.ends_with(name));
    let is_outside = [Path::new("tests/ui"), Path::new("betty-examples/template")]
        .iter()
        .any(|path| file.ancestors().any(|above| above.ends_with(path)));
    is_main || is_outside || (of(folder) && !folder.join("mod.rs").exists() && !folder.with_extension("rs").exists())
}

/// Whether one of the files that could declare the module does so.
fn is_declared(file: &Path) -> bool {
    let (folder, stem) = (file.parent().expect("in a folder"), file.file_stem().expect("a name").to_string_lossy());
    let (folder, name) = match &*stem {
        "mod" => (folder.parent().expect("in a folder"), folder.file_name().expect("a name").to_string_lossy()),
        _ => (folder, stem),
    };
    let declares = |by: &Path| {
        let text = fs::read_to_string(by).unwrap_or_default();
        text.lines().any(|line| line.trim().ends_with(&format!("mod {name};")))
    };
    let beside = ["mod.rs", "lib.rs", "main.rs"].map(|by| folder.join(by));
    beside.iter().any(|by| declares(by)) || declares(&folder.with_extension("rs"))
}

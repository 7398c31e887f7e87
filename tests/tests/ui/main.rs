//! What the compiler says about programs with mistakes, word for word.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod compiler;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use compiler::Compiler;
use rayon::prelude::*;

/// Set to write what the compiler says now in the place of what was expected.
const UPDATE: &str = "BETTY_UPDATE_UI";

/// The files of the folder `ui` that end so.
fn files(extension: &str) -> Vec<PathBuf> {
    let all = fs::read_dir("ui").unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

/// What is wrong with what the compiler says about a program.
fn judge(compiler: &Compiler, program: &Path) -> Option<String> {
    let Some(found) = compiler.errors(program) else {
        return Some(format!("{} compiles", program.display()));
    };
    let beside = program.with_extension("stderr");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&beside, &found).unwrap();
    }
    let expected = fs::read_to_string(&beside).unwrap_or_default();
    (found != expected).then(|| format!("{} says\n\n{found}\nin the place of\n\n{expected}", program.display()))
}

#[test]
fn mistakes_are_reported_at_their_tokens() {
    let compiler = Compiler::new();
    let programs = files("rs");
    let mut wrong: Vec<String> = programs.par_iter().filter_map(|program| judge(&compiler, program)).collect();
    let lonely = files("stderr").into_iter().filter(|file| !file.with_extension("rs").exists());
    wrong.extend(lonely.map(|file| format!("{} belongs to no program", file.display())));
    let all = wrong.iter().fold(String::new(), |mut all, one| {
        writeln!(all, "{one}\n").unwrap();
        all
    });
    assert!(wrong.is_empty(), "{all}{} of {}; `{UPDATE}=1` writes what is said now", wrong.len(), programs.len());
    assert!(!programs.is_empty());
}

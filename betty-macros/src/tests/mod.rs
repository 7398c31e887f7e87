//! Mistakes and where they are reported, and snapshots of what correct programs become.

mod constants;
mod custom;
mod derive;
mod edges;
mod expansion;
mod fields;
mod groups;
mod learned;
mod options;
mod recovery;
mod schedules;
mod solves;
mod steps;
mod together;

use proc_macro2::{LineColumn, TokenStream};

use crate::report::Report;

/// A mistake: where it starts, where it ends, what it says.
type Mistake = (LineColumn, LineColumn, String);

/// Asserts that a program has exactly one mistake, at the tokens between `>>>` and `<<<`.
///
/// In the source of a level `..` stands for its batch, loss and optimizer.
#[track_caller]
fn check_err(text: &str, source: &str) {
    check_errs(&[text], source);
}

/// Asserts that a program has exactly these mistakes, each at its mark, in the order of the source.
#[track_caller]
fn check_errs(texts: &[&str], source: &str) {
    let (source, marks) = read_marks(source);
    let (_, report) = crate::expand_program(parse(&source));
    assert_mistakes(texts, &marks, &report);
}

#[track_caller]
fn check_ok(source: &str) {
    check_errs(&[], source);
}

#[track_caller]
fn assert_mistakes(texts: &[&str], marks: &[(LineColumn, LineColumn)], report: &Report) {
    assert_eq!(texts.len(), marks.len(), "every expected text has a mark");
    let expected: Vec<Mistake> =
        marks.iter().zip(texts).map(|(&(start, end), text)| (start, end, (*text).to_owned())).collect();
    let mut found: Vec<Mistake> =
        report.errors().iter().map(|error| (error.span().start(), error.span().end(), error.to_string())).collect();
    found.sort();
    assert_eq!(found, expected);
}

/// Writes out the shorthand of a source and takes the marks out of it.
fn read_marks(source: &str) -> (String, Vec<(LineColumn, LineColumn)>) {
    let source = source.replace("..", "batch: B, loss: f, optimizer: sgd(lr = 0.1)");
    let mut plain = String::new();
    let mut marks = Vec::new();
    for (index, part) in source.split(">>>").enumerate() {
        let (marked, rest) = part.split_once("<<<").unwrap_or(("", part));
        if index > 0 {
            let start = end_of(&plain);
            plain.push_str(marked);
            marks.push((start, end_of(&plain)));
        }
        plain.push_str(rest);
    }
    (plain, marks)
}

/// The position behind a text, counted as `proc_macro2` counts: lines from 1, columns from 0.
fn end_of(text: &str) -> LineColumn {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count());
    LineColumn { line, column }
}

#[track_caller]
fn parse(source: &str) -> TokenStream {
    match source.parse() {
        Ok(tokens) => tokens,
        Err(error) => panic!("the source of the test does not consist of tokens: {error}"),
    }
}

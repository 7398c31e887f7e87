//! The manual's tables say what the table in code says.

use crate::methods::{FIELDS, METHODS, OPTIMIZERS, PROJECTIONS};

const MANUAL: &str = include_str!("../../docs/multilevel.md");

/// The cells of all rows of tables with that heading, without the last column, which is prose.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let columns = heading.matches('|').count() - 1;
    MANUAL
        .lines()
        .skip_while(|line| *line != heading)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').skip(1).take(columns - 1).map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn fields() {
    let expected: Vec<_> = FIELDS.iter().map(|field| vec![code(field.name), code(field.example)]).collect();
    let mut found = rows("| field | example | if absent | meaning |");
    found.iter_mut().for_each(|row| row.truncate(2));
    assert_eq!(found, expected);
}

#[test]
fn methods_optimizers_and_projections() {
    for family in [&METHODS, &OPTIMIZERS, &PROJECTIONS] {
        let names = family.entries.iter().map(|entry| code(entry.name));
        let noun = family.noun;
        let verb = match noun {
            "method" => "x is",
            "optimizer" => "step",
            _ => "set",
        };
        let found = rows(&format!("| {noun} | {verb} |"));
        assert_eq!(found.concat(), names.collect::<Vec<_>>());

        let options: Vec<_> = family
            .entries
            .iter()
            .flat_map(|entry| entry.options.iter().map(move |option| (entry, option)))
            .map(|(entry, option)| {
                vec![
                    code(entry.name),
                    code(option.name),
                    option.range.describe().to_owned(),
                    option.default.map_or("required".to_owned(), code),
                ]
            })
            .collect();
        assert_eq!(rows(&format!("| {noun} | option | must be | default | meaning |")), options);
    }
}

//! The tables of the manual, written from the rows between markers.

use crate::table::Family;
use crate::words::Words;
use crate::{CURVATURES, FAMILIES, FIELDS, STARTS, TRANSFORMS};

/// The manual with every table between `<!-- table: name -->` and `<!-- end -->` as the rows say it.
#[must_use]
pub fn written(manual: &str) -> String {
    let mut text = String::new();
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        text.extend([line, "\n"]);
        let name = line.strip_prefix("<!-- table: ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(table) = name.and_then(table) {
            text += &format!("\n{table}\n{END}\n");
            lines.by_ref().take_while(|line| *line != END).for_each(drop);
        }
    }
    text
}

const END: &str = "<!-- end -->";

/// The names of all tables, in the order of the manual.
pub const TABLES: [&str; 18] = [
    "fields",
    "methods",
    "options of methods",
    "preconditioners",
    "options of preconditioners",
    "curvatures",
    "solvers",
    "options of solvers",
    "optimizers",
    "options of optimizers",
    "schedules",
    "options of schedules",
    "transforms",
    "level solvers",
    "options of level solvers",
    "projections",
    "options of projections",
    "starts",
];

fn table(name: &str) -> Option<String> {
    let (of, family) = match name.strip_prefix("options of ") {
        Some(rest) => (options as fn(&Family) -> String, rest),
        None => (names as fn(&Family) -> String, name),
    };
    match name {
        "fields" => Some(fields()),
        "curvatures" => Some(words("curvature", "the derivative is taken", &CURVATURES, code)),
        "starts" => {
            Some(words("start", "the steps before a step of a level above begin", &STARTS, |name| match name {
                "from" => "`from(meta)`".to_owned(),
                "fresh" => "`fresh(my_net)`".to_owned(),
                _ => code(name),
            }))
        }
        "transforms" => {
            let rows = words("written", "the number", &TRANSFORMS, |name| code(&format!("{name}(rates.x)")));
            let plain = "x as it is: it has to begin in the option's range, and nothing keeps it there but a `project` of its \
                         level";
            Some(rows + &row(&[&code("rates.x"), plain]))
        }
        _ => FAMILIES.into_iter().find(|known| known.nouns == family).map(of),
    }
}

fn fields() -> String {
    let rows = FIELDS.iter().map(|field| row(&[&code(field.name), &code(field.example), field.absent, field.meaning]));
    heading(&["field", "example", "if absent", "meaning"]) + &rows.collect::<String>()
}

fn names(family: &Family) -> String {
    let rows = family.rows.iter().map(|entry| row(&[&code(entry.name), entry.formula]));
    heading(&[family.noun, family.column]) + &rows.collect::<String>()
}

fn options(family: &Family) -> String {
    let options = family.rows.iter().flat_map(|entry| entry.options.iter().map(move |option| (entry, option)));
    let rows = options.map(|(entry, option)| {
        let default = option.default.map_or("required".to_owned(), code);
        row(&[&code(entry.name), &code(option.name), option.range.describe(), &default, option.meaning])
    });
    heading(&[family.noun, "option", "must be", "default", "meaning"]) + &rows.collect::<String>()
}

fn words(first: &str, second: &str, words: &Words, written: impl Fn(&str) -> String) -> String {
    let rows = words.words.iter().map(|word| row(&[&written(word.name), word.meaning]));
    heading(&[first, second]) + &rows.collect::<String>()
}

fn heading(cells: &[&str]) -> String {
    row(cells) + &row(&vec!["---"; cells.len()])
}

fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const UPDATE: &str = "BETTY_UPDATE_DOCS=1 cargo test --workspace --lib the_manual_is_up_to_date";

    #[test]
    fn the_manual_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../betty-macros/docs/multilevel.md");
        let manual = fs::read_to_string(&path).expect("the manual is there");
        if std::env::var_os("BETTY_UPDATE_DOCS").is_some() {
            fs::write(&path, written(&manual)).expect("the manual can be written");
        }
        let manual = fs::read_to_string(&path).expect("the manual is there");
        assert!(manual == written(&manual), "the tables of the manual are stale; write them with `{UPDATE}`");
        for name in TABLES {
            assert_eq!(
                manual.matches(&format!("<!-- table: {name} -->")).count(),
                1,
                "the manual has the table of {name}"
            );
        }
    }

    #[test]
    fn the_grammar_has_every_field() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../betty-macros/docs/multilevel.md");
        let manual = fs::read_to_string(&path).expect("the manual is there");
        let (_, behind) = manual.split_once("# Grammar").expect("the manual has a grammar");
        let grammar = behind.split("```").nth(1).unwrap_or_default();
        for field in &FIELDS {
            assert!(grammar.contains(&format!("\"{}\"", field.name)), "the grammar has no `{}`", field.name);
        }
    }

    #[test]
    fn a_stale_table_is_written_again() {
        let stale = "before\n<!-- table: starts -->\n| old |\n<!-- end -->\nbehind\n";
        let fresh = written(stale);
        assert!(fresh.starts_with("before\n<!-- table: starts -->\n\n| start |"), "{fresh}");
        assert!(fresh.ends_with("|\n\n<!-- end -->\nbehind\n"), "{fresh}");
        assert!(!fresh.contains("old"));
        assert_eq!(written(&fresh), fresh);
    }
}

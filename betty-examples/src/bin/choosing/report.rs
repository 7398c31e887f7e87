//! Rows as Markdown, and their place in a document.

use std::fmt::Write as _;

use crate::measure::{Accuracy, Cost, Row, Setting};

/// Between these lines a document's text is written by the program.
const MARKS: (&str, &str) = ("<!-- measured: begin -->\n", "<!-- measured: end -->");

/// A table of rows.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| method | products | time | memory, KiB | error, early | cosine, early | error, converged | cosine, converged |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for Row { setting, cost, early, converged } in rows {
        let (error, cosine) = accuracy(*early);
        let (late_error, late_cosine) = accuracy(*converged);
        let cost = match cost {
            Some(Cost { products, time, memory }) => format!("{products} | {time:.1} | {memory:.0}"),
            None => "– | – | –".into(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {cost} | {error} | {cosine} | {late_error} | {late_cosine} |", name(*setting));
    }
    text
}

/// As a program writes it.
fn name((method, options): Setting) -> String {
    if options.is_empty() {
        return method.into();
    }
    let options: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!("{method}({})", options.join(", "))
}

/// Error and cosine, as text.
fn accuracy(accuracy: Option<Accuracy>) -> (String, String) {
    match accuracy {
        Some(Accuracy { error, cosine }) => (number(error), format!("{cosine:.4}")),
        None => ("fails".into(), "–".into()),
    }
}

/// Two digits, with an exponent where that is shorter.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        0.01..1000.0 => format!("{value:.2}"),
        _ => format!("{value:.0e}"),
    }
}

/// The document with `measured` between its marks; `None` if it has none.
pub(crate) fn insert(document: &str, measured: &str) -> Option<String> {
    let (before, rest) = document.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some([before, MARKS.0, measured, MARKS.1, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::SETTINGS;

    #[test]
    fn a_row_reads_as_the_program_would_be_written() {
        let cost = Cost { products: 20, time: 21.25, memory: 80.4 };
        let converged = Some(Accuracy { error: 1.6e-9, cosine: 1.0 });
        let row = Row { setting: SETTINGS[3], cost: Some(cost), early: None, converged };
        let text = table(&[row]);
        let expected = "| `cg(iterations = 20, damping = 0.1)` | 20 | 21.2 | 80 | fails | – | 2e-9 | 1.0000 |";
        assert_eq!(text.lines().nth(2), Some(expected));
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("a\n{}old\n{}\nb\n", MARKS.0, MARKS.1);
        let expected = format!("a\n{}new\n{}\nb\n", MARKS.0, MARKS.1);
        assert_eq!(insert(&document, "new\n"), Some(expected));
        assert_eq!(insert("no marks", "new"), None);
    }

    #[test]
    fn the_guide_has_its_marks_and_knows_every_method() {
        let guide = include_str!("../../../../docs/choosing.md");
        assert!(insert(guide, "").is_some());
        for (method, _) in SETTINGS {
            assert!(guide.contains(&format!("`{method}")), "{method}");
        }
    }
}

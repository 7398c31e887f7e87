//! The numbers of a run as a table, one in a row.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::error::WatchError;
use super::log::{Log, lines_until};
use super::place::Place;
use super::scalars::scalars;
use crate::error::DataError;
use crate::{Current, Event, Looks, Multilevel, Observer};

const HEADER: &str = "iteration,level,step,quantity,value";

/// Writes every number that events tell into a CSV file, one in a row: the iteration, the level (or `validation`), the level's
/// step, what it is, and its value. Quantities are `loss`, `gradient_norm`, `learning_rate`, the names of metrics, and for
/// hypergradients `lower/products` and `lower/residual`, without a step, as are `direct`, `indirect` and `angle` (in degrees) where
/// an observer asks for [`Event::Parts`]; of validation, `value` and the names of its metrics.
///
/// Spreadsheets and data frames make columns of quantities: in pandas, `table.pivot_table(index="iteration",
/// columns=["level", "quantity"], values="value")`.
#[derive(Debug)]
pub struct CsvFile {
    log: Log,
    place: Place,
    every: u64,
}

impl CsvFile {
    /// Writes into this file; see [the module](super) for what becomes of one that is there.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        CsvFile { log: Log::new(file.into(), keep), place: Place::default(), every: 1 }
    }

    /// Records steps and hypergradients only in iterations that are multiples of `iterations` (at least 1), and validation
    /// always.
    #[must_use]
    pub fn every(mut self, iterations: u64) -> Self {
        self.every = iterations.max(1);
        self
    }

    fn record(&mut self, event: &Event<'_>) -> Result<(), WatchError> {
        self.place.hear(event);
        if let Event::Validation { .. } = event {
            self.rows(event)?;
        }
        if self.log.hear(event)? {
            self.log.push(format!("{HEADER}\n").as_bytes())?;
        }
        match event {
            Event::Step { .. } | Event::Solved { .. } | Event::Hypergradient { .. } | Event::Parts { .. }
                if self.place.is_due(event, self.every) =>
            {
                self.rows(event)
            }
            _ => Ok(()),
        }
    }

    fn rows(&mut self, event: &Event<'_>) -> Result<(), WatchError> {
        let iteration = self.place.of(event);
        scalars(event).into_iter().try_for_each(|scalar| {
            let step = scalar.step.map_or_else(String::new, |step| step.to_string());
            let (level, quantity) = (field(scalar.of), field(&scalar.name));
            self.log.push(format!("{iteration},{level},{step},{quantity},{:?}\n", scalar.value).as_bytes())
        })
    }
}

impl<P: Multilevel> Observer<P> for CsvFile {
    fn hear(&mut self, event: &Event<'_>, _program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        self.record(event)?;
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Never
    }
}

/// A text as a field: in quotes where it has commas, quotes or line breaks, which become spaces, so that a row is a line.
fn field(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The header, and the rows up to an iteration.
fn keep(bytes: &[u8], last: u64) -> Result<Vec<u8>, String> {
    let header = HEADER.as_bytes();
    if !(bytes.starts_with(header) || header.starts_with(bytes)) {
        return Err(format!("its first line is not `{HEADER}`"));
    }
    lines_until(bytes, last, |line| match line {
        HEADER => Some(0),
        row => row.split_once(',')?.0.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_on_a_line_and_in_a_column() {
        assert_eq!(field("loss"), "loss");
        assert_eq!(field("a, \"b\"\nc"), "\"a, \"\"b\"\" c\"");
    }

    #[test]
    fn rows_after_the_iteration_and_half_rows_go() {
        let text = format!("{HEADER}\n1,a,1,loss,0.5\n2,a,2,loss,0.4\n3,a,3,loss,0.3\n4,a,");
        let kept = keep(text.as_bytes(), 2).expect("ours");
        assert_eq!(kept, format!("{HEADER}\n1,a,1,loss,0.5\n2,a,2,loss,0.4\n").as_bytes());
        assert_eq!(keep(b"iter", 2).expect("the beginning of ours"), b"");
        assert!(keep(b"x,y\n1,2\n", 2).expect_err("somebody's").contains("first line"));
        let error = keep(format!("{HEADER}\n1,a,1,loss,0.5\n# note\n").as_bytes(), 2).expect_err("edited");
        assert_eq!(error, "its line 3 is none of this observer's");
    }
}

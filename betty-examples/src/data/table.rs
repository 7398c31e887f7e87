//! A table with a header: columns of numbers and of words, and one that names classes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Words of a column that get an input of their own at the most; all others share none.
const WORDS: usize = 30;

/// Classes at the most.
const CLASSES: usize = 50;

/// What stands for nothing.
const MISSING: [&str; 10] = ["", "?", "-", ".", "na", "n/a", "#n/a", "nan", "none", "null"];

/// A column of which so much are different numbers is one of numbers, in which a word has no place.
const MOSTLY: f64 = 0.9;

/// A table, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns that are no target.
    pub columns: Vec<Column>,
    /// The names of the classes, in the order of the alphabet.
    pub classes: Vec<String>,
    /// The class of each row.
    pub labels: Vec<usize>,
    /// Rows whose class is missing, which are left out.
    pub unlabelled: usize,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// The values of a column; what is missing is `None`.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// All of them are numbers.
    Numbers(Vec<Option<f64>>),
    /// Words, of which there are a few, and which of them each value is; rare ones are as good as missing.
    Words(Vec<String>, Vec<Option<usize>>),
}

/// Inputs of a model, made of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// What each input is: a column, or `column = word`, or `column is missing`.
    pub names: Vec<String>,
    /// A row for each of the table's.
    pub rows: Vec<Vec<f64>>,
}

/// Why a table is of no use.
#[derive(thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("cannot read `{}`: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: csv::Error,
    },
    /// It has no such column.
    #[error("`{}` has no column `{target}`; its columns are {columns}", file.display())]
    NoTarget {
        /// The file.
        file: PathBuf,
        /// The column.
        target: String,
        /// Those that there are.
        columns: String,
    },
    /// Two columns have one name.
    #[error("`{}` has two columns `{name}`; give each a name of its own", file.display())]
    Repeated {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// Almost all cells of a column are numbers, but not all.
    #[error(
        "column `{column}` holds numbers, but `{cell}` in row {row} (of {others} such cells) is none that can be computed with; leave \
         what is not known empty, or take the column away"
    )]
    NotANumber {
        /// The column.
        column: String,
        /// The first cell that is no number.
        cell: String,
        /// Its row below the header, counted from 1.
        row: usize,
        /// How many such cells there are.
        others: usize,
    },
    /// The target names no classes.
    #[error(
        "column `{target}` has {found} different values, but a class needs a name: 2 to {CLASSES} of them; bring numbers into \
         ranges first"
    )]
    NoClasses {
        /// The column.
        target: String,
        /// How many values.
        found: usize,
    },
    /// There is too little.
    #[error("{rows} rows with a class and {columns} columns beside it are too few; 40 rows and 1 column are needed")]
    TooSmall {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
}

betty_runtime::debug_as_report!(TableError);

impl Table {
    /// Reads a CSV file with a header.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn open(file: &Path, target: &str) -> Result<Self, TableError> {
        let unreadable = |reason| TableError::Read { file: file.into(), reason };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).map_err(unreadable)?;
        let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
        if let Some(name) = names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name)) {
            return Err(TableError::Repeated { file: file.into(), name: name.clone() });
        }
        let Some(at) = names.iter().position(|name| name == target) else {
            let columns = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(TableError::NoTarget { file: file.into(), target: target.into(), columns });
        };
        let records = reader.into_records().collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let all = records.len();
        for (column, name) in names.iter().enumerate().filter(|(column, _)| *column != at) {
            check_numbers(name, &records.iter().map(|record| &record[column]).collect::<Vec<_>>())?;
        }
        let records: Vec<_> = records.into_iter().filter(|record| !is_missing(&record[at])).collect();
        let cells = |column: usize| records.iter().map(move |record| &record[column]);
        let classes = counted(cells(at)).into_keys().collect::<Vec<_>>();
        if !(2..=CLASSES).contains(&classes.len()) {
            return Err(TableError::NoClasses { target: target.into(), found: classes.len() });
        }
        if records.len() < 40 || names.len() < 2 {
            return Err(TableError::TooSmall { rows: records.len(), columns: names.len() - 1 });
        }
        let labels = cells(at).filter_map(|cell| classes.iter().position(|class| class == cell)).collect();
        let others = names.iter().enumerate().filter(|(column, _)| *column != at);
        let columns = others.map(|(column, name)| Column { name: name.clone(), values: Values::of(cells(column)) });
        Ok(Table { columns: columns.collect(), unlabelled: all - records.len(), classes, labels })
    }

    /// Numbers with mean 0 and deviation 1 over the rows `fit`, and an input for each word; of what is missing, an input says so
    /// where there is such a thing.
    pub fn inputs(&self, fit: &[usize]) -> Inputs {
        let (mut names, mut rows) = (Vec::new(), vec![Vec::new(); self.labels.len()]);
        for Column { name, values } in &self.columns {
            let (is_missing, what): (Vec<bool>, _) = match values {
                Values::Numbers(values) => {
                    let known: Vec<f64> = fit.iter().filter_map(|&row| values[row]).collect();
                    let (mean, deviation) = moments(&known);
                    names.push(name.clone());
                    for (row, value) in rows.iter_mut().zip(values) {
                        row.push(value.map_or(0.0, |value| (value - mean) / deviation));
                    }
                    (values.iter().map(Option::is_none).collect(), "missing")
                }
                Values::Words(words, values) => {
                    names.extend(words.iter().map(|word| format!("{name} = {word}")));
                    for (row, value) in rows.iter_mut().zip(values) {
                        row.extend((0..words.len()).map(|word| f64::from(u8::from(*value == Some(word)))));
                    }
                    (values.iter().map(Option::is_none).collect(), "rare or missing")
                }
            };
            if is_missing.contains(&true) {
                names.push(format!("{name} is {what}"));
                rows.iter_mut().zip(is_missing).for_each(|(row, missing)| row.push(f64::from(u8::from(missing))));
            }
        }
        Inputs { names, rows }
    }
}

impl Values {
    fn of<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> Self {
        if cells.clone().all(|cell| is_missing(cell) || number(cell).is_some()) {
            return Values::Numbers(cells.map(|cell| number(cell).filter(|_| !is_missing(cell))).collect());
        }
        let mut words: Vec<_> = counted(cells.clone().filter(|cell| !is_missing(cell))).into_iter().collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let words: Vec<String> = words.into_iter().take(WORDS).map(|(word, _)| word).collect();
        let values = cells.map(|cell| words.iter().position(|word| word == cell)).collect();
        Values::Words(words, values)
    }
}

/// Refuses a column of numbers that would be taken for one of words for the sake of a few cells.
fn check_numbers(column: &str, cells: &[&str]) -> Result<(), TableError> {
    let known = cells.iter().enumerate().filter(|(_, cell)| !is_missing(cell));
    let (numbers, others): (Vec<_>, Vec<_>) = known.partition(|(_, cell)| number(cell).is_some());
    let is_mostly = numbers.len() as f64 > MOSTLY * (numbers.len() + others.len()) as f64;
    match others.first() {
        Some((row, cell)) if is_mostly && counted(numbers.iter().map(|(_, cell)| **cell)).len() > WORDS => {
            let (column, cell) = (column.to_owned(), (**cell).to_owned());
            Err(TableError::NotANumber { column, cell, row: row + 1, others: others.len() })
        }
        _ => Ok(()),
    }
}

fn number(cell: &str) -> Option<f64> {
    cell.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

fn counted<'a>(cells: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    cells.for_each(|cell| *counts.entry(cell.to_owned()).or_default() += 1);
    counts
}

/// Mean and standard deviation, which is 1 where there is none.
fn moments(values: &[f64]) -> (f64, f64) {
    // The mean of equal numbers need not be that number: rounding errors are no deviation.
    if let Some((first, others)) = values.split_first()
        && others.iter().all(|other| other == first)
    {
        return (*first, 1.0);
    }
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn table(text: &str, target: &str) -> Result<Table, TableError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), text).expect("writable");
        Table::open(file.path(), target)
    }

    #[test]
    fn numbers_words_and_gaps_become_inputs() {
        let rows: String = (0..50)
            .map(|row| {
                let size = if row == 7 { "NA".to_owned() } else { row.to_string() };
                format!(
                    "{size}, {}, {}\n",
                    ["red", "blue"][row % 2],
                    if row == 3 { "?" } else { ["no", "yes"][row / 25] }
                )
            })
            .collect();
        let table = table(&format!("size,colour,good\n{rows}"), "good").expect("a table");
        assert_eq!((table.classes.join(" "), table.labels.len(), table.unlabelled), ("no yes".into(), 49, 1));
        let fit: Vec<usize> = (0..49).collect();
        let Inputs { names, rows } = table.inputs(&fit);
        assert_eq!(names, ["size", "size is missing", "colour = red", "colour = blue"]);
        assert_eq!((rows.len(), &rows[6][..]), (49, &[0.0, 1.0, 0.0, 1.0][..]));
        let known: Vec<f64> = rows.iter().filter(|row| row[1] == 0.0).map(|row| row[0]).collect();
        let (mean, deviation) = moments(&known);
        assert!(mean.abs() < 1e-12 && (deviation - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_number_that_never_changes_has_no_deviation() {
        for value in [0.1, 2.2, -1e300, 0.0] {
            assert_eq!(moments(&[value; 443]), (value, 1.0));
        }
        assert_eq!(moments(&[]), (0.0, 1.0));
    }

    #[test]
    fn what_is_of_no_use_is_refused() {
        let error = |text: &str, target| table(text, target).expect_err("of no use").to_string();
        assert!(error("a,b\n1,2\n", "c").ends_with("has no column `c`; its columns are `a`, `b`"));
        assert!(error("a,b\n1,2\n", "b").contains("column `b` has 1 different values"));
        assert!(error("a,b\n1,2\n2,3\n", "b").starts_with("2 rows with a class"));
        assert!(error("a,b\n1\n", "b").contains("cannot read"));
        assert!(error("a,b,a\n1,2,3\n", "b").contains("has two columns `a`"));
        // One amount that is none among many.
        let rows = |cell: &str| -> String {
            let of = |row: usize| if row == 41 { cell.to_owned() } else { format!("{}.5", row) };
            (0..50).map(|row| format!("{},{}\n", of(row), row % 2)).collect()
        };
        for cell in ["inf", "1,234", "1e400", "#REF!"] {
            let error = error(&format!("a,b\n{}", rows(&format!("\"{cell}\""))), "b");
            assert!(
                error.starts_with(&format!("column `a` holds numbers, but `{cell}` in row 42 (of 1 such cells)")),
                "{error}"
            );
        }
        for cell in ["None", "-", ".", "#N/A", ""] {
            let table = table(&format!("a,b\n{}", rows(cell)), "b").expect("nothing");
            assert!(matches!(&table.columns[0].values, Values::Numbers(values) if values[41].is_none()), "{cell}");
        }
    }
}

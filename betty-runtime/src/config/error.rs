//! What can be wrong with a config, with the path to it.

use std::io;
use std::path::PathBuf;

use betty_schema::{did_you_mean, listed};
use thiserror::Error;

use super::conflict::ConflictError;
use crate::schedule::ScheduleError;

/// Why a config was refused. A path such as `classifier.hypergradient.iterations` names the place.
#[derive(Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not JSON.
    #[error("the config is not JSON: {reason}")]
    NotJson {
        /// The parser's complaint, with line and column.
        reason: serde_json::Error,
    },
    /// A key is given twice in the same object.
    #[error("`{path}` is given twice, the second time in line {line}; keep one of them")]
    Repeated {
        /// The path of the key.
        path: String,
        /// The line of the second one, counted from 1.
        line: usize,
    },
    /// A file could not be read.
    #[error("cannot read `{}`: {reason}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// A file could not be written; if there was one before, it is unchanged.
    #[error("cannot write `{}`: {reason}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// A file was read but refused.
    #[error("in `{}`: {reason}", file.display())]
    InFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: Box<ConfigError>,
    },
    /// A key or a name that does not exist.
    #[error("`{path}`: unknown {noun} `{name}`{}; {}", did_you_mean(suggestion.as_deref()), known_are(known))]
    Unknown {
        /// Where the name stands.
        path: String,
        /// What it would be: a level, a field, a group, an option, a method, an optimizer.
        noun: &'static str,
        /// The name.
        name: String,
        /// The known name that it resembles, if any.
        suggestion: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// A number that a level's float type turns into zero or infinity.
    #[error(
        "`{path}` is {number:e}, {what} is {rounded} in {dtype}, the float type that the level computes it in; choose a number \
         that fits, or give the level parameters of a wider type"
    )]
    Rounded {
        /// Where the number stands.
        path: String,
        /// The number.
        number: f64,
        /// What of it does not fit: `which`, or `the square of which`.
        what: &'static str,
        /// What it becomes.
        rounded: f64,
        /// The type.
        dtype: String,
    },
    /// A value of the wrong kind or out of range.
    #[error("`{path}` is {value}; it must be {expected}")]
    Value {
        /// Where the value stands.
        path: String,
        /// The value, as in JSON.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A value that has no default was not given.
    #[error("`{path}` is missing; it must be {expected}")]
    Missing {
        /// Where the value belongs.
        path: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The schedule of a program that was written by hand contradicts its own edges.
    #[error("the schedule of `{program}` cannot be followed: {reason}")]
    Schedule {
        /// The program's name.
        program: String,
        /// What is wrong with it.
        reason: ScheduleError,
    },
    /// The config belongs to another program.
    #[error("the config has {config} levels, but the program `{program}` has {levels}")]
    OtherProgram {
        /// The program's name.
        program: String,
        /// Its number of levels.
        levels: usize,
        /// The config's number of levels.
        config: usize,
    },
    /// Options that are right by themselves, but not beside each other, or not where the level stands in the program.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
}

crate::report::debug_as_report!(ConfigError);

fn known_are(known: &[String]) -> String {
    match known {
        [] => "there is none".to_owned(),
        known => format!("known are {}", listed(known.iter().map(String::as_str))),
    }
}

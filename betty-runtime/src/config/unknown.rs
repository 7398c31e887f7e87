//! Names that are none of the known.

use betty_schema::{Family, suggestion};

use super::error::ConfigError;

/// The error for a name that is none of a family's.
pub(super) fn unknown_in(family: &Family, path: &str, name: &str) -> ConfigError {
    unknown(path, family.noun, name, &family.names().collect::<Vec<_>>())
}

/// The error for a name that is none of the known.
pub(super) fn unknown(path: &str, noun: &'static str, name: &str, known: &[&str]) -> ConfigError {
    ConfigError::Unknown {
        path: path.to_owned(),
        noun,
        name: name.to_owned(),
        suggestion: suggestion(name, known.iter().copied()).map(str::to_owned),
        known: known.iter().map(|&name| name.to_owned()).collect(),
    }
}

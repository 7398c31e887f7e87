//! Names that are none of the known, and which was meant.

use betty_schema::Family;

use super::error::ConfigError;

/// How alike two names must be (Jaro-Winkler, 1 is equal) before one is offered for the other.
const ALIKE: f64 = 0.8;

/// The known name that is most like this one.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

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

//! Counts that may be unlimited: a number, or the word `all` where Rust has `None`.

use betty_schema::ALL;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum CountOrWord {
    Count(usize),
    Word(String),
}

pub(super) fn serialize<S: Serializer>(count: &Option<usize>, serializer: S) -> Result<S::Ok, S::Error> {
    count.map_or_else(|| CountOrWord::Word(ALL.to_owned()), CountOrWord::Count).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match CountOrWord::deserialize(deserializer)? {
        CountOrWord::Count(count) => Ok(Some(count)),
        CountOrWord::Word(word) if word == ALL => Ok(None),
        CountOrWord::Word(word) => Err(D::Error::invalid_value(Unexpected::Str(&word), &"a count, or `all`")),
    }
}

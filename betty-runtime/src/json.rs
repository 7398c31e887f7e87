//! Reading JSON whose objects say everything once.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text was refused.
#[derive(Debug)]
pub(crate) enum JsonError {
    /// It is no JSON.
    Syntax(serde_json::Error),
    /// An object has a key twice; readers would differ in which one counts.
    Repeated {
        /// Keys from the whole to the object, joined by dots; empty for the whole.
        path: String,
        /// The key.
        key: String,
        /// The line of the second one, counted from 1.
        line: usize,
    },
}

/// The value that a text says.
pub(crate) fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let repeated = RefCell::new(None);
    let mut source = serde_json::Deserializer::from_slice(text);
    let place = Place { path: String::new(), repeated: &repeated };
    let value = place.deserialize(&mut source).and_then(|value| source.end().map(|()| value));
    value.map_err(|reason| match repeated.take() {
        Some((path, key)) => JsonError::Repeated { path, key, line: reason.line() },
        None => JsonError::Syntax(reason),
    })
}

/// Where a value stands, and where a repeated key is noted.
struct Place<'a> {
    path: String,
    repeated: &'a RefCell<Option<(String, String)>>,
}

impl Place<'_> {
    fn inside(&self, part: &str) -> Place<'_> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Place { path: format!("{}{dot}{part}", self.path), repeated: self.repeated }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self.inside(&values.len().to_string()))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                *self.repeated.borrow_mut() = Some((self.path, key));
                return Err(A::Error::custom("a key is given twice"));
            }
            let value = entries.next_value_seed(self.inside(&key))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_repetitions_is_what_serde_json_reads() {
        for text in [
            "null",
            " true ",
            "[]",
            "{}",
            r#"{"a": [1, -2, 3.5, 1e300, 18446744073709551615, "ä\n\u00e4", null, {"b": {"a": false}}], "b": {}}"#,
        ] {
            let expected: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(parse(text.as_bytes()).expect("JSON"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_said_as_serde_json_says_it() {
        let deep = "[".repeat(1000);
        for text in ["", "{", "{\"a\" 1}", "[1,]", "1 2", "1e999", "nul", "\"\u{1}\"", &deep] {
            let expected = serde_json::from_str::<Value>(text).expect_err("no JSON").to_string();
            match parse(text.as_bytes()) {
                Err(JsonError::Syntax(reason)) => assert_eq!(reason.to_string(), expected),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_repeated_key_is_named_with_its_place() {
        for (text, expected) in [
            (r#"{"a": 1, "a": 1}"#, ("", "a", 1)),
            ("{\"a\": {\"b\": 1,\n \"c\": {},\n \"\\u0062\": 2}}", ("a", "b", 3)),
            (r#"{"a": [0, {"b": null, "b": null}]}"#, ("a.1", "b", 1)),
            // A later mistake does not hide it.
            (r#"{"a": 1, "a": 1"#, ("", "a", 1)),
        ] {
            match parse(text.as_bytes()) {
                Err(JsonError::Repeated { path, key, line }) => {
                    assert_eq!((path.as_str(), key.as_str(), line), expected, "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}

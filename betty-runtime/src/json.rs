//! Reading JSON whose objects say everything once, with every number as it is written.

use std::cell::RefCell;
use std::fmt;
use std::vec::IntoIter;

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
    let numbers = RefCell::new(numbers(text).into_iter());
    let place = Place { path: String::new(), repeated: &repeated, numbers: &numbers };
    let value = place.deserialize(&mut source).and_then(|value| source.end().map(|()| value));
    value.map_err(|reason| match repeated.take() {
        Some((path, key)) => JsonError::Repeated { path, key, line: reason.line() },
        None => JsonError::Syntax(reason),
    })
}

/// The texts of all numbers, in their order. By default serde_json reads one in ten wrong by a unit in the last place; a
/// library cannot choose its feature `float_roundtrip` without choosing it for the whole program.
fn numbers(text: &[u8]) -> Vec<&[u8]> {
    let (mut numbers, mut rest) = (Vec::new(), text);
    while let Some(&first) = rest.first() {
        let length = match first {
            b'"' => length_of_text(rest),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = rest.iter().take_while(is_part).count();
                numbers.push(&rest[..length]);
                length
            }
            _ => 1,
        };
        rest = &rest[length..];
    }
    numbers
}

/// The length of a text in quotes, with them.
fn length_of_text(text: &[u8]) -> usize {
    let mut is_escaped = true;
    let ends = |byte: &u8| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    text.iter().position(ends).map_or(text.len(), |end| end + 1)
}

/// The key of the only entry of what serde_json makes of a number where some crate of the program has switched its feature
/// `arbitrary_precision` on; the entry is the number's text.
const NUMBER: &str = "$serde_json::private::Number";

/// Where a value stands, where a repeated key is noted, and the texts of the numbers that are still to come.
struct Place<'a> {
    path: String,
    repeated: &'a RefCell<Option<(String, String)>>,
    numbers: &'a RefCell<IntoIter<&'a [u8]>>,
}

impl<'a> Place<'a> {
    fn inside(&self, part: &str) -> Place<'a> {
        let dot = if self.path.is_empty() { "" } else { "." };
        Place { path: format!("{}{dot}{part}", self.path), ..*self }
    }

    /// The text of the number that is read now.
    fn number(&self) -> &'a str {
        self.numbers.borrow_mut().next().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// The text of the number that is read next.
    fn next_number(&self) -> Option<&'a str> {
        self.numbers.borrow().as_slice().first().and_then(|text| std::str::from_utf8(text).ok())
    }

    /// The number that is read now, of which serde_json has made a text with the same value; none if it is a text that stands there,
    /// under a key that is like serde_json's own.
    fn of_any_precision(&self, text: &str) -> Option<Option<Number>> {
        let same = |number: &str| number.parse::<f64>().ok().filter(|&value| text.parse() == Ok(value));
        let value = self.next_number().and_then(same)?;
        let number = self.number();
        let integer = number.parse::<u64>().map(Number::from).or_else(|_| number.parse::<i64>().map(Number::from));
        // A zero with a sign is no integer.
        Some(integer.ok().filter(|_| number != "-0").or_else(|| Number::from_f64(value)))
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
        self.number();
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.number();
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let exact = self.number().parse().unwrap_or(value);
        Number::from_f64(exact).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
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
            if let (true, NUMBER, Value::String(text)) = (object.is_empty(), key.as_str(), &value)
                && let Some(number) = self.of_any_precision(text)
            {
                return number.map(Value::Number).ok_or_else(|| A::Error::custom("number out of range"));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::MapDeserializer;

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

    /// Every number comes back bit for bit, among texts and keys that look like numbers.
    #[test]
    fn numbers_are_read_as_they_are_written() {
        let mut bits = 1_u64;
        let mut written = Vec::new();
        while written.len() < 10_000 {
            bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            let number = f64::from_bits(bits);
            written.extend(number.is_finite().then_some(number));
            // Of the size of learning rates.
            written.push((bits >> 11) as f64 / (1_u64 << 56) as f64);
        }
        for numbers in written.chunks(100) {
            let entries = numbers
                .iter()
                .enumerate()
                .map(|(i, number)| format!("\"-{i}.5\\\"1\": [{i}, \"2e3\", {number:e}, -7]"));
            let text = format!("{{{}}}", entries.collect::<Vec<_>>().join(", "));
            let read = parse(text.as_bytes()).expect("JSON");
            for (i, number) in numbers.iter().enumerate() {
                let found = &read[format!("-{i}.5\"1")];
                assert_eq!(found[2].as_f64().map(f64::to_bits), Some(number.to_bits()), "{number:e}");
                assert_eq!((found[0].as_u64(), found[3].as_i64()), (Some(i as u64), Some(-7)));
            }
        }
    }

    /// What serde_json shows of a number with its feature `arbitrary_precision`, which no crate here may switch on: it would be on for
    /// all.
    fn shown(text: &[u8], numbers_as: &str) -> Result<Value, serde_json::Error> {
        let repeated = RefCell::new(None);
        let numbers = RefCell::new(numbers(text).into_iter());
        let place = Place { path: String::new(), repeated: &repeated, numbers: &numbers };
        place.visit_map(MapDeserializer::new([(NUMBER, numbers_as)].into_iter()))
    }

    #[test]
    fn numbers_are_read_where_serde_json_keeps_their_texts() {
        // As it rewrites exponents, and as it leaves everything else.
        for (text, kept) in [
            ("5", "5"),
            ("-5", "-5"),
            ("0", "0"),
            ("-0", "-0"),
            ("0.1", "0.1"),
            ("1E5", "1e+5"),
            ("-2.5e-3", "-2.5e-3"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709551616"),
        ] {
            let expected = parse(text.as_bytes()).expect("a number");
            assert_eq!(shown(text.as_bytes(), kept).expect("a number"), expected, "{text}");
        }
        let error = shown(b"1e999", "1e+999").expect_err("it is out of range").to_string();
        assert_eq!(error, "number out of range");
    }

    /// Only the number that stands there is taken out of the text's numbers.
    #[test]
    fn an_object_with_the_key_of_numbers_is_one() {
        let text = format!(r#"{{"a": {{"{NUMBER}": "5"}}, "b": 0.25}}"#);
        let read = parse(text.as_bytes()).expect("JSON");
        assert_eq!((&read["a"][NUMBER], &read["b"]), (&Value::from("5"), &Value::from(0.25)));
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

//! The file format of a checkpoint: named tensors and a text, laid out as the safetensors format wants it.
//!
//! ```text
//! 8 bytes   length n of the header, little-endian
//! n bytes   JSON: {"__metadata__": {"format": "betty", "version": "1", "state": "…"},
//!                  name: {"dtype": "F32", "shape": […], "data_offsets": [begin, end]}, …, "crc32": …}
//! the rest  the tensors' bytes, row-major, little-endian, one after the other
//! ```
//!
//! The last tensor, `crc32`, is the checksum of all bytes before it. Any reader of safetensors finds the parameters.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use serde_json::{Map, Value};

use crate::error::CheckpointError;
use crate::json::{self, JsonError};

/// The newest version of the format.
const VERSION: u64 = 1;

/// The name of the checksum among the tensors.
const CHECKSUM: &str = "crc32";

/// The most bytes of a header that are looked at by itself.
const LONGEST: u64 = 1 << 30;

/// Bytes of the checksum.
const CHECKSUM_LENGTH: usize = 4;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Archive {
    /// Everything that is not a tensor, as JSON.
    pub(crate) state: String,
    /// Tensors by name.
    pub(crate) tensors: BTreeMap<String, TensorData>,
}

impl Archive {
    /// Adds a tensor, in a type that files know.
    pub(crate) fn insert(&mut self, name: String, data: TensorData) -> Result<(), CheckpointError> {
        let stored = stored_type(data.dtype());
        if name_of(stored).is_none() {
            return Err(CheckpointError::UnsupportedType { tensor: name, dtype: data.dtype() });
        }
        let data = if data.dtype() == stored { data } else { data.convert_dtype(stored) };
        self.tensors.insert(name, data);
        Ok(())
    }

    /// A tensor with an entry that is neither infinite nor missing in `before`, but is here.
    pub(crate) fn broken_since(&self, before: &Archive) -> Option<&str> {
        let is_finite = |data: &TensorData| !data.dtype().is_float() || data.iter::<f64>().all(f64::is_finite);
        let broken = self.tensors.iter().filter(|(_, data)| !is_finite(data));
        let mut since = broken.filter(|(name, _)| before.tensors.get(*name).is_none_or(is_finite));
        since.next().map(|(name, _)| name.as_str())
    }

    /// The bytes of a file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut header = Map::new();
        let metadata = serde_json::json!({ "format": "betty", "version": VERSION.to_string(), "state": self.state });
        header.insert("__metadata__".into(), metadata);
        let mut end = 0;
        let mut describe = |name: &str, dtype: &str, shape: &[usize], length: usize| {
            let tensor = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [end, end + length] });
            end += length;
            header.insert(name.into(), tensor);
        };
        for (name, data) in &self.tensors {
            let dtype = name_of(data.dtype()).expect("`insert` takes no other types");
            describe(name, dtype, data.shape(), data.as_bytes().len());
        }
        describe(CHECKSUM, "U32", &[1], CHECKSUM_LENGTH);
        let mut header = Value::Object(header).to_string();
        // Readers that map files into memory want aligned tensors.
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let mut bytes = Vec::with_capacity(8 + header.len() + end);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header.as_bytes());
        for data in self.tensors.values() {
            bytes.extend(data.as_bytes());
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// The state in a file, without its tensors; whether they are whole is left open.
    pub(crate) fn state_in(file: &Path) -> Option<String> {
        let mut file = File::open(file).ok()?;
        let mut length = [0; 8];
        file.read_exact(&mut length).ok()?;
        let length = u64::from_le_bytes(length);
        let mut header = Vec::new();
        // What is no length of a header ends with the file.
        file.take(length.min(LONGEST)).read_to_end(&mut header).ok()?;
        let header: Value = serde_json::from_slice(&header).ok()?;
        header["__metadata__"]["state"].as_str().map(str::to_owned)
    }

    /// The content of a file, if it is whole and unchanged.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (header, data) = split_header(bytes)?;
        let metadata = header.get("__metadata__").and_then(Value::as_object);
        let text = |key| metadata.and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
        if text("format") != Some("betty") {
            return Err(no_checkpoint("its header does not say so"));
        }
        let version = text("version").ok_or_else(|| no_checkpoint("it has no version"))?;
        let version = number(version).ok_or_else(|| no_checkpoint(&format!("its version `{version}` is no number")))?;
        if version > VERSION {
            return Err(CheckpointError::Version { found: version, known: VERSION });
        }
        let spans = header.iter().filter(|(name, _)| *name != "__metadata__").map(|(name, tensor)| span(name, tensor));
        let mut spans = spans.collect::<Result<Vec<Span<'_>>, _>>()?;
        let end = spans.iter().map(|span| span.end).max().unwrap_or(0);
        if end != data.len() || end < CHECKSUM_LENGTH {
            return Err(CheckpointError::Length {
                expected: (bytes.len() - data.len()).saturating_add(end),
                found: bytes.len(),
            });
        }
        let (sealed, checksum) = bytes.split_at(bytes.len() - CHECKSUM_LENGTH);
        let expected = u32::from_le_bytes(checksum.try_into().expect("split at its length"));
        let found = crc32fast::hash(sealed);
        if found != expected {
            return Err(CheckpointError::Damaged { expected, found });
        }
        spans.sort_by_key(|span| (span.begin, span.end));
        check_layout(&spans)?;
        let mut tensors = BTreeMap::new();
        for span in spans.into_iter().filter(|span| span.name != CHECKSUM) {
            tensors.insert(as_now_named(span.name), span.tensor(data)?);
        }
        let state = text("state").ok_or_else(|| no_checkpoint("no state"))?.to_owned();
        Ok(Archive { state, tensors })
    }
}

/// A number as it is written, without a sign or zeros before it.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Each byte belongs to one tensor, and the last ones are the checksum.
fn check_layout(spans: &[Span<'_>]) -> Result<(), CheckpointError> {
    let (mut end, mut before) = (0, "");
    for span in spans {
        if span.begin < end {
            return Err(CheckpointError::Overlap { tensor: span.name.into(), other: before.into() });
        }
        if span.begin > end {
            return Err(no_checkpoint(&format!("the bytes before tensor `{}` belong to none", span.name)));
        }
        (end, before) = (span.end, span.name);
    }
    match spans.last() {
        Some(Span { name: CHECKSUM, dtype: DType::U32, .. }) => Ok(()),
        _ => Err(no_checkpoint("its last tensor is not a checksum")),
    }
}

/// A tensor's entry in the header.
struct Span<'a> {
    name: &'a str,
    dtype: DType,
    shape: Vec<usize>,
    begin: usize,
    end: usize,
}

impl Span<'_> {
    fn tensor(self, data: &[u8]) -> Result<TensorData, CheckpointError> {
        let Span { name, dtype, shape, begin, end } = self;
        let refused = |reason: &str| no_checkpoint(&format!("tensor `{name}`: {reason}"));
        let bytes = data.get(begin..end).ok_or_else(|| refused("it has no bytes"))?;
        if dtype.is_bool() && bytes.iter().any(|byte| *byte > 1) {
            return Err(refused("one of its bytes is neither `true` nor `false`"));
        }
        TensorData::try_from_bytes_vec(bytes.to_vec(), shape, dtype).map_err(|reason| refused(&reason.to_string()))
    }
}

fn no_checkpoint(reason: &str) -> CheckpointError {
    CheckpointError::NotACheckpoint { reason: reason.into() }
}

fn split_header(bytes: &[u8]) -> Result<(Map<String, Value>, &[u8]), CheckpointError> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| no_checkpoint("it has fewer than 8 bytes"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((header, data)) = rest.split_at_checked(length) else {
        // A cut-off header still begins like one.
        return Err(if rest.starts_with(b"{\"") && length < (1 << 40) {
            CheckpointError::Length { expected: length.saturating_add(8), found: bytes.len() }
        } else {
            no_checkpoint("its first 8 bytes are not the length of a header")
        });
    };
    match json::parse(header) {
        Ok(Value::Object(header)) => Ok((header, data)),
        Ok(_) => Err(no_checkpoint("its header is no object")),
        Err(JsonError::Syntax(reason)) => Err(no_checkpoint(&format!("its header: {reason}"))),
        Err(JsonError::Repeated { path, key, .. }) if path.is_empty() => Err(CheckpointError::Repeated { name: key }),
        Err(JsonError::Repeated { path, key, .. }) => Err(CheckpointError::Repeated { name: format!("{path}.{key}") }),
    }
}

fn span<'a>(name: &'a str, tensor: &Value) -> Result<Span<'a>, CheckpointError> {
    let numbers = |value: &Value| -> Option<Vec<usize>> {
        value.as_array()?.iter().map(|number| usize::try_from(number.as_u64()?).ok()).collect()
    };
    let read = || {
        let dtype = dtype_of(tensor.get("dtype")?.as_str()?)?;
        let shape = numbers(tensor.get("shape")?)?;
        let offsets = numbers(tensor.get("data_offsets")?)?;
        let [begin, end] = offsets.try_into().ok()?;
        (begin <= end).then_some(Span { name, dtype, shape, begin, end })
    };
    read().ok_or_else(|| no_checkpoint(&format!("the header's entry of tensor `{name}` cannot be read")))
}

/// The type in which files hold a tensor.
pub(crate) fn stored_type(dtype: DType) -> DType {
    match dtype {
        DType::Flex32 => DType::F32,
        DType::Bool(_) => DType::Bool(burn::tensor::BoolStore::Native),
        other => other,
    }
}

/// The name that a path has now: releases before wrote fields as their declarations do, `net.r#type`.
pub(crate) fn as_now_named(path: &str) -> String {
    path.strip_prefix("r#").unwrap_or(path).replace(".r#", ".")
}

/// The types that files hold, with their names in them.
const TYPES: [(&str, DType); 13] = [
    ("F64", DType::F64),
    ("F32", DType::F32),
    ("F16", DType::F16),
    ("BF16", DType::BF16),
    ("I64", DType::I64),
    ("I32", DType::I32),
    ("I16", DType::I16),
    ("I8", DType::I8),
    ("U64", DType::U64),
    ("U32", DType::U32),
    ("U16", DType::U16),
    ("U8", DType::U8),
    ("BOOL", DType::Bool(burn::tensor::BoolStore::Native)),
];

fn name_of(dtype: DType) -> Option<&'static str> {
    TYPES.iter().find(|(_, known)| *known == dtype).map(|(name, _)| *name)
}

fn dtype_of(name: &str) -> Option<DType> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype)
}

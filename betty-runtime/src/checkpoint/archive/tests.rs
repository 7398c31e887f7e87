//! Files that are whole, broken, and forged.

use super::*;

fn archive() -> Archive {
    let mut archive = Archive { state: "{\"a\": 1}".into(), ..Archive::default() };
    let floats = TensorData::new(vec![1.5_f32, -2.0, f32::NAN], [3, 1]);
    let flags = TensorData::new(vec![true, false], [2]).convert_dtype(DType::Bool(burn::tensor::BoolStore::U32));
    archive.insert("net.weight".into(), floats).expect("a known type");
    archive.insert("net.mask".into(), flags).expect("a known type");
    archive.insert("net.empty".into(), TensorData::new(Vec::<i64>::new(), [0])).expect("a known type");
    archive
}

#[test]
fn a_file_gives_back_what_went_in_bit_for_bit() {
    let archive = archive();
    let back = Archive::decode(&archive.encode()).expect("a whole file");
    assert_eq!(back, archive);
    assert_eq!(back.tensors["net.mask"].iter::<bool>().collect::<Vec<_>>(), [true, false]);
}

#[test]
fn every_cut_is_noticed() {
    let bytes = archive().encode();
    for end in 0..bytes.len() {
        let error = Archive::decode(&bytes[..end]).expect_err("a part is not the whole");
        if end >= 16 {
            assert!(matches!(error, CheckpointError::Length { .. }), "{end}: {error}");
        }
    }
    assert!(matches!(Archive::decode(&[&bytes[..], &[0]].concat()), Err(CheckpointError::Length { .. })));
}

#[test]
fn every_changed_bit_is_noticed() {
    let bytes = archive().encode();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[position] ^= 1 << bit;
            assert!(Archive::decode(&changed).is_err(), "byte {position}, bit {bit}");
        }
    }
}

#[test]
fn a_newer_version_and_other_files_are_told_apart() {
    let bytes = archive().encode();
    let text = bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    let newer: Vec<u8> = text.replace("\"version\":\"1\"", "\"version\":\"2\"").chars().map(|c| c as u8).collect();
    assert!(matches!(Archive::decode(&newer), Err(CheckpointError::Version { found: 2, known: 1 })));
    for other in [&b""[..], b"PNG", b"\x89PNG\r\n\x1a\n and so on and so on", &[0; 64], &[255; 64]] {
        assert!(matches!(Archive::decode(other), Err(CheckpointError::NotACheckpoint { .. })), "{other:?}");
    }
}

#[test]
fn a_quantized_tensor_is_refused_by_name() {
    let scheme = burn::tensor::quantization::QuantScheme::default();
    let data = TensorData::quantized(vec![1_i8, 2], [2], scheme, &[1.0], None);
    let error = Archive::default().insert("net.weight".into(), data).expect_err("not a plain type");
    assert!(error.to_string().contains("net.weight"), "{error}");
}

/// A file with another header, and with a checksum that fits it.
fn forged(bytes: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))).expect("small");
    let header = std::str::from_utf8(&bytes[8..8 + length]).expect("a text");
    let changed = change(header);
    assert_ne!(changed, header, "nothing was forged");
    let mut forged = (changed.len() as u64).to_le_bytes().to_vec();
    forged.extend(changed.as_bytes());
    forged.extend(&bytes[8 + length..bytes.len() - CHECKSUM_LENGTH]);
    forged.extend(crc32fast::hash(&forged).to_le_bytes());
    forged
}

/// The tensors are `net.empty` (0..0), `net.mask` (0..2), `net.weight` (2..14) and the checksum (14..18).
#[test]
fn what_no_release_has_written_is_refused_whatever_its_checksum_says() {
    let bytes = archive().encode();
    for (from, to, says) in [
        (r#""version":"1""#, r#""version":"+1""#, "it is no checkpoint of betty: its version `+1` is no number"),
        (r#""version":"1""#, r#""version":"01""#, "it is no checkpoint of betty: its version `01` is no number"),
        (r#","version":"1""#, "", "it is no checkpoint of betty: it has no version"),
        ("[2,14]", "[1,14]", "its tensors `net.weight` and `net.mask` overlap; it was not written by betty"),
        ("[2,14]", "[0,2]", "its tensors `net.weight` and `net.mask` overlap; it was not written by betty"),
        ("[2,14]", "[14,2]", "the header's entry of tensor `net.weight` cannot be read"),
        ("[0,2]", "[1,2]", "the bytes before tensor `net.mask` belong to none"),
        ("[2,14]", "[3,14]", "the bytes before tensor `net.weight` belong to none"),
        ("[3,1]", "[3,2]", "it is no checkpoint of betty: tensor `net.weight`: Shape [3, 2]"),
        ("[3,1]", "[4611686018427387907,4]", "it is no checkpoint of betty: tensor `net.weight`: Shape"),
        (r#""net.empty""#, r#""net.mask""#, "its header names `net.mask` twice; it was not written by betty"),
        (r#""shape":[2]"#, r#""shape":[2],"shape":[1]"#, "its header names `net.mask.shape` twice"),
        (r#""crc32""#, r#""crc33""#, "its last tensor is not a checksum"),
        (r#""U32""#, r#""F32""#, "its last tensor is not a checksum"),
        (r#""F32""#, r#""F31""#, "the header's entry of tensor `net.weight` cannot be read"),
    ] {
        let error = Archive::decode(&forged(&bytes, |header| header.replacen(from, to, 1))).expect_err(to);
        assert!(error.to_string().contains(says), "{to}: {error}");
    }
    let sealed = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - CHECKSUM_LENGTH);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    };
    let mut neither = bytes.clone();
    let mask = bytes.len() - 18;
    assert_eq!(neither[mask..mask + 2], [1, 0]);
    neither[mask] = 2;
    let error = Archive::decode(&sealed(neither)).expect_err("no boolean");
    assert!(error.to_string().contains("tensor `net.mask`: one of its bytes is neither"), "{error}");
}

/// Releases before named fields as their declarations do.
#[test]
fn names_of_fields_have_no_marks() {
    let mut old = Archive { state: "{}".into(), ..Archive::default() };
    let one = TensorData::new(vec![1.0_f32], [1]);
    for name in ["net.r#type.r#in", "optimizer:net.r#gen.weight:0", "net.order#1"] {
        old.insert(name.into(), one.clone()).expect("a known type");
    }
    let read = Archive::decode(&old.encode()).expect("a whole file");
    let names: Vec<&str> = read.tensors.keys().map(String::as_str).collect();
    assert_eq!(names, ["net.order#1", "net.type.in", "optimizer:net.gen.weight:0"]);
    assert_eq!(["r#type", "a.r#in", "type"].map(as_now_named), ["type", "a.in", "type"]);
}

//! IDX files: whole, gzipped, and broken in every way.

use std::fs;
use std::io::Write;
use std::path::Path;

use betty_examples::data::load_idx;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";

/// A file of bytes with these dimensions.
pub(crate) fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// A folder of two training images and one test image of 1 × 2 pixels.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).expect("writable");
    write(TRAIN_IMAGES, idx(&[2, 1, 2], &[0, 255, 51, 102]));
    write(TRAIN_LABELS, idx(&[2], &[1, 0]));
    write("t10k-images-idx3-ubyte", idx(&[1, 1, 2], &[255, 0]));
    write("t10k-labels-idx1-ubyte.gz", gzip(&idx(&[1], &[2])));
    folder
}

fn message(folder: &Path) -> String {
    load_idx(folder).expect_err("broken").to_string()
}

/// What is said when `name` has this content.
fn message_with(name: &str, content: Vec<u8>) -> String {
    let folder = folder();
    fs::write(folder.path().join(name), content).expect("writable");
    let message = message(folder.path());
    let path = folder.path().join(name);
    let prefix = format!("cannot use `{}`: ", path.display());
    message.strip_prefix(&prefix).unwrap_or_else(|| panic!("`{message}` does not name {name}")).into()
}

#[test]
fn plain_and_gzipped_files_are_read() {
    let folder = folder();
    let (train, test) = load_idx(folder.path()).expect("whole");
    assert_eq!((train.len(), train.shape(), train.classes()), (2, [1, 1, 2], 3));
    assert_eq!((train.image(0), train.image(1)), (&[0.0, 1.0][..], &[0.2, 0.4][..]));
    assert_eq!((train.labels(), test.labels()), (&[1, 0][..], &[2][..]));
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder();
    fs::remove_file(folder.path().join(TRAIN_LABELS)).expect("there");
    let message = message(folder.path());
    assert!(message.contains(TRAIN_LABELS) && message.contains("there is no such file"), "{message}");
}

#[test]
fn a_folder_in_place_of_a_file_is_a_read_error() {
    let folder = folder();
    fs::remove_file(folder.path().join(TRAIN_LABELS)).expect("there");
    fs::create_dir(folder.path().join(TRAIN_LABELS)).expect("free");
    assert!(message(folder.path()).contains("reading failed"));
}

#[test]
fn short_headers_say_where_they_end() {
    assert_eq!(message_with(TRAIN_IMAGES, vec![]), "the header needs 16 bytes, but the file ends after 0");
    let cut = idx(&[2, 1, 2], &[])[..13].to_vec();
    assert_eq!(message_with(TRAIN_IMAGES, cut), "the header needs 16 bytes, but the file ends after 13");
}

#[test]
fn another_kind_of_file_is_recognised() {
    let message = message_with(TRAIN_IMAGES, b"%PDF-1.4 and so on".to_vec());
    assert!(message.starts_with("its magic number is 0x25504446, not 0x00000803"), "{message}");
    let swapped = message_with(TRAIN_IMAGES, idx(&[2], &[1, 0]));
    assert!(swapped.starts_with("its magic number is 0x00000801, not 0x00000803"), "{swapped}");
}

#[test]
fn truncated_and_overlong_files_are_counted() {
    let short = message_with(TRAIN_IMAGES, idx(&[2, 1, 2], &[0, 1, 2]));
    assert_eq!(short, "its header promises 4 values, but the file ends after 3");
    let long = message_with(TRAIN_IMAGES, idx(&[2, 1, 2], &[0; 9]));
    assert_eq!(long, "bytes follow after the 4 values that its header promises");
}

#[test]
fn absurd_sizes_do_not_allocate() {
    let message = message_with(TRAIN_IMAGES, idx(&[u32::MAX, u32::MAX, u32::MAX], &[]));
    assert!(message.contains("which is too many"), "{message}");
}

/// What the headers tell is told before a value is read: these files promise 4 GiB and hold none, so whoever looks at values
/// first finds them cut short.
#[test]
fn no_value_is_read_before_all_headers_fit() {
    let promises = [1 << 12, 1 << 10, 1 << 10];
    let folder = folder();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).expect("writable");
    fs::remove_file(folder.path().join(TRAIN_IMAGES)).expect("there");
    for (name, bytes) in
        [(TRAIN_IMAGES.to_owned(), idx(&promises, &[])), (format!("{TRAIN_IMAGES}.gz"), gzip(&idx(&promises, &[])))]
    {
        write(&name, bytes);
        let text = message(folder.path());
        assert!(text.ends_with("it has 2 labels for 4096 images"), "{text}");
        // Equally many labels, but test images of another size.
        write(TRAIN_LABELS, idx(&[1 << 12], &[]));
        let text = message(folder.path());
        assert!(text.ends_with("its images have 1 × 2 pixels, those for training 1024 × 1024"), "{text}");
        // All headers fit; now values are read, of the smaller file first.
        write("t10k-images-idx3-ubyte", idx(&[1, 1 << 10, 1 << 10], &[]));
        let text = message(folder.path());
        assert!(text.contains(TRAIN_LABELS) && text.ends_with("4096 values, but the file ends after 0"), "{text}");
        write("t10k-images-idx3-ubyte", idx(&[1, 1, 2], &[255, 0]));
        write(TRAIN_LABELS, idx(&[2], &[1, 0]));
        fs::remove_file(folder.path().join(name)).expect("there");
    }
}

#[test]
fn damaged_compression_is_a_read_error() {
    let folder = folder();
    fs::remove_file(folder.path().join(TRAIN_LABELS)).expect("there");
    let whole = gzip(&idx(&[2], &[1, 0]));
    for damaged in [whole[..whole.len() - 6].to_vec(), b"no gzip at all".to_vec()] {
        fs::write(folder.path().join(format!("{TRAIN_LABELS}.gz")), damaged).expect("writable");
        let message = message(folder.path());
        assert!(message.contains(&format!("{TRAIN_LABELS}.gz`")) && message.contains("reading failed"), "{message}");
    }
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    assert_eq!(message_with(TRAIN_LABELS, idx(&[3], &[0, 0, 0])), "it has 3 labels for 2 images");
    let pixels = message_with("t10k-images-idx3-ubyte", idx(&[1, 1, 1], &[0]));
    assert_eq!(pixels, "its images have 1 × 1 pixels, those for training 1 × 2");
}

#[test]
fn sets_without_examples_or_pixels_are_refused() {
    let folder = folder();
    fs::write(folder.path().join(TRAIN_IMAGES), idx(&[0, 1, 2], &[])).expect("writable");
    fs::write(folder.path().join(TRAIN_LABELS), idx(&[0], &[])).expect("writable");
    assert!(message(folder.path()).ends_with("it holds no example"));
    fs::write(folder.path().join(TRAIN_IMAGES), idx(&[2, 0, 2], &[])).expect("writable");
    fs::write(folder.path().join(TRAIN_LABELS), idx(&[2], &[0, 1])).expect("writable");
    fs::write(folder.path().join("t10k-images-idx3-ubyte"), idx(&[1, 0, 2], &[])).expect("writable");
    assert!(message(folder.path()).ends_with("images without pixels"));
}

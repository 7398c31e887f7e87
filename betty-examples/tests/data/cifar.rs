//! CIFAR's binary files: whole ones, and broken ones.

use std::fs;
use std::path::Path;

use betty_examples::data::{ImagesError, load_images};
use tempfile::TempDir;

/// A record: its labels, and an image whose red is 51, whose green is 102 but for the first pixel, and whose blue is 255.
fn record(labels: &[u8]) -> Vec<u8> {
    let mut green = vec![102; 1024];
    green[0] = 0;
    [labels, &[51; 1024], &green, &[255; 1024]].concat()
}

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).expect("writable"));
    folder
}

fn message(folder: &Path) -> String {
    let error = load_images(folder).expect_err("broken");
    assert!(matches!(error, ImagesError::Cifar(_)), "{error}");
    error.to_string()
}

fn ten() -> TempDir {
    let names = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
    let batches = names.into_iter().zip(0..).map(|(name, batch)| (name, [record(&[batch]), record(&[9])].concat()));
    folder(&batches.chain([("test_batch.bin", record(&[3]))]).collect::<Vec<_>>())
}

#[test]
fn ten_and_a_hundred_classes_are_read() {
    let (train, test) = load_images(ten().path()).expect("whole");
    assert_eq!((train.labels(), test.labels()), (&[0, 9, 1, 9, 2, 9, 3, 9, 4, 9][..], &[3][..]));
    assert_eq!((train.shape(), train.classes()), ([3, 32, 32], 10));
    let image = train.image(7);
    assert_eq!([0, 1023, 1024, 1025, 2047, 2048, 3071].map(|at| image[at]), [0.2, 0.2, 0.0, 0.4, 0.4, 1.0, 1.0]);

    // The coarse class comes first, and is not taken.
    let hundred =
        folder(&[("train.bin", record(&[4, 72])), ("test.bin", [record(&[0, 99]), record(&[19, 0])].concat())]);
    let (train, test) = load_images(hundred.path()).expect("whole");
    assert_eq!((train.labels(), test.labels(), test.classes()), (&[72][..], &[99, 0][..], 100));
    assert_eq!(test.image(1)[3071], 1.0);
}

#[test]
fn what_is_damaged_is_named() {
    let ten = ten();
    let third = ten.path().join("data_batch_3.bin");
    let named = |says: &str| format!("cannot use `{}`: {says}", third.display());
    fs::write(&third, &record(&[1])[..3000]).expect("writable");
    let says = "its 3000 bytes are no whole number of records of 3073 bytes; is it the binary version, and whole?";
    assert_eq!(message(ten.path()), named(says));
    fs::write(&third, []).expect("writable");
    assert_eq!(message(ten.path()), named("it holds no example"));
    fs::write(&third, record(&[10])).expect("writable");
    assert_eq!(message(ten.path()), named("label 10 of example 0 is not below the number of classes, 10"));
    fs::remove_file(&third).expect("there");
    assert!(message(ten.path()).starts_with(&named("reading failed")));
}

#[test]
fn a_folder_with_nothing_that_is_known_says_what_is() {
    let folder = folder(&[("data_batch_1", vec![1])]);
    let message = load_images(folder.path()).expect_err("Python's pickles").to_string();
    for form in ["IDX", "CIFAR-10", "`train/CLASS`"] {
        assert!(message.contains(form), "{message}");
    }
}

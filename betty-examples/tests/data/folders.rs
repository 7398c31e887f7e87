//! Folders of images: every kind of PNG and JPEG file, and what does not fit.

use std::fs;
use std::path::Path;

use betty_examples::data::{ImagesError, load_images};
use tempfile::TempDir;

/// Images of 4 rows and 6 columns, as Pillow writes them: grey at 77, or of the colour (200, 100, 50).
const GREY: &str = "89504e470d0a1a0a0000000d4948445200000006000000040800000000886f119f000000134944415478da63f465606060606062c042010008ab\
                    0055e54891cb0000000049454e44ae426082";
pub(crate) const COLOUR: &str = "89504e470d0a1a0a0000000d49484452000000060000000408020000002266d914000000144944415478da633c9162c4800a98183000714200\
                      673e0166c225fdba0000000049454e44ae426082";
const TRANSPARENT: &str = "89504e470d0a1a0a0000000d4948445200000006000000040806000000ad044e43000000164944415478da633c9162c4c580053031e000a4\
                           4b00008c4601700e3cff4f0000000049454e44ae426082";
const TRANSPARENT_GREY: &str = "89504e470d0a1a0a0000000d4948445200000006000000040804000000070d86c8000000124944415478da63f46566800326060662380010\
                                f10058dedddd4e0000000049454e44ae426082";
const SIXTEEN_BITS: &str = "89504e470d0a1a0a0000000d4948445200000006000000041000000000d8ffcddc000000124944415478da63f4e5648003260606623800121d\
                            005ede60c39d0000000049454e44ae426082";
/// The second pixel is (20, 60, 240), or black where all others are white.
const PALETTE: &str = "89504e470d0a1a0a0000000d494844520000000600000004010300000097cadc0000000006504c5445c86432143cf0bb2d44fe0000001049\
                       44415478da6370606060606060000001c80041c399fbfc0000000049454e44ae426082";
const ONE_BIT: &str = "89504e470d0a1a0a0000000d4948445200000006000000040100000000857f73ee000000104944415478da63d8c3f08789818901000a2401bd\
                       d7adc45a0000000049454e44ae426082";
const JPEG: &str = "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a070706080c0a0c0c0b0a0b\
                    0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffdb00430103040405040509050509140d0b0d141414141414141414\
                    1414141414141414141414141414141414141414141414141414141414141414141414141414141414141414141414ffc00011080004000603011100\
                    021101031101ffc40014000100000000000000000000000000000004ffc40014100100000000000000000000000000000000ffc40015010101000000\
                    00000000000000000000000708ffc40014110100000000000000000000000000000000ffda000c03010002110311003f00203d483fffd9";
const GREY_JPEG: &str = "ffd8ffe000104a46494600010100000100010000ffdb0043000302020302020303030304030304050805050404050a070706080c0a0c0c0b0a0b\
                         0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffc0000b080004000601011100ffc4001400010000000000000000\
                         0000000000000008ffc40014100100000000000000000000000000000000ffda0008010100003f003bbfffd9";
/// 8 × 8 pixels, grey.
const OTHER_SIZE: &str = "89504e470d0a1a0a0000000d4948445200000008000000080800000000e164e1570000001049444154789c63f465800026068a180017e3005d8308\
                          9c260000000049454e44ae426082";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).expect("a digit") as u8).collect();
    digits.chunks(2).map(|pair| 16 * pair[0] + pair[1]).collect()
}

/// `(path, image)` within a new folder.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    files.iter().for_each(|(name, hex)| write(folder.path(), name, &bytes(hex)));
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("within the folder")).expect("possible");
    fs::write(path, bytes).expect("writable");
}

/// What is said of a path within the folder.
fn message(folder: &Path, path: &str) -> String {
    let error = load_images(folder).expect_err("broken");
    assert!(matches!(error, ImagesError::Folders(_)), "{error}");
    let prefix = format!("cannot use `{}`: ", folder.join(path).display());
    let message = error.to_string();
    message.strip_prefix(&prefix).unwrap_or_else(|| panic!("`{message}` does not name {path}")).into()
}

fn levels(image: &[f32], at: &[usize]) -> Vec<f32> {
    at.iter().map(|&at| (255.0 * image[at]).round()).collect()
}

#[test]
fn grey_images_have_one_channel() {
    let folder = folder(&[
        ("train/b/1.png", GREY),
        ("train/b/2.PNG", TRANSPARENT_GREY),
        ("train/a/3.png", SIXTEEN_BITS),
        ("train/a/4.jpg", GREY_JPEG),
        ("train/a/5.png", ONE_BIT),
        ("test/b/.hidden", ""),
        ("test/b/1.png", GREY),
    ]);
    let (train, test) = load_images(folder.path()).expect("whole");
    assert_eq!((train.shape(), train.classes()), ([1, 4, 6], 2));
    // Classes and files in the order of the alphabet.
    assert_eq!((train.labels(), test.labels()), (&[0, 0, 0, 1, 1][..], &[1][..]));
    for index in [0, 1, 3, 4] {
        assert_eq!(levels(train.image(index), &[0, 1, 23]), [77.0; 3], "{index}");
    }
    assert_eq!(levels(train.image(2), &[0, 1, 23]), [255.0, 0.0, 255.0]);
}

#[test]
fn where_one_image_has_colours_all_have_three_channels() {
    let names = [("1.png", COLOUR), ("2.png", TRANSPARENT), ("3.png", PALETTE), ("4.jpeg", JPEG), ("5.png", GREY)];
    let names = names.map(|(name, image)| (format!("train/a/{name}"), image));
    let mut files: Vec<(&str, &str)> = names.iter().map(|(name, image)| (name.as_str(), *image)).collect();
    files.push(("test/a/1.png", GREY));
    let (train, test) = load_images(folder(&files).path()).expect("whole");
    assert_eq!((train.shape(), test.shape()), ([3, 4, 6], [3, 4, 6]));
    // Channel by channel.
    for index in 0..4 {
        assert_eq!(
            levels(train.image(index), &[0, 23, 24, 47, 48, 71]),
            [200.0, 200.0, 100.0, 100.0, 50.0, 50.0],
            "{index}"
        );
    }
    assert_eq!(levels(train.image(2), &[1, 25, 49]), [20.0, 60.0, 240.0]);
    assert_eq!(levels(train.image(4), &[1, 25, 49]), [77.0; 3]);
}

#[test]
fn what_does_not_fit_is_named() {
    let good = [("train/a/1.png", GREY), ("test/a/1.png", GREY)];
    let with = |name: &'static str, image: &'static str| folder(&[&good[..], &[(name, image)]].concat());
    let says = |name: &'static str, image: &'static str, path: &str| message(with(name, image).path(), path);
    let size = "it has 8 × 8 pixels, and the first image 4 × 6; bring all images to one size first";
    assert_eq!(says("test/a/2.png", OTHER_SIZE, "test/a/2.png"), size);
    assert_eq!(says("test/b/1.png", GREY, "test/b"), "there is no such class to train on");
    assert!(says("train/a/notes.txt", "", "train/a/notes.txt").starts_with("it is neither a folder of images nor"));
    assert!(says("train/1.png", GREY, "train/1.png").starts_with("it is neither a folder of images nor"));
    assert!(says("train/b/.hidden", "", "train/b").starts_with("it holds no `.png`"));
    for (name, image) in [("train/a/2.png", &GREY[..80]), ("train/a/2.jpg", &GREY[..80]), ("train/a/2.png", "")] {
        let message = says(name, image, name);
        assert!(message.starts_with("it is no image that can be read: "), "{message}");
    }
    let missing = folder(&good[..1]);
    assert_eq!(
        message(missing.path(), "test"),
        "there is no such folder; images are expected in `train/CLASS` and `test/CLASS`"
    );
    let empty = folder(&[("train/.hidden", "")]);
    assert_eq!(message(empty.path(), "train"), "it holds no folder, but one for each class is expected");
}

#[test]
fn a_damaged_check_sum_is_noticed() {
    let folder = folder(&[("train/a/1.png", GREY), ("test/a/1.png", GREY)]);
    let mut damaged = bytes(COLOUR);
    let at = damaged.len() - 20;
    damaged[at] ^= 1;
    write(folder.path(), "train/a/2.png", &damaged);
    assert!(message(folder.path(), "train/a/2.png").starts_with("it is no image that can be read: "));
}

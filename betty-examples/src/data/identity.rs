//! Which data a run was begun with, so that it is not taken up with others, wherever they lie and whatever lies beside them.

use std::fs;
use std::path::Path;

use flate2::Crc;

use super::Dataset;

/// The images and labels of several data sets, in their order, by their number and a checksum: labels that were corrected in place are
/// other data.
#[must_use]
pub fn identity<'d>(sets: impl IntoIterator<Item = &'d Dataset>) -> String {
    let (mut sum, mut count) = (Crc::new(), 0);
    for set in sets {
        count += set.len();
        for index in 0..set.len() {
            sum.update(&[set.labels()[index]]);
            set.image(index).iter().for_each(|value| sum.update(&value.to_le_bytes()));
        }
        sum.update(&set.len().to_le_bytes());
    }
    format!("{count} images, crc32 {:08x}", sum.sum())
}

/// What a file holds, by its size and a checksum. One that cannot be read is named by its path; whoever loads it says why.
#[must_use]
pub fn identity_of_file(path: &Path) -> String {
    let Ok(content) = fs::read(path) else { return path.display().to_string() };
    let mut sum = Crc::new();
    sum.update(&content);
    format!("{} bytes, crc32 {:08x}", content.len(), sum.sum())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn data_that_were_changed_are_others_and_data_that_were_moved_are_not() {
        let of = |images: &[f32], labels: &[u8]| Dataset::new(images.into(), labels.into(), [1, 1, 2], 3).unwrap();
        let (one, other) = (of(&[0.0, 0.5, 1.0, 0.25], &[1, 2]), of(&[0.0, 0.5], &[1]));
        let before = identity([&one, &other]);
        assert!(before.starts_with("3 images, crc32 "), "{before}");
        assert_eq!(before, identity([&one.clone(), &other]));
        for changed in [of(&[0.0, 0.5, 1.0, 0.25], &[1, 1]), of(&[0.0, 0.5, 0.25, 1.0], &[1, 2])] {
            assert_ne!(before, identity([&changed, &other]));
        }
        assert_ne!(before, identity([&other, &one]));

        let folder = tempfile::tempdir().unwrap();
        let [file, moved, absent] = ["table.csv", "moved.csv", "absent"].map(|name| folder.path().join(name));
        fs::write(&file, "x,y\n1,0\n").unwrap();
        let before = identity_of_file(&file);
        assert!(before.starts_with("8 bytes, crc32 "), "{before}");
        fs::rename(&file, &moved).unwrap();
        assert_eq!(before, identity_of_file(&moved));
        fs::write(&moved, "x,y\n1,1\n").unwrap();
        assert_ne!(before, identity_of_file(&moved));
        assert_eq!(identity_of_file(&absent), absent.display().to_string());
    }
}

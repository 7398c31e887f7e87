//! Which data a run was begun with, so that it is not taken up with others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flate2::Crc;

/// A file or folder, by its whole path, its size and a checksum of all that it holds: labels that were corrected in place are other data.
/// What cannot be read is named by its path alone; whoever loads it says why.
#[must_use]
pub fn identity(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or(path.into());
    let mut sum = Crc::new();
    let mut bytes = 0;
    match add(&path, &mut sum, &mut bytes) {
        Ok(()) => format!("{}, {bytes} bytes, crc32 {:08x}", path.display(), sum.sum()),
        Err(_) => path.display().to_string(),
    }
}

fn add(path: &Path, sum: &mut Crc, bytes: &mut u64) -> io::Result<()> {
    if path.is_dir() {
        let mut inside: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        inside.sort();
        return inside.iter().try_for_each(|path| add(path, sum, bytes));
    }
    let content = fs::read(path)?;
    *bytes += content.len() as u64;
    sum.update(path.file_name().unwrap_or_default().as_encoded_bytes());
    sum.update(&content);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn data_that_were_changed_in_place_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let (file, inner) = (folder.path().join("table.csv"), folder.path().join("train"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "x,y\n1,0\n").unwrap();
        fs::write(inner.join("0.png"), "image").unwrap();
        let before = [identity(&file), identity(folder.path())];
        assert_eq!(before, [identity(&file), identity(folder.path())]);
        assert!(before[0].contains("table.csv, 8 bytes, crc32 "), "{}", before[0]);
        fs::write(&file, "x,y\n1,1\n").unwrap();
        let after = [identity(&file), identity(folder.path())];
        assert!(before[0] != after[0] && before[1] != after[1]);
        fs::rename(inner.join("0.png"), inner.join("1.png")).unwrap();
        assert_ne!(identity(folder.path()), after[1]);
        let absent = folder.path().join("absent");
        assert_eq!(identity(&absent), absent.display().to_string());
    }
}

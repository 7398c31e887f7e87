//! Writing a file as a whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Hidden files of this name are ours: what is being written, or what a run left that was killed while it wrote.
const PREFIX: &str = ".betty-";
const SUFFIX: &str = ".tmp";

/// Replaces `file` by these bytes. It holds either the old or the new ones at any time, also after a crash and with other
/// runs that write it: they are written beside the file, which is then renamed, because only renaming is atomic.
///
/// A link is followed, and its target is replaced. A file that was there keeps its mode. What runs left that were killed
/// while they wrote into the same folder is taken away.
///
/// # Errors
/// When the file or its folder cannot be written; then the file is as it was.
pub fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    match Replacement::begin(file)? {
        Some(replacement) => replacement.finish(bytes),
        // A device or a pipe cannot be replaced; a folder refuses.
        None => OpenOptions::new().write(true).open(file)?.write_all(bytes),
    }
}

/// A hidden file beside a file, which is taken away as what runs left if nobody has locked it.
pub(super) fn hidden(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{PREFIX}{name}{SUFFIX}"))
}

/// Whether a file could be replaced now.
pub(crate) fn check(file: &Path) -> io::Result<()> {
    match Replacement::begin(file)? {
        Some(_) => Ok(()),
        None if file.is_dir() => Err(ErrorKind::IsADirectory.into()),
        None => Ok(()),
    }
}

/// What will be a file.
struct Replacement {
    target: PathBuf,
    permissions: Option<Permissions>,
    temporary: NamedTempFile,
}

impl Replacement {
    /// The beginning of a new content, or `None` if there is something that is no file.
    fn begin(file: &Path) -> io::Result<Option<Self>> {
        let (target, permissions) = match fs::metadata(file) {
            Ok(found) if found.is_file() => (fs::canonicalize(file)?, Some(found.permissions())),
            Ok(_) => return Ok(None),
            // `out/run/` is no name of a file, though the folder `out` may well be there.
            Err(error) if error.kind() == ErrorKind::NotFound && !ends_in_a_name(file) => {
                return Err(ErrorKind::IsADirectory.into());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => (missing_target(file), None),
            Err(error) => return Err(error),
        };
        let folder = match target.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(ErrorKind::InvalidInput.into()),
        };
        sweep(folder);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        if permissions.is_none() {
            for_all(&mut builder);
        }
        let temporary = temporary(&builder, folder)?;
        Ok(Some(Replacement { target, permissions, temporary }))
    }

    fn finish(mut self, bytes: &[u8]) -> io::Result<()> {
        self.temporary.write_all(bytes)?;
        if let Some(permissions) = self.permissions {
            self.temporary.as_file().set_permissions(permissions)?;
        }
        self.temporary.as_file().sync_all()?;
        self.temporary.persist(self.target).map(drop).map_err(|failed| failed.error)
    }
}

/// Whether a path ends in a name, and not in a separator or in `.`, which `Path` takes for nothing.
fn ends_in_a_name(file: &Path) -> bool {
    let last = file.as_os_str().as_encoded_bytes().rsplit(|&byte| std::path::is_separator(char::from(byte))).next();
    last.is_some_and(|last| !matches!(last, b"" | b"." | b".."))
}

/// Where a file will be that is not there: behind all links that lead to nothing.
fn missing_target(file: &Path) -> PathBuf {
    let mut target = file.to_owned();
    while let Ok(link) = fs::read_link(&target) {
        target = target.parent().map_or_else(|| link.clone(), |folder| folder.join(&link));
    }
    target
}

/// A new file in `folder`, locked, so that others see that somebody writes it.
fn temporary(builder: &tempfile::Builder<'_, '_>, folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let temporary = builder.tempfile_in(folder)?;
        let locked = temporary.as_file().try_lock();
        // Before it was locked, a sweep may have taken it for one that was left.
        let swept = matches!(locked, Err(TryLockError::WouldBlock)) || !temporary.path().try_exists()?;
        if !swept {
            return Ok(temporary);
        }
    }
}

/// The mode of files that a program makes, less what the user's mask takes away.
#[cfg(unix)]
fn for_all(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn for_all(_: &mut tempfile::Builder<'_, '_>) {}

/// Takes temporary files away that nobody writes any more. The lock of a process ends with it, so one that can be locked is
/// left over; where files cannot be locked, they stay.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
    for entry in entries.flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && entry.file_name().to_str().is_some_and(is_ours) {
            let path = entry.path();
            let left = |file: File| file.try_lock().is_ok().then_some(file);
            // Held until it is gone: whoever has just made it sees either the lock or that it is gone.
            if let Some(_lock) = OpenOptions::new().write(true).open(&path).ok().and_then(left) {
                drop(fs::remove_file(&path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn names(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn many_writers_of_one_file_do_not_meet() {
        let folder = folder();
        let file = folder.path().join("file");
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let file = &file;
                scope.spawn(move || (0..200).for_each(|_| replace(file, &[writer; 4096]).expect("written")));
            }
        });
        let bytes = fs::read(&file).expect("there");
        assert!(bytes.len() == 4096 && bytes.iter().all(|byte| *byte == bytes[0]), "parts of two writers");
        assert_eq!(names(folder.path()), ["file".to_owned()].into());
    }

    #[test]
    fn what_a_killed_run_left_goes_and_what_is_written_stays() {
        let folder = folder();
        for name in [".betty-killed.tmp", ".betty-alive.tmp", ".betty-notes", "betty.tmp"] {
            fs::write(folder.path().join(name), "a part").expect("writable");
        }
        let alive = File::open(folder.path().join(".betty-alive.tmp")).expect("there");
        alive.lock().expect("locked");
        replace(&folder.path().join("file"), b"whole").expect("written");
        let expected = [".betty-alive.tmp", ".betty-notes", "betty.tmp", "file"].map(str::to_owned);
        assert_eq!(names(folder.path()), expected.into());
    }

    #[test]
    fn a_folder_is_no_file_to_write() {
        let folder = folder();
        let refused = |path: &Path| {
            assert_eq!(check(path).expect_err("a folder").kind(), ErrorKind::IsADirectory, "{}", path.display());
            replace(path, b"a file").expect_err("a folder");
        };
        refused(folder.path());
        for name in ["run/", "run/.", "run/.."] {
            refused(&folder.path().join(name));
        }
        check(&folder.path().join("run")).expect("free");
        check(&folder.path().join("größe")).expect("free");
        assert_eq!(names(folder.path()), BTreeSet::new());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_modes_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = folder();
        let [disk, link] = ["disk", "link"].map(|name| folder.path().join(name));
        fs::create_dir(&disk).expect("free");
        let target = disk.join("target");
        // Relative, twice, and to nothing at first.
        symlink("other", &link).expect("free");
        symlink("disk/target", folder.path().join("other")).expect("free");
        let plain = folder.path().join("plain");
        fs::write(&plain, "").expect("writable");
        let mode = |file: &Path| fs::metadata(file).expect("there").permissions().mode() & 0o7777;
        for content in ["first", "second"] {
            replace(&link, content.as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&target).expect("there"), content);
            assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        }
        assert_eq!(mode(&target), mode(&plain), "a new file is like any other");
        assert_eq!(names(&disk), ["target".to_owned()].into(), "written in the folder of the target");
        for kept in [0o600, 0o640, 0o444] {
            fs::set_permissions(&target, Permissions::from_mode(kept)).expect("ours");
            replace(&link, b"third").expect("written");
            assert_eq!(mode(&target), kept);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_replaced_by_one() {
        replace(Path::new("/dev/null"), b"nothing").expect("a device takes anything");
        assert!(!fs::metadata("/dev/null").expect("there").is_file());
        let folder = folder();
        replace(folder.path(), b"a file").expect_err("a folder");
        assert!(folder.path().is_dir());
        // A link in a circle.
        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).expect("free");
        replace(&circle, b"a file").expect_err("nowhere");
    }
}

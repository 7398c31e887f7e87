//! The last checkpoints, to go back to.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::error::WatchError;
use super::log::not_written;
use crate::checkpoint::Label;
use crate::error::DataError;
use crate::{Checkpoint, Current, Event, Looks, Multilevel, Observer, Warning};

/// Keeps the last checkpoints: beside every one that [`Engine::save_every`](crate::Engine::save_every) writes, another file with
/// the iteration in its name, `run.300.safetensors` beside `run.safetensors`, of which only the last are kept. A run that goes back
/// to one of them takes those away that were written after it, once it is saved again. Other files with such names stay: what is
/// taken away is a checkpoint of this program, with this seed, after the iteration in its name. One that cannot be written is an
/// [`Event::Warning`], and the run goes on.
#[derive(Debug)]
pub struct KeepLast {
    count: usize,
}

impl KeepLast {
    /// Keeps the last `count` checkpoints (at least 1).
    #[must_use]
    pub fn new(count: usize) -> Self {
        KeepLast { count: count.max(1) }
    }

    /// The checkpoints that are kept beside `file`, the first one first: the iteration of each, and where it is. A file with such a
    /// name that holds something else, or another iteration, is none of them.
    ///
    /// # Errors
    /// [`WatchError::Write`] when the folder cannot be read.
    pub fn list(file: impl AsRef<Path>) -> Result<Vec<(u64, PathBuf)>, WatchError> {
        Ok(labelled(file.as_ref())?.into_iter().map(|(label, path)| (label.iterations, path)).collect())
    }

    /// Those of the run that has this label.
    pub(super) fn of_run(file: &Path, run: &Label) -> Result<Vec<(u64, PathBuf)>, WatchError> {
        let mut all = labelled(file)?;
        all.retain(|(label, _)| (&label.program, label.seed) == (&run.program, run.seed));
        Ok(all.into_iter().map(|(label, path)| (label.iterations, path)).collect())
    }

    /// Takes away what is not to be kept of the checkpoints of a run.
    fn sweep(&self, file: &Path, run: &Label) -> Result<(), WatchError> {
        let all = KeepLast::of_run(file, run)?;
        let until = all.iter().filter(|(of, _)| *of <= run.iterations).count();
        let mut gone = all.iter().enumerate().filter(|(index, _)| *index >= until || index + self.count < until);
        gone.try_for_each(|(_, (_, path))| fs::remove_file(path).map_err(|reason| not_written(path, reason)))
    }
}

/// The checkpoints beside `file` after the iterations that are in their names.
fn labelled(file: &Path) -> Result<Vec<(Label, PathBuf)>, WatchError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let entries = entries.map_err(|reason| not_written(folder, reason))?;
    let of = |path: PathBuf| {
        let named = iteration(file, path.file_name()?)?;
        let label = Checkpoint::label(&path).filter(|label| label.iterations == named)?;
        Some((label, path))
    };
    let mut kept: Vec<_> = entries.into_iter().filter_map(|entry| of(entry.path())).collect();
    kept.sort_unstable_by_key(|(label, _)| label.iterations);
    Ok(kept)
}

impl<P: Multilevel> Observer<P> for KeepLast {
    fn hear(&mut self, event: &Event<'_>, program: &Current<'_, P>) -> Result<ControlFlow<String>, DataError> {
        if let Event::Saving { iteration, file } = *event {
            let saved = program.checkpoint().and_then(|checkpoint| checkpoint.save(numbered(file, iteration)));
            let facts = program.facts();
            let run = Label { program: facts.schedule.name.into(), seed: facts.seed, iterations: iteration };
            if let Err(error) = saved.map_err(WatchError::from).and_then(|()| self.sweep(file, &run)) {
                let advice =
                    "make room or let the folder be written; it is tried again with the next checkpoint".into();
                program.warn(Warning { rule: "save".into(), level: None, fact: error.to_string(), advice });
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn looks(&self) -> Looks {
        Looks::Never
    }
}

/// `run.300.safetensors` of `run.safetensors`.
pub(super) fn numbered(file: &Path, iteration: u64) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{iteration}"));
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// The iteration in such a name.
fn iteration(file: &Path, name: &OsStr) -> Option<u64> {
    let (name, stem) = (Path::new(name), file.file_stem()?);
    let rest = match file.extension() {
        Some(extension) if name.extension() != Some(extension) => return None,
        Some(_) => name.file_stem()?,
        None => name.as_os_str(),
    };
    let of = Path::new(rest).extension()?.to_str()?.parse().ok()?;
    (Path::new(rest).file_stem()? == stem && numbered(file, of).file_name()? == name.as_os_str()).then_some(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_iteration() {
        for file in ["run.safetensors", "folder/run", "my.run.safetensors"] {
            let file = Path::new(file);
            let name = numbered(file, 300);
            assert_eq!(name.parent(), file.parent());
            assert_eq!(iteration(file, name.file_name().expect("a name")), Some(300), "{name:?}");
            assert_eq!(iteration(file, file.file_name().expect("a name")), None);
        }
        assert_eq!(numbered(Path::new("a/run.safetensors"), 7), Path::new("a/run.7.safetensors"));
        for other in ["run.07.safetensors", "run.x.safetensors", "other.7.safetensors", "run.7.csv", "run.7"] {
            assert_eq!(iteration(Path::new("run.safetensors"), OsStr::new(other)), None, "{other}");
        }
    }
}

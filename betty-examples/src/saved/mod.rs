//! A run that is saved into an output folder: where its levels stand, its curves so far, and the options they belong to.

pub mod error;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use betty_runtime::{Checkpoint, ProgramConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::error::SavedRunError;
use crate::failure::Failure;
use crate::metrics::csv_table;
use crate::output::{OutputFolder, remove, write};

/// The options of a run that decide its numbers, by name.
pub type Choices = BTreeMap<String, String>;

/// What the file is called that says why a run was ended.
const UNHEALTHY: &str = "unhealthy.txt";

/// One point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Which curve.
    pub curve: String,
    /// After which step.
    pub step: u64,
    /// What was seen there.
    pub value: f64,
}

/// Where a run is saved: `name.safetensors`, `name.curves.csv` and `name.options.json` of a folder, and `name.unhealthy.txt` where it was
/// ended because it is not healthy.
#[derive(Clone, Debug)]
pub struct SavedRun {
    folder: PathBuf,
    name: String,
    /// Whether this process writes.
    is_written: bool,
}

impl SavedRun {
    /// The run of this name in a folder.
    pub fn new(folder: &OutputFolder, name: &str) -> Self {
        SavedRun { folder: folder.path().into(), name: name.into(), is_written: folder.is_written() }
    }

    /// Where its levels are saved.
    pub fn checkpoint(&self) -> PathBuf {
        self.file("safetensors")
    }

    /// Where its levels stand, and its curves up to there, if it was saved; and if it was begun with these choices, and has
    /// taken no more than `asked` steps, which is what `--option` asks for.
    ///
    /// # Errors
    /// [`SavedRunError`] when it cannot be read, or is another run. Curves and options that are missing are no error: a run
    /// may have been saved without them.
    pub fn find(
        &self,
        choices: &Choices,
        option: &'static str,
        asked: u64,
    ) -> Result<Option<(Checkpoint, Vec<Point>)>, SavedRunError> {
        let Some(checkpoint) = Checkpoint::find(self.checkpoint())? else { return Ok(None) };
        self.check_choices(choices)?;
        let taken = checkpoint.iterations();
        if taken > asked {
            return Err(SavedRunError::Beyond { file: self.checkpoint(), taken, option, asked });
        }
        let reached = |curve: &str| checkpoint.steps(curve).unwrap_or(taken);
        let mut curves = self.curves()?;
        // Curves are written before the levels, so they may be ahead.
        curves.retain(|point| point.step <= reached(&point.curve));
        Ok(Some((checkpoint, curves)))
    }

    /// Begins a new run in the place of one that was saved before, if there is one.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn begin(&self, choices: &Choices) -> Result<(), Failure> {
        if !self.is_written {
            return Ok(());
        }
        // Levels of the one must never meet options of the other.
        remove(self.checkpoint())?;
        remove(self.file("curves.csv"))?;
        remove(self.file("options.json"))?;
        remove(self.file(UNHEALTHY))?;
        write(self.file("options.json"), serde_json::to_string_pretty(choices)? + "\n")?;
        Ok(())
    }

    /// Writes the curves; to be called before the levels are saved.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn write_curves(&self, curves: &[Point]) -> Result<(), Failure> {
        if self.is_written {
            write(self.file("curves.csv"), csv_table(curves)?)?;
        }
        Ok(())
    }

    /// Keeps in mind that what is saved is of a run that was ended because it is not healthy.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn reject(&self, reason: &str) -> Result<(), Failure> {
        if self.is_written {
            write(self.file(UNHEALTHY), format!("{reason}\n"))?;
        }
        Ok(())
    }

    /// Refuses to go on with such a run: at its end, it would be taken for a good one.
    ///
    /// # Errors
    /// [`SavedRunError::Unhealthy`].
    pub fn check_health(&self) -> Result<(), SavedRunError> {
        match self.text(&self.file(UNHEALTHY))? {
            Some(reason) => {
                Err(SavedRunError::Unhealthy { file: self.checkpoint(), reason: reason.trim_end().to_owned() })
            }
            None => Ok(()),
        }
    }

    fn check_choices(&self, choices: &Choices) -> Result<(), SavedRunError> {
        let file = self.file("options.json");
        let Some(text) = self.text(&file)? else { return Ok(()) };
        let saved: Choices = serde_json::from_str(&text).map_err(|reason| self.unreadable(&file, &reason))?;
        let none = "null".to_owned();
        // A method's options say less than the method, which both have.
        let both = choices.keys().filter(|name| saved.contains_key(*name));
        for name in both.chain(choices.keys()).chain(saved.keys()) {
            let (saved, asked) = (saved.get(name).unwrap_or(&none), choices.get(name).unwrap_or(&none));
            if saved != asked {
                let (name, saved, asked) = (name.clone(), saved.clone(), asked.clone());
                return Err(SavedRunError::OtherChoice { file, name, saved, asked });
            }
        }
        Ok(())
    }

    fn curves(&self) -> Result<Vec<Point>, SavedRunError> {
        let file = self.file("curves.csv");
        let Some(text) = self.text(&file)? else { return Ok(Vec::new()) };
        let points = csv::Reader::from_reader(text.as_bytes()).into_deserialize().collect::<Result<_, _>>();
        points.map_err(|reason| self.unreadable(&file, &reason))
    }

    fn text(&self, file: &Path) -> Result<Option<String>, SavedRunError> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(Some(text)),
            Err(reason) if reason.kind() == ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(self.unreadable(file, &reason)),
        }
    }

    fn unreadable(&self, file: &Path, reason: &dyn Display) -> SavedRunError {
        SavedRunError::Read { file: file.into(), reason: reason.to_string() }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }
}

/// Every number of a config as a choice, by its path.
///
/// # Errors
/// Only if the config cannot be serialized.
pub fn config_choices(config: &impl ProgramConfig) -> Result<Choices, serde_json::Error> {
    let mut choices = Choices::new();
    flatten("config", &serde_json::to_value(config)?, &mut choices);
    Ok(choices)
}

fn flatten(path: &str, value: &Value, choices: &mut Choices) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| flatten(&format!("{path}.{name}"), value, choices));
        }
        value => drop(choices.insert(path.into(), value.to_string())),
    }
}

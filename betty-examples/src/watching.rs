//! How the runs of an example are watched, flattened into its options.

use std::path::{Path, PathBuf};

use betty_runtime::watch::{Console, CsvFile, Health, JsonLines, OnUnhealthy, ReportFile, TensorBoard};
use betty_runtime::{Engine, Multilevel, Report};
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::output::OutputFolder;
use crate::saved::SavedRun;
use crate::saved::error::SavedRunError;

/// How runs are watched.
#[derive(Clone, Debug, Default, Args)]
pub struct Watching {
    /// What records the runs, beside the results in the folder.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT,…")]
    pub log: Vec<Log>,
    /// What becomes of a run that is not healthy [default: nobody looks]. One that was ended is not gone on with, unless by `warn`.
    #[arg(long, value_enum, value_name = "THEN")]
    pub on_unhealthy: Option<Then>,
    /// Read losses and norms once for N iterations, so that a GPU is not waited for at every step [default: at every step]. Results are
    /// the same; what records the runs hears of steps once they are read.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub read_every: Option<u64>,
}

/// What records a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// Lines on standard error, for every iteration in a hundred.
    Console,
    /// Every number in a row of `RUN.numbers.csv`.
    Csv,
    /// Every event in a line of `RUN.events.jsonl`.
    Json,
    /// Event files in `RUN.tensorboard`.
    Tensorboard,
    /// A page, `RUN.report.html`, which refreshes while the run goes on.
    Report,
}

/// What becomes of a run that is not healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Then {
    /// It ends, with what to do.
    Stop,
    /// It goes on, and what records it says what is wrong.
    Warn,
}

impl Watching {
    /// Lets a run of this name be watched as asked for.
    #[must_use]
    pub fn attach<P: Multilevel>(&self, mut engine: Engine<P>, folder: &OutputFolder, name: &str) -> Engine<P> {
        if let Some(then) = self.on_unhealthy {
            let then = match then {
                Then::Stop => OnUnhealthy::Stop,
                Then::Warn => OnUnhealthy::Warn,
            };
            engine = engine.attach(Health::default().on_unhealthy(then));
        }
        if let Some(iterations) = self.read_every {
            engine = engine.read_every(iterations);
        }
        let file = |ending: &str| path(folder.path(), name, ending);
        for log in &self.log {
            engine = match log {
                Log::Console => engine.attach(Console::every(100)),
                Log::Csv => engine.attach(CsvFile::new(file("numbers.csv"))),
                Log::Json => engine.attach(JsonLines::new(file("events.jsonl"))),
                Log::Tensorboard => engine.attach(TensorBoard::new(file("tensorboard"))),
                Log::Report => engine.attach(ReportFile::new(file("report.html"))),
            };
        }
        engine
    }

    /// Counts what an iteration takes, for the page of a run that is about to go on: only there it is shown. All processes that share
    /// the run ask together.
    ///
    /// # Errors
    /// As [`Engine::explain`].
    pub fn explain<P: Multilevel>(&self, engine: &mut Engine<P>, until: u64) -> Result<(), Failure> {
        if self.has_reports() && engine.iterations() < until {
            engine.explain()?;
        }
        Ok(())
    }

    /// Refuses results of a run that was not healthy; if it is saved, also for later.
    ///
    /// # Errors
    /// [`Failure::Unhealthy`].
    pub fn check(&self, report: &Report, saved: Option<&SavedRun>) -> Result<(), Failure> {
        match &report.reason {
            Some(reason) if self.on_unhealthy == Some(Then::Stop) => {
                saved.map_or(Ok(()), |saved| saved.reject(reason))?;
                Err(Failure::Unhealthy(reason.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to go on with a run that was ended because it is not healthy, unless a warning is enough.
    ///
    /// # Errors
    /// [`SavedRunError::Unhealthy`].
    pub fn check_saved(&self, saved: &SavedRun) -> Result<(), SavedRunError> {
        if self.on_unhealthy == Some(Then::Warn) { Ok(()) } else { saved.check_health() }
    }

    /// Whether every run leaves a page.
    pub fn has_reports(&self) -> bool {
        self.log.contains(&Log::Report)
    }
}

fn path(folder: &Path, name: &str, ending: &str) -> PathBuf {
    folder.join(format!("{name}.{ending}"))
}

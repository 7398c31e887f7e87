//! Everything that can go wrong in an example, each as one message and an exit code.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use betty_runtime::distributed::{CollectiveError, LaunchError};
use betty_runtime::{CheckpointError, ConfigError, DerivativesError, EngineError};

use crate::data::{ImagesError, NoiseError, SplitError, TableError};
use crate::device::DeviceError;
use crate::output::OutputError;
use crate::plot::PlotError;
use crate::saved::error::SavedRunError;

/// Why there are no results.
#[derive(thiserror::Error)]
pub enum Failure {
    /// An option whose number is too small.
    #[error("`--{option}` must be at least {least}")]
    TooSmall {
        /// Its name.
        option: &'static str,
        /// The smallest number that makes sense.
        least: u64,
    },
    /// More seeds than there are numbers after the first one.
    #[error("`--seeds {seeds}` from `--seed {seed}` on are more than there are; choose a smaller `--seed`")]
    Seeds {
        /// The first seed.
        seed: u64,
        /// How many were asked for.
        seeds: u64,
    },
    /// A pull towards the initial parameters that makes no sense.
    #[error(
        "`--proximity` is {proximity}; it must be a number that is not negative, and greater than zero for an implicit method"
    )]
    Proximity {
        /// Its weight.
        proximity: f64,
    },
    /// A number that makes no sense.
    #[error("`--{option}` is {number}; it must be a number that is {}", if *may_be_zero { "not negative" } else { "greater than zero" })]
    OutOfRange {
        /// The option's name.
        option: &'static str,
        /// What was given.
        number: f64,
        /// Whether zero makes sense.
        may_be_zero: bool,
    },
    /// More examples are to be left out than there are.
    #[error("`--retrain` leaves out {retrain} examples by turns, but `--train` is {train}")]
    LeftOut {
        /// How many are to be left out.
        retrain: usize,
        /// How many there are.
        train: usize,
    },
    /// More examples than there are, of which none need be left.
    #[error("`--train` and `--test` ask for {asked} of {available} examples")]
    TooManyExamples {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        available: usize,
    },
    /// A class that is too small, or that is not there.
    #[error("`--data`: class {class} has {found} examples to train on, and at least {needed} are needed of each")]
    SmallClass {
        /// Its number.
        class: usize,
        /// How many examples it has.
        found: usize,
        /// How many it needs.
        needed: usize,
    },
    /// Classes that cannot be of so different sizes.
    #[error(
        "`--imbalance` {imbalance} leaves no example of the smallest class, because the largest one has {most}; choose at most {most}, or \
         read more examples with `--data`"
    )]
    Imbalance {
        /// How many times as large the largest class is to be as the smallest.
        imbalance: f64,
        /// How many examples the largest class can have.
        most: usize,
    },
    /// More examples than there are.
    #[error("`--train` and `--validation` ask for {asked} of {available} examples, and leave none for the test")]
    Examples {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        available: usize,
    },
    /// No run of these seeds was ever saved.
    #[error(
        "`--resume`: there is no `{}`; a run with `--save-every`, or one that is stopped, leaves it", checkpoint.display()
    )]
    NothingToResume {
        /// Where the first seed's run would be.
        checkpoint: PathBuf,
    },
    /// A saved run that cannot be gone on with.
    #[error("`--resume`: {0}")]
    Saved(#[from] SavedRunError),
    /// The program was asked to stop, and did.
    #[error("{said}")]
    Stopped {
        /// What is there, and how to go on.
        said: String,
        /// What to end with.
        code: u8,
    },
    /// Signals cannot be listened to.
    #[error("signals cannot be listened to: {0}")]
    Signals(io::Error),
    /// Labels that cannot be made wrong as asked.
    #[error("`--noise`: {0}")]
    Noise(#[from] NoiseError),
    /// A clean set that cannot be set aside.
    #[error("`--clean`: {0}")]
    Split(#[from] SplitError),
    /// A device that does not exist.
    #[error("`--device`: {0}")]
    Device(#[from] DeviceError),
    /// Several processes are to share a run, and the program was built without what connects them.
    #[error(
        "`--distributed`: this program was built without MPI; build it with `--features mpi` where an MPI library is installed, and \
         start it with `mpirun -n 2`, or leave `--distributed` away"
    )]
    NotDistributed,
    /// The environment does not say which process this is.
    #[error("`--distributed`: {0}")]
    Launch(#[from] LaunchError),
    /// Processes do not find each other.
    #[error("`--distributed`: {0}")]
    Ranks(CollectiveError),
    /// Another process could not go on.
    #[error("`--distributed`: process {0} failed, so all stop; it says why")]
    OnOtherRank(usize),
    /// A batch that cannot be divided.
    #[error(
        "`--distributed`: a batch of {examples} examples cannot be divided among {ranks} processes; make it larger"
    )]
    TooFewExamples {
        /// How many examples a batch has.
        examples: usize,
        /// How many processes there are.
        ranks: usize,
    },
    /// Numbers of the program that make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A solver in the place of the optimizer that all rivals share.
    #[error("`--config` gives `{level}` a `solver`, but what it is compared with shares its `optimizer`; keep that")]
    NoOptimizer {
        /// The level.
        level: &'static str,
    },
    /// Something about a level's training that those it is compared with would not have.
    #[error(
        "`--config` gives `{level}` another `{field}`, which what it is compared with would not have; leave it away"
    )]
    NotShared {
        /// The level.
        level: &'static str,
        /// The field of its config.
        field: &'static str,
    },
    /// Data that cannot be read.
    #[error("`--data`: {0}")]
    Data(#[from] ImagesError),
    /// A table that is of no use.
    #[error("`--data`: {0}")]
    Table(#[from] TableError),
    /// A run that was ended because it is not healthy.
    #[error("the run was ended, because it is not healthy: {0}")]
    Unhealthy(String),
    /// Two ways to one result that come to different ones.
    #[error("{what}: those of the declared program and of the one by hand are different")]
    NotTheSame {
        /// What is compared.
        what: &'static str,
    },
    /// A file that cannot be written.
    #[error("`--out`: {0}")]
    Output(#[from] OutputError),
    /// A run that failed; boxed, because it is large beside everything else.
    #[error(transparent)]
    Training(Box<EngineError>),
    /// A derivative that cannot be had; boxed likewise.
    #[error(transparent)]
    Derivatives(Box<DerivativesError>),
    /// A plot that cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A table that cannot be written.
    #[error("results cannot be written as CSV: {0}")]
    Csv(#[from] csv::Error),
    /// A report that cannot be written.
    #[error("results cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Standard output is closed.
    #[error("standard output cannot be written: {0}")]
    Print(io::Error),
}

betty_runtime::debug_as_report!(Failure);

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Config(error) => Failure::Config(error),
            error => Failure::Training(Box::new(error)),
        }
    }
}

impl From<DerivativesError> for Failure {
    fn from(error: DerivativesError) -> Self {
        Failure::Derivatives(Box::new(error))
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        EngineError::from(error).into()
    }
}

impl Failure {
    /// 2 when the command line or the config asks for something impossible, 1 when the run itself failed, and what the system
    /// expects of a program that a signal stopped.
    fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Stopped { code, .. } => ExitCode::from(*code),
            Failure::TooSmall { .. }
            | Failure::Saved(
                SavedRunError::OtherChoice { .. } | SavedRunError::Beyond { .. } | SavedRunError::Unhealthy { .. },
            )
            | Failure::Seeds { .. }
            | Failure::OutOfRange { .. }
            | Failure::LeftOut { .. }
            | Failure::TooManyExamples { .. }
            | Failure::Examples { .. }
            | Failure::SmallClass { .. }
            | Failure::Imbalance { .. }
            | Failure::Proximity { .. }
            | Failure::NothingToResume { .. }
            | Failure::Noise(_)
            | Failure::Split(_)
            | Failure::Device(_)
            | Failure::NotDistributed
            | Failure::Launch(_)
            | Failure::TooFewExamples { .. }
            | Failure::Config(_)
            | Failure::NotShared { .. }
            | Failure::NoOptimizer { .. } => ExitCode::from(2),
            Failure::Data(_)
            | Failure::Ranks(_)
            | Failure::OnOtherRank(_)
            | Failure::Saved(_)
            | Failure::Signals(_)
            | Failure::Table(_)
            | Failure::Unhealthy(_)
            | Failure::NotTheSame { .. }
            | Failure::Output(_)
            | Failure::Training(_)
            | Failure::Derivatives(_)
            | Failure::Plot(_)
            | Failure::Csv(_)
            | Failure::Json(_)
            | Failure::Print(_) => ExitCode::FAILURE,
        }
    }
}

/// Refuses the first of these options whose number is 0.
///
/// # Errors
/// [`Failure::TooSmall`].
pub fn check_positive(options: &[(&'static str, u64)]) -> Result<(), Failure> {
    match options.iter().find(|(_, number)| *number == 0) {
        Some(&(option, _)) => Err(Failure::TooSmall { option, least: 1 }),
        None => Ok(()),
    }
}

/// The exit code of a program, after its failure was printed to standard error.
pub fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let error = if matches!(failure, Failure::Stopped { .. }) { "" } else { "error: " };
            eprintln!("{error}{failure}");
            failure.exit_code()
        }
    }
}

/// Prints to standard output, which may be closed.
///
/// # Errors
/// When it is.
pub fn show(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::Print)
}

//! Everything that can go wrong, each as one message.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use betty_examples::data::{IdxError, NoiseError, SplitError};
use betty_examples::device::DeviceError;
use betty_examples::output::OutputError;
use betty_examples::plot::PlotError;
use betty_runtime::{CheckpointError, ConfigError, EngineError};

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An option whose number is too small.
    #[error("`--{option}` must be at least 1")]
    Zero {
        /// Its name.
        option: &'static str,
    },
    /// More seeds than there are numbers after the first one.
    #[error("`--seeds {seeds}` from `--seed {seed}` on are more than there are; choose a smaller `--seed`")]
    Seeds {
        /// The first seed.
        seed: u64,
        /// How many were asked for.
        seeds: u64,
    },
    /// No run of these seeds was ever saved.
    #[error("`--resume`: there is no `{}`; a run with `--save-every` leaves it", checkpoint.display())]
    NothingToResume {
        /// Where the first seed's run would be.
        checkpoint: PathBuf,
    },
    #[error("`--noise`: {0}")]
    Noise(#[from] NoiseError),
    #[error("`--clean`: {0}")]
    Split(#[from] SplitError),
    #[error("`--device`: {0}")]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("`--data`: {0}")]
    Data(#[from] IdxError),
    #[error("`--out`: {0}")]
    Output(#[from] OutputError),
    #[error(transparent)]
    Training(Box<EngineError>),
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error("results cannot be written as CSV: {0}")]
    Csv(#[from] csv::Error),
    #[error("standard output cannot be written: {0}")]
    Print(io::Error),
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        EngineError::from(error).into()
    }
}

/// Boxed, because it is large beside everything else.
impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::Training(Box::new(error))
    }
}

impl Failure {
    /// 2 when the command line or the config asks for something impossible, 1 when the run itself failed.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Zero { .. }
            | Failure::Seeds { .. }
            | Failure::NothingToResume { .. }
            | Failure::Noise(_)
            | Failure::Split(_)
            | Failure::Device(_)
            | Failure::Config(_) => ExitCode::from(2),
            Failure::Data(_)
            | Failure::Output(_)
            | Failure::Training(_)
            | Failure::Plot(_)
            | Failure::Csv(_)
            | Failure::Print(_) => ExitCode::FAILURE,
        }
    }
}

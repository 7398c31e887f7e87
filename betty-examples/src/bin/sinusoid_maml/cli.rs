//! The command line.

use std::path::PathBuf;

use betty_examples::device::DeviceChoice;
use betty_examples::failure::{Failure, check_positive};
use betty_runtime::ProgramConfig;
use clap::Parser;

use crate::problem::MamlConfig;

/// Learns initial parameters from which a network fits a sine wave after one gradient step on a few of its points.
///
/// Tasks are sine waves with amplitudes from 0.1 to 5 and phases from 0 to π, seen at 5 or 10 points between -5 and 5. The
/// upper level moves the initial parameters of a network 1-40-40-1 so that its error on other points is small after one step
/// of gradient descent. It is compared with a network that is trained on the points of all tasks at once, on fresh tasks.
#[derive(Debug, Parser)]
#[command(name = "sinusoid_maml", version)]
pub(crate) struct Options {
    /// Points of a task to learn from, as many others to judge by in training.
    #[arg(long, default_value_t = 5, value_name = "K")]
    pub(crate) shots: usize,
    /// Steps of the initial parameters, each averaged over the `tasks` of the config.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) iterations: u64,
    /// Steps that adapt to a task in training; the test takes 10.
    #[arg(long, value_name = "N")]
    pub(crate) inner_steps: Option<usize>,
    /// Number of fresh tasks for the test.
    #[arg(long, default_value_t = 600, value_name = "N")]
    pub(crate) test_tasks: usize,
    /// Seed of initial parameters and tasks.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
    /// Folder for plots and tables.
    #[arg(long, default_value = "out/sinusoid_maml", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Where to compute: cpu, cuda, or cuda:N.
    #[arg(long, default_value_t = DeviceChoice::Cpu, value_name = "DEVICE")]
    pub(crate) device: DeviceChoice,
    /// JSON file whose numbers replace those of the program.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the whole config as JSON, and do nothing else.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Options {
    /// Refuses numbers that make no sense, before any work is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_positive(&[
            ("shots", self.shots as u64),
            ("iterations", self.iterations),
            ("inner-steps", self.inner_steps.unwrap_or(1) as u64),
            ("test-tasks", self.test_tasks as u64),
        ])
    }

    /// The program's numbers, with those of the config file and of the command line in their place.
    pub(crate) fn config(&self) -> Result<MamlConfig, Failure> {
        let mut config = match &self.config {
            Some(file) => MamlConfig::from_file(file)?,
            None => MamlConfig::default(),
        };
        if let Some(steps) = self.inner_steps {
            config.adapted.unroll = steps;
        }
        Ok(config)
    }
}

//! The command line.

use std::ops::Range;
use std::path::PathBuf;

use betty_examples::data::digits;
use betty_examples::device::DeviceChoice;
use betty_examples::failure::{Failure, check_positive};
use betty_examples::penalized::PenalizedConfig;
use betty_runtime::ProgramConfig;
use clap::Parser;

/// Learns an L2 penalty for every single parameter of a classifier, so that it does well on validation data.
///
/// Logistic regression (or a perceptron) is trained on a few handwritten digits, to whose pixels inputs without any meaning
/// were added. One penalty for all parameters is chosen from a grid by the validation loss; from there on, an upper level
/// moves the penalty of each parameter by itself. Both are compared on test data, each trained anew.
#[derive(Debug, Parser)]
#[command(name = "penalties", version)]
pub(crate) struct Options {
    /// Training examples.
    #[arg(long, default_value_t = 600, value_name = "N")]
    pub(crate) train: usize,
    /// Validation examples, from which the penalties are learned; what is left is for the test.
    #[arg(long, default_value_t = 600, value_name = "N")]
    pub(crate) validation: usize,
    /// Inputs without meaning beside the 64 pixels.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(crate) distractors: usize,
    /// Hidden units of a perceptron [default: logistic regression].
    #[arg(long, value_name = "N")]
    pub(crate) hidden: Option<usize>,
    /// Steps of the penalties; before each of them the classifier takes as many as its `unroll` in the config.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) steps: u64,
    /// Steps in which a classifier is trained anew under given penalties, to compare them.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) fit_steps: usize,
    /// Seed of the split, of the inputs without meaning, and of initial parameters.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
    /// Number of repetitions with seeds that follow each other; the results are means and standard deviations.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seeds: u64,
    /// Folder for plots and reports.
    #[arg(long, default_value = "out/penalties", value_name = "DIR")]
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
            ("train", self.train as u64),
            ("validation", self.validation as u64),
            ("hidden", self.hidden.unwrap_or(1) as u64),
            ("steps", self.steps),
            ("fit-steps", self.fit_steps as u64),
            ("seeds", self.seeds),
        ])?;
        let (asked, available) = (self.train.saturating_add(self.validation), digits().len());
        if asked >= available {
            return Err(Failure::Examples { asked, available });
        }
        if self.seed.checked_add(self.seeds).is_none() {
            return Err(Failure::Seeds { seed: self.seed, seeds: self.seeds });
        }
        Ok(())
    }

    /// The program's numbers, with those of the config file in their place.
    pub(crate) fn config(&self) -> Result<PenalizedConfig, Failure> {
        Ok(match &self.config {
            Some(file) => PenalizedConfig::from_file(file)?,
            None => PenalizedConfig::default(),
        })
    }

    /// The seeds of all repetitions.
    pub(crate) fn seeds(&self) -> Range<u64> {
        self.seed..self.seed + self.seeds
    }
}

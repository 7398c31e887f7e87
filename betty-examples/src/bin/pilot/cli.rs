//! The command line.

use std::path::PathBuf;

use betty_examples::command::Setting;
use betty_examples::data::identity_of_file;
use betty_examples::failure::{Failure, check_positive};
use betty_examples::going::Saving;
use betty_examples::saved::Choices;
use betty_examples::watching::Watching;
use clap::Parser;

/// Tries on a table of your own what learned penalties and learned weights of examples are worth.
///
/// A third of the rows is set aside for the test. A linear classifier of the target is trained on the rest in four ways: as it is;
/// under one penalty that is chosen from a grid, the plain workflow; under one penalty for each input, and with one weight for
/// each training row, both learned so that it does well on rows that it is not trained on. The report says what each is worth on
/// the test rows, and what it takes.
#[derive(Debug, Parser)]
#[command(name = "pilot", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split and of initial parameters")))]
#[command(mut_arg("out", |out| out.default_value("out/pilot")))]
pub(crate) struct Options {
    /// CSV file with a header; columns of numbers are scaled, each word of the others becomes an input.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// The column that is to be told from the others: 2 to 50 classes.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) target: String,
    /// Steps of penalties and weights.
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub(crate) steps: u64,
    /// Steps in which a classifier is trained anew.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) fit_steps: usize,
    /// How the runs are saved.
    #[command(flatten)]
    pub(crate) saving: Saving,
    /// How the runs are watched.
    #[command(flatten)]
    pub(crate) watching: Watching,
    /// Seed, folder and device.
    #[command(flatten)]
    pub(crate) setting: Setting,
}

impl Options {
    /// Refuses numbers that make no sense, before any work is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_positive(&[("steps", self.steps), ("fit-steps", self.fit_steps as u64)])?;
        self.saving.check(&self.setting.out)
    }

    /// The options that decide the numbers of the runs.
    pub(crate) fn choices(&self) -> Choices {
        let own = [
            ("--data", identity_of_file(&self.data)),
            ("--target", self.target.clone()),
            ("--seed", self.setting.seed.to_string()),
            ("--fit-steps", self.fit_steps.to_string()),
        ];
        own.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

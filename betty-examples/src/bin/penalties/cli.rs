//! The command line.

use betty_examples::command::{Repeated, Run, Sharing};
use betty_examples::data::digits;
use betty_examples::failure::{Failure, check_positive};
use betty_examples::going::Saving;
use betty_examples::saved::Choices;
use betty_examples::watching::Watching;
use clap::Parser;

/// Learns an L2 penalty for every single parameter of a classifier, so that it does well on validation data.
///
/// Logistic regression (or a perceptron) is trained on a few handwritten digits, to whose pixels inputs without any meaning
/// were added. One penalty for all parameters is chosen from a grid by the validation loss; from there on, an upper level
/// moves the penalty of each parameter by itself. Both are compared on test data, each trained anew.
#[derive(Debug, Parser)]
#[command(name = "penalties", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split, of the inputs without meaning, and of initial parameters")))]
#[command(mut_arg("out", |out| out.default_value("out/penalties")))]
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
    /// How the run is saved.
    #[command(flatten)]
    pub(crate) saving: Saving,
    /// Whether processes share what is trained.
    #[command(flatten)]
    pub(crate) sharing: Sharing,
    /// How the run is watched.
    #[command(flatten)]
    pub(crate) watching: Watching,
    /// What all examples have.
    #[command(flatten)]
    pub(crate) repeated: Repeated,
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
        ])?;
        let (asked, available) = (self.train.saturating_add(self.validation), digits().len());
        if asked >= available {
            return Err(Failure::Examples { asked, available });
        }
        self.saving.check(&self.run().setting.out)?;
        self.repeated.check()
    }

    /// The options that decide the numbers of a run, beside its seed and the config.
    pub(crate) fn choices(&self) -> Choices {
        let own = [
            ("--train", self.train.to_string()),
            ("--validation", self.validation.to_string()),
            ("--distractors", self.distractors.to_string()),
            ("--hidden", self.hidden.map_or("none".into(), |units| units.to_string())),
            ("--fit-steps", self.fit_steps.to_string()),
        ];
        own.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// What the run of one seed is told.
    pub(crate) fn run(&self) -> &Run {
        &self.repeated.run
    }
}

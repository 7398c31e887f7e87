//! One seed of a comparison, and how its engines run.

use betty_runtime::{Engine, Multilevel};
use burn::tensor::Device;

use super::Compare;
use crate::failure::Failure;
use crate::going::{Curves, Going};
use crate::output::OutputFolder;
use crate::ranks::Ranks;
use crate::saved::Choices;
use crate::stop::Stop;

/// One seed of a comparison.
pub struct Trial<'a, C> {
    /// The seed.
    pub seed: u64,
    /// Whether it is the first one, whose results are drawn.
    pub is_first: bool,
    /// The program's numbers.
    pub config: &'a C,
    /// Where to compute.
    pub device: &'a Device,
    /// Where results go.
    pub output: &'a OutputFolder,
    pub(super) options: &'a Compare,
    pub(super) choices: &'a Choices,
    pub(super) stop: &'a Stop,
    /// The processes that share what is trained.
    pub ranks: &'a Ranks,
}

impl<C> Trial<'_, C> {
    /// Lets an engine take the steps that are missing of `steps` in all, as the options say: watched, saved, and gone on with. The
    /// run is called `name`, which no other run of the seed is.
    ///
    /// # Errors
    /// As [`Going::train`].
    pub fn train<P: Multilevel>(&self, engine: Engine<P>, name: &str, steps: u64) -> Result<P, Failure> {
        self.going().train(engine, &format!("{name}.seed-{}", self.seed), ("steps", steps), &Curves::default())
    }

    fn going(&self) -> Going<'_> {
        Going {
            saving: &self.options.saving,
            watching: &self.options.watching,
            output: self.output,
            choices: self.choices,
            stop: self.stop,
            ranks: self.ranks,
            progress: !self.options.run().setting.machine.quiet,
        }
    }

    /// Ends the trial here if it was asked to stop: between runs that are too short to be saved.
    ///
    /// # Errors
    /// [`Failure::Stopped`].
    pub fn heed(&self) -> Result<(), Failure> {
        self.going().heed()
    }
}

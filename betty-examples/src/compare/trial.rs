//! One seed of a comparison, and how its engines run.

use betty_runtime::{Engine, Multilevel, StreamPosition};
use burn::tensor::Device;

use super::Compare;
use crate::failure::Failure;
use crate::output::OutputFolder;
use crate::saved::{Choices, SavedRun};
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
}

impl<C> Trial<'_, C> {
    /// Lets an engine take the steps that are missing of `steps` in all, as the options say: watched, saved, and gone on with. The
    /// run is called `name`, which no other run of the seed is.
    ///
    /// # Errors
    /// Those of the run; [`Failure::Stopped`] when it was asked to stop, and [`Failure::Saved`] when a saved run cannot be gone on
    /// with.
    pub fn train<P: Multilevel>(&self, engine: Engine<P>, name: &str, steps: u64) -> Result<P, Failure> {
        let options = self.options;
        let name = format!("{name}.seed-{}", self.seed);
        let saved = SavedRun::new(self.output, &name);
        let found = if options.saving.resume { saved.find(self.choices, "steps", steps)? } else { None };
        let stop = self.stop.clone();
        let engine = engine
            .progress(!options.run().setting.machine.quiet)
            .save_every(options.saving.save_every.unwrap_or(u64::MAX), saved.checkpoint())
            .stop_when(move || stop.is_asked());
        let mut engine = options.watching.attach(engine, self.output, &name);
        match found {
            Some((checkpoint, _)) => engine.resume(&checkpoint, StreamPosition::Start)?,
            None => saved.begin(self.choices)?,
        }
        let report = engine.run_until(steps)?;
        options.watching.check(&report)?;
        if self.stop.is_asked() {
            let said = format!(
                "stopped after step {} of {steps}, which is saved in `{}`; to go on, give the same options and `--resume`",
                engine.iterations(),
                saved.checkpoint().display()
            );
            return Err(Failure::Stopped { said, code: self.stop.exit_code() });
        }
        Ok(engine.into_problem())
    }
}

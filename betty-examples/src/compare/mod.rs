//! Ways of training that are compared over seeds: the options of such an example, and what becomes of its numbers.

mod trial;

use betty_runtime::{Multilevel, ProgramConfig};
use burn::tensor::Device;
use clap::Args;

pub use self::trial::Trial;
use crate::command::{Repeated, Run};
use crate::failure::{Failure, show};
use crate::going::Saving;
use crate::metrics::Comparison;
use crate::output::OutputFolder;
use crate::ranks::Ranks;
use crate::saved::{Choices, config_choices};
use crate::stop::Stop;
use crate::watching::Watching;

/// The options of an example that compares ways of training.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// All that the documentation shows: three seeds unless `--seeds` says otherwise, and every setting.
    #[arg(long)]
    pub full: bool,
    /// How runs are saved.
    #[command(flatten)]
    pub saving: Saving,
    /// How runs are watched.
    #[command(flatten)]
    pub watching: Watching,
    /// What all examples have.
    #[command(flatten)]
    pub repeated: Repeated,
}

/// How many seeds `--full` asks for.
const FULL_SEEDS: u64 = 3;

/// A comparison with all that its seeds share.
pub struct Session<'a, P: Multilevel> {
    options: &'a Compare,
    /// The program's numbers.
    pub config: P::Config,
    /// Where to compute.
    pub device: Device,
    output: OutputFolder,
    choices: Choices,
    stop: Stop,
    ranks: Ranks,
}

impl Compare {
    /// The program's numbers, with those of the config file in their place.
    ///
    /// # Errors
    /// As [`Run::config`].
    pub fn config<C: ProgramConfig>(&self) -> Result<C, Failure> {
        self.run().config()
    }

    /// Opens device and folder for a program with these numbers, and refuses options that make no sense. `choices` are the example's
    /// own options that decide its numbers, by name; `ranks` share what its trials [train](Trial::train). `None` when the numbers were
    /// only to be printed.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn open<P: Multilevel>(
        &self,
        config: P::Config,
        choices: &[(&str, String)],
        ranks: Ranks,
    ) -> Result<Option<Session<'_, P>>, Failure> {
        self.all_seeds().check()?;
        config.validate(&P::SCHEDULE)?;
        if self.run().print_config {
            if ranks.is_first() {
                show(&(config.to_json()? + "\n"))?;
            }
            return Ok(None);
        }
        let device = self.run().setting.machine.open(&ranks)?;
        self.saving.check(&self.run().setting.out)?;
        let own = choices.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let choices = config_choices(&config)?.into_iter().chain(own).collect();
        let stop = Stop::on_signals().map_err(Failure::Signals)?;
        let output = ranks.open(&self.run().setting.out)?;
        Ok(Some(Session { options: self, config, device, output, choices, stop, ranks }))
    }

    fn all_seeds(&self) -> Repeated {
        let seeds = self.repeated.seeds.or(self.full.then_some(FULL_SEEDS));
        Repeated { seeds, ..self.repeated.clone() }
    }

    fn run(&self) -> &Run {
        &self.repeated.run
    }
}

impl<P: Multilevel> Session<'_, P> {
    /// Tries all seeds, writes the table as `name.csv` and `name.svg` beside the program's numbers, and shows it.
    ///
    /// # Errors
    /// That of the first trial that fails, and [`Failure`] of the folder.
    pub fn compare<const N: usize>(
        &self,
        name: &str,
        mut table: Comparison<N>,
        mut trial: impl FnMut(&Trial<'_, P::Config>) -> Result<[f64; N], Failure>,
    ) -> Result<Comparison<N>, Failure> {
        for seed in self.options.all_seeds().seeds() {
            table.push(seed, trial(&self.trial(seed))?);
        }
        self.output.write("config.json", self.config.to_json()? + "\n")?;
        self.output.write(&format!("{name}.csv"), table.to_csv()?)?;
        self.output.write(&format!("{name}.svg"), table.bars().to_svg()?)?;
        self.options.run().setting.show(&table, &self.output)?;
        Ok(table)
    }

    fn trial(&self, seed: u64) -> Trial<'_, P::Config> {
        Trial {
            seed,
            is_first: seed == self.options.run().setting.seed,
            config: &self.config,
            device: &self.device,
            output: &self.output,
            options: self.options,
            choices: &self.choices,
            stop: &self.stop,
            ranks: &self.ranks,
        }
    }
}

//! Options that mean the same in every example, flattened into each example's own.
//!
//! What differs between examples, such as the default of `--out` or what else a seed decides, is said where they are flattened:
//! `#[command(mut_arg("out", |out| out.default_value("out/example")))]`.

use std::ops::Range;
use std::path::PathBuf;

use betty_runtime::ProgramConfig;
use burn::tensor::Device;
use clap::Args;

use crate::device::DeviceChoice;
use crate::failure::{Failure, show};
use crate::output::OutputFolder;
use crate::ranks::{Ranks, local_rank};

/// What an example computes on.
#[derive(Clone, Debug, Args)]
pub struct Machine {
    /// Where to compute: cpu, cuda, wgpu or rocm, or cuda:N for device number N. All but the CPU need a build with the feature of that name.
    #[arg(long, default_value_t = DeviceChoice::Cpu, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Whether several processes share a run.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Sharing {
    /// Divide every batch, or the tasks of every step, among the processes that mpirun, srun or torchrun has started; the results are those of one process, but for
    /// what dropout draws.
    /// Needs a build with `--features mpi`.
    #[arg(long)]
    pub distributed: bool,
}

impl Sharing {
    /// The processes that share the run.
    ///
    /// # Errors
    /// As for [`Ranks::start`].
    pub fn ranks(&self) -> Result<Ranks, Failure> {
        Ranks::start(self.distributed)
    }
}

impl Machine {
    /// The device. Of several processes on a machine, each has its own GPU.
    ///
    /// # Errors
    /// [`Failure::Device`], and [`Failure::Launch`] when the environment does not say which process this is.
    pub fn open(&self, ranks: &Ranks) -> Result<Device, Failure> {
        let process = if ranks.size() > 1 { Some(local_rank()?) } else { None };
        Ok(self.device.open(process)?)
    }
}

/// What every example needs that writes results: a seed, a folder, and a device.
#[derive(Clone, Debug, Args)]
pub struct Setting {
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
    /// Folder for everything that is written.
    #[arg(long, default_value = "out", value_name = "DIR")]
    pub out: PathBuf,
    /// The device.
    #[command(flatten)]
    pub machine: Machine,
}

/// What an example that runs a program needs besides: the program's numbers.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// JSON file whose numbers replace those of the program.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the whole config as JSON, and do nothing else.
    #[arg(long)]
    pub print_config: bool,
    /// Seed, folder and device.
    #[command(flatten)]
    pub setting: Setting,
}

/// Runs whose results are means over several seeds.
#[derive(Clone, Debug, Args)]
pub struct Repeated {
    /// Number of repetitions with seeds that follow each other; the results are means and standard deviations [default: 1].
    #[arg(long, value_name = "N")]
    pub seeds: Option<u64>,
    /// The run of one seed.
    #[command(flatten)]
    pub run: Run,
}

impl Run {
    /// The program's numbers, with those of the config file in their place.
    ///
    /// # Errors
    /// [`Failure::Config`] when the file cannot be read or makes no sense.
    pub fn config<C: ProgramConfig>(&self) -> Result<C, Failure> {
        Ok(match &self.config {
            Some(file) => C::from_file(file)?,
            None => C::default(),
        })
    }
}

impl Setting {
    /// Prints the results and where they are, unless nothing but errors shall be printed, or another process prints.
    ///
    /// # Errors
    /// [`Failure::Print`].
    pub fn show(&self, results: &impl ToString, output: &OutputFolder) -> Result<(), Failure> {
        if self.machine.quiet || !output.is_written() {
            return Ok(());
        }
        show(&format!("{}\nresults are in {}\n", results.to_string(), output.path().display()))
    }
}

impl Repeated {
    /// Refuses more seeds than there are.
    ///
    /// # Errors
    /// [`Failure::TooSmall`] and [`Failure::Seeds`].
    pub fn check(&self) -> Result<(), Failure> {
        let (seed, seeds) = (self.run.setting.seed, self.seeds.unwrap_or(1));
        match seed.checked_add(seeds) {
            _ if seeds == 0 => Err(Failure::TooSmall { option: "seeds", least: 1 }),
            None => Err(Failure::Seeds { seed, seeds }),
            Some(_) => Ok(()),
        }
    }

    /// The seeds of all repetitions.
    pub fn seeds(&self) -> Range<u64> {
        self.run.setting.seed..self.run.setting.seed + self.seeds.unwrap_or(1)
    }
}

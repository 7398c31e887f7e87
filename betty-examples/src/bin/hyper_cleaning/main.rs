//! Data hyper-cleaning: learns which training labels to believe, from a few that are known to be right.
//!
//! ```text
//! min_w  clean(θ*(w))      θ*(w) = argmin_θ Σᵢ σ(wᵢ)·ℓᵢ(θ) / Σᵢ σ(wᵢ) + ½·10⁻³·‖θ‖²
//! ```
//!
//! Part of the training labels are wrong. The upper level moves the weight of every training example so that a classifier,
//! trained by the lower level under those weights, does well on a small clean set.

mod baseline;
mod cli;
mod experiment;
mod model;
mod problem;
mod report;
mod source;
#[cfg(test)]
mod tests;
mod train;
mod weighting;

use std::process::ExitCode;

use betty_examples::failure::{Failure, finish, show};
use betty_examples::stop::Stop;
use betty_runtime::{Multilevel, ProgramConfig};
use clap::Parser;

use cli::Options;
use experiment::{Experiment, Outcome};
use problem::HyperCleaning;
use report::Report;
use source::Source;

/// The system's allocator gives large tensors back at once and takes a page fault for every page at the next step; this one
/// keeps them, which halves the time of a run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    let config = options.config()?;
    config.validate(&HyperCleaning::SCHEDULE)?;
    let ranks = options.sharing.ranks()?;
    if options.run().print_config {
        return if ranks.is_first() { show(&(config.to_json()? + "\n")) } else { Ok(()) };
    }
    let device = options.run().setting.machine.open(&ranks)?;
    let source = Source::open(options.data.as_deref())?;
    let output = ranks.open(&options.run().setting.out)?;

    let stop = Stop::on_signals().map_err(Failure::Signals)?;
    let experiment = Experiment { options, config: &config, source: &source, device, output: &output, stop, ranks };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for seed in options.repeated.seeds() {
        match experiment.run(seed) {
            Ok(outcome) => outcomes.push(outcome),
            Err(failure) => {
                if matches!(failure, Failure::Stopped { .. }) {
                    outcomes.iter().try_for_each(|done| experiment.save(done.seed, &done.trained).map(drop))?;
                }
                return Err(failure);
            }
        }
    }
    let report = Report { outcomes: &outcomes, config: &config };
    report.write(&output)?;
    options.run().setting.show(&report, &output)
}

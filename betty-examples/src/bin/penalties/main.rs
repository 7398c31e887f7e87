//! Per-parameter L2 regularization: learns a penalty for every single parameter of a classifier from validation data.
//!
//! ```text
//! min_λ  validation(θ*(λ))      θ*(λ) = argmin_θ training(θ) + ½·Σᵢ exp(λᵢ)·θᵢ²
//! ```
//!
//! The upper level holds the logarithms of the penalties, as many as the classifier has parameters; no search over a grid
//! reaches them, a hypergradient moves them all at once. The baseline is the best common penalty of a grid.

mod cli;
mod experiment;
mod report;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use betty_examples::failure::{Failure, finish, show};
use betty_examples::going::Going;
use betty_examples::penalized::{Penalized, PenalizedConfig};
use betty_examples::saved::config_choices;
use betty_examples::stop::Stop;
use betty_runtime::{Multilevel, ProgramConfig};
use clap::Parser;

use cli::Options;
use experiment::Experiment;
use report::Report;

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    let config: PenalizedConfig = options.run().config()?;
    config.validate(&Penalized::SCHEDULE)?;
    let ranks = options.sharing.ranks()?;
    ranks.check_batch(options.train.min(options.validation))?;
    if options.run().print_config {
        return if ranks.is_first() { show(&(config.to_json()? + "\n")) } else { Ok(()) };
    }
    let device = options.run().setting.machine.open(&ranks)?;
    let output = ranks.open(&options.run().setting.out)?;
    let choices = config_choices(&config)?.into_iter().chain(options.choices()).collect();
    let stop = Stop::on_signals().map_err(Failure::Signals)?;
    let going = Going {
        saving: &options.saving,
        watching: &options.watching,
        output: &output,
        choices: &choices,
        stop: &stop,
        progress: !options.run().setting.machine.quiet && ranks.is_first(),
        ranks: &ranks,
    };
    let experiment = Experiment { options, config: &config, device, going };
    let outcomes = options.repeated.seeds().map(|seed| experiment.run(seed)).collect::<Result<Vec<_>, _>>()?;
    let report = Report { options, config: &config, outcomes: &outcomes };
    report.write(&output)?;
    options.run().setting.show(&report, &output)
}

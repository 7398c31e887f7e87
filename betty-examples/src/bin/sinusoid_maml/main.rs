//! Sinusoid regression by model-agnostic meta-learning: learns where to start, so that one step on a few points suffices.
//!
//! ```text
//! min_φ  mean over tasks t of query_t(φ − α·∇support_t(φ))
//! ```
//!
//! The upper level holds initial parameters. The lower level starts from them on each task and takes a step of gradient
//! descent; the hypergradient passes through that step, with its second derivatives.

mod adapt;
mod cli;
mod experiment;
mod model;
mod problem;
mod report;
mod task;
mod train;

use std::process::ExitCode;

use betty_examples::failure::{Failure, finish, show};
use betty_runtime::{Multilevel, ProgramConfig};
use clap::Parser;

use cli::Options;
use problem::Maml;

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    let config = options.config()?;
    config.validate(&Maml::SCHEDULE)?;
    let ranks = options.sharing.ranks()?;
    if options.run.print_config {
        return if ranks.is_first() { show(&(config.to_json()? + "\n")) } else { Ok(()) };
    }
    let device = options.run.setting.machine.open(&ranks)?;
    let output = ranks.open(&options.run.setting.out)?;
    let outcome = experiment::run(options, &config, &device, &output, &ranks)?;
    outcome.write(&config, &output)?;
    options.run.setting.show(&outcome, &output)
}

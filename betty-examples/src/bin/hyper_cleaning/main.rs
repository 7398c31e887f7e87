//! Data hyper-cleaning: learns which training labels to believe, from a few that are known to be right.
//!
//! Part of the training labels are wrong. The upper level moves the weight of every training example so that a classifier,
//! trained by the lower level under those weights, does well on a small clean set.

mod baseline;
mod cli;
mod experiment;
mod failure;
mod model;
mod problem;
mod report;
mod source;
mod train;
mod weighting;

use std::io::{self, Write};
use std::process::ExitCode;

use betty_examples::output::OutputFolder;
use betty_runtime::ProgramConfig;
use clap::Parser;

use cli::Options;
use experiment::Experiment;
use failure::Failure;
use report::Report;
use source::Source;

/// The system's allocator gives large tensors back at once and takes a page fault for every page at the next step; this one
/// keeps them, which halves the time of a run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    let config = options.config()?;
    if options.print_config {
        return show(&(config.to_json()? + "\n"));
    }
    let device = options.device.open()?;
    let source = Source::open(options.data.as_deref())?;
    let output = OutputFolder::open(&options.out)?;

    let experiment = Experiment { options, config: &config, source: &source, device };
    let outcomes = options.seeds().map(|seed| experiment.run(seed)).collect::<Result<Vec<_>, _>>()?;
    let report = Report { outcomes: &outcomes, config: &config };
    report.write(&output)?;
    if !options.quiet {
        show(&format!("{report}\nresults are in {}\n", output.path().display()))?;
    }
    Ok(())
}

/// Prints to standard output, which may be closed.
fn show(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::Print)
}

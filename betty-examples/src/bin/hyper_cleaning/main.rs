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

use std::process::ExitCode;

use betty_examples::output::OutputFolder;
use betty_runtime::ProgramConfig;
use clap::Parser;

use cli::Options;
use experiment::Experiment;
use failure::Failure;
use report::Report;
use source::Source;

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
        println!("{}", config.to_json()?);
        return Ok(());
    }
    let device = options.device.open()?;
    let source = Source::open(options.data.as_deref())?;
    let output = OutputFolder::open(&options.out)?;

    let experiment = Experiment { options, config: &config, source: &source, device };
    let outcomes = options.seeds().map(|seed| experiment.run(seed)).collect::<Result<Vec<_>, _>>()?;
    let report = Report { outcomes: &outcomes, config: &config };
    report.write(&output)?;
    if !options.quiet {
        print!("{report}");
        println!("results are in {}", output.path().display());
    }
    Ok(())
}

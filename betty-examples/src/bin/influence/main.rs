//! Influence functions: how would the test loss change if a training example had not been there?
//!
//! No level, no engine: a loss, a module, and its [`Derivatives`](betty_runtime::Derivatives). One solve with the Hessian and one
//! Jacobian product answer for all examples at once (Koh and Liang, *Understanding Black-box Predictions via Influence
//! Functions*, 2017); training anew without an example tells how right that is.

mod cli;
mod experiment;
mod report;
mod training;

use std::process::ExitCode;

use betty_examples::failure::{Failure, finish};
use betty_examples::output::OutputFolder;
use clap::Parser;

use cli::Options;
use report::Report;

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    let device = options.setting.machine.device.open(None)?;
    let output = OutputFolder::open(&options.setting.out)?;
    let outcome = experiment::run(options, &device)?;
    let report = Report { options, outcome: &outcome };
    report.write(&output)?;
    options.setting.show(&report, &output)
}

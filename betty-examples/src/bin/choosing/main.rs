//! Measures what every hypergradient method costs and how accurate it is, for the guide `docs/choosing.md`.
//!
//! The problem: the penalty of every parameter of a classifier of handwritten digits, judged on other digits. In double
//! precision, and small enough for the reference: the whole Hessian at a converged lower level.

mod measure;
mod problem;
mod report;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use betty_examples::command::Machine;
use betty_examples::failure::{Failure, check_positive, finish, show};
use betty_examples::output::OutputError;
use betty_runtime::file::replace;
use clap::Parser;
use indicatif::ProgressBar;

use measure::{Measurement, SETTINGS};
use problem::problem;
use report::{insert, table};

/// Measures cost and accuracy of every hypergradient method on one problem, and prints tables in Markdown.
#[derive(Debug, Parser)]
#[command(name = "choosing", version)]
struct Options {
    /// Lower steps after which methods are compared before convergence; at least 5.
    #[arg(long, default_value_t = 20, value_name = "N")]
    early: usize,
    /// Lower steps to convergence.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    converged: usize,
    /// Hidden units of the perceptron.
    #[arg(long, default_value_t = 16, value_name = "N")]
    hidden: usize,
    /// Repetitions of which the fastest counts.
    #[arg(long, default_value_t = 15, value_name = "N")]
    repetitions: usize,
    /// A document between whose marks the tables are written, such as docs/choosing.md.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// What all examples have.
    #[command(flatten)]
    machine: Machine,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let Options { early, converged, hidden, repetitions, .. } = *options;
    // The truncated settings need 5 steps.
    if early < 5 {
        return Err(Failure::TooSmall { option: "early", least: 5 });
    }
    if converged < early {
        return Err(Failure::TooSmall { option: "converged", least: early as u64 });
    }
    check_positive(&[("hidden", hidden as u64), ("repetitions", repetitions as u64)])?;
    let device = options.machine.device.open(None)?;
    let mut measured = String::new();
    let bar = if options.machine.quiet { ProgressBar::hidden() } else { ProgressBar::new(2 * SETTINGS.len() as u64) };
    for (title, hidden) in [("Logistic regression", None), ("Perceptron", Some(hidden))] {
        let measurement = Measurement { hidden, early, converged, repetitions, device: &device };
        let rows = measurement.rows(SETTINGS, || bar.inc(1))?;
        let size = problem(hidden, &device).classifier.size();
        measured +=
            &format!("\n**{title}**, {size} parameters, {early} and {converged} lower steps:\n\n{}\n", table(&rows));
    }
    bar.finish_and_clear();
    match &options.write {
        None if options.machine.quiet => Ok(()),
        None => show(&measured),
        Some(path) => {
            let failed = |source| OutputError::File { path: path.clone(), source };
            let document = fs::read_to_string(path).map_err(failed)?;
            let document = insert(&document, &measured).ok_or_else(|| {
                failed(std::io::Error::other("the document has no marks between which tables could be written"))
            })?;
            Ok(replace(path, document.as_bytes()).map_err(failed)?)
        }
    }
}

//! Measures every way to find the hypergradient of a deep program on networks: what it takes, how far it is off, and whether it trains
//! to the same result. The tables stand in `BENCHMARKS.md`.

mod measure;
mod programs;
mod ways;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use betty_examples::command::Machine;
use betty_examples::failure::{Failure, check_positive, finish, show};
use betty_examples::output::OutputError;
use betty_runtime::EngineError;
use betty_runtime::file::replace;
use burn::tensor::Device;
use clap::Parser;

use measure::{Measurement, Taken, Trained, converged};
use programs::{Deep, Four, Parts, Three};
use ways::Way;

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Between these lines a document's text is written by the program.
const MARKS: (&str, &str) = ("<!-- deep: begin -->\n", "<!-- deep: end -->");

/// Measures every way to find the hypergradient of programs of three and four levels, and prints tables in Markdown.
#[derive(Debug, Parser)]
#[command(name = "deep", version)]
struct Options {
    /// Steps of the weights in training.
    #[arg(long, default_value_t = 15, value_name = "N")]
    steps: u64,
    /// Repetitions of which the fastest counts.
    #[arg(long, default_value_t = 3, value_name = "N")]
    repetitions: usize,
    /// Seed of which examples go where, and of what classifiers begin with.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    seed: u64,
    /// A document between whose marks the tables are written, such as BENCHMARKS.md.
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
    check_positive(&[("steps", options.steps), ("repetitions", options.repetitions as u64)])?;
    let device = options.machine.device.open(None)?;
    let three = table::<Three>("Three levels", options, &device)?;
    let four = table::<Four>("Four levels", options, &device)?;
    let measured = format!("\n{three}\n{four}\n");
    match &options.write {
        None => Ok(()),
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

/// The document with this text between the marks.
fn insert(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}{text}{}{after}", MARKS.0, MARKS.1))
}

/// What all ways take and come to.
fn table<P: Deep>(title: &str, options: &Options, device: &Device) -> Result<String, Failure> {
    let parts = Parts::draw(options.seed, device);
    let measurement = Measurement { steps: options.steps, repetitions: options.repetitions };
    let at = converged(P::start(&parts), &parts)?;
    let reference = Way::reference();
    let (exact, ..) = Measurement { repetitions: 0, ..measurement }.hypergradient(&reference, &at, &parts)?;
    let goal = measurement.trained::<P>(&Way::exact(), &parts)?;
    let mut text = format!(
        "**{title}**\n\n| way | kernels | ms | error | judging loss | test accuracy | weights differ by | s |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    if !options.machine.quiet {
        show(&text)?;
    }
    for way in Way::all(P::SCHEDULE.levels.len()) {
        let taken = possible(measurement.taken(&way, &at, &parts, &exact))?;
        let trained = possible(measurement.trained::<P>(&way, &parts))?;
        let line = format!("| {} | {} | {} |", way.name, cells(taken), results(trained, &goal));
        if !options.machine.quiet {
            show(&format!("{line}\n"))?;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

/// What was found, or why that way cannot be gone.
fn possible<T>(found: Result<T, EngineError>) -> Result<Result<T, &'static str>, EngineError> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(EngineError::Hypergradient { .. }) => Ok(Err("fails")),
        Err(EngineError::Config(_)) => Ok(Err("–")),
        Err(error) => Err(error),
    }
}

fn cells(taken: Result<Taken, &str>) -> String {
    match taken {
        Ok(Taken { kernels, milliseconds, error }) => format!("{kernels:.0} | {milliseconds:.1} | {error:.0e}"),
        Err(why) => format!("{why} | {why} | {why}"),
    }
}

fn results(trained: Result<Trained, &str>, goal: &Trained) -> String {
    match trained {
        Ok(Trained { judged, accuracy, weights, seconds }) => {
            let gap = weights.iter().zip(&goal.weights).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            format!("{judged:.4} | {accuracy:.3} | {gap:.2} | {seconds:.1}")
        }
        Err(why) => format!("{why} | {why} | {why} | {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_between_the_marks() {
        let document = format!("a\n{}old{}b", MARKS.0, MARKS.1);
        assert_eq!(insert(&document, "new"), Some(format!("a\n{}new{}b", MARKS.0, MARKS.1)));
        assert_eq!(insert("none", "new"), None);
    }
}

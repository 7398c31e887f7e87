//! A pilot: what learned penalties and learned weights of examples are worth on a table of one's own, beside the plain workflow.
//!
//! ```text
//! penalties    min_λ  validation(θ*(λ))      θ*(λ) = argmin_θ training(θ) + ½·Σᵢ exp(λᵢ)·θᵢ²
//! weights      min_w  validation(θ*(w))      θ*(w) = argmin_θ Σⱼ σ(wⱼ)·ℓⱼ(θ) / Σⱼ σ(wⱼ) + ½·p·‖θ‖²
//! ```
//!
//! `i` counts parameters, `j` rows; `p` is the penalty that the plain workflow finds on a grid.

mod cli;
mod experiment;
mod page;
mod weights;

use std::process::ExitCode;

use betty_examples::data::Table;
use betty_examples::failure::{Failure, finish, show};
use betty_examples::going::Going;
use betty_examples::output::OutputFolder;
use betty_examples::ranks::Ranks;
use betty_examples::stop::Stop;
use clap::Parser;
use peak_alloc::PeakAlloc;

use cli::Options;
use experiment::Experiment;
use page::Page;

/// Counts the most bytes that were held at once.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    let table = Table::open(&options.data, &options.target)?;
    let device = options.setting.machine.device.open(None)?;
    let output = OutputFolder::open(&options.setting.out)?;
    let (choices, stop) = (options.choices(), Stop::on_signals().map_err(Failure::Signals)?);
    let going = Going {
        saving: &options.saving,
        watching: &options.watching,
        output: &output,
        choices: &choices,
        stop: &stop,
        progress: false,
        ranks: &Ranks::default(),
    };
    let outcome = Experiment { options, table: &table, device, going }.run()?;
    let page = Page { options, table: &table, outcome: &outcome };
    output.write("pilot.json", serde_json::to_string_pretty(&outcome)? + "\n")?;
    output.write("pilot.html", page.html())?;
    if options.setting.machine.quiet {
        return Ok(());
    }
    show(&format!("{page}\nthe report is {}\n", output.path().join("pilot.html").display()))
}

//! Results as text, JSON and plots.

use std::fmt;

use betty_examples::failure::Failure;
use betty_examples::metrics::Summary;
use betty_examples::output::OutputFolder;
use betty_examples::penalized::{Penalized, PenalizedConfig};
use betty_examples::plot::{Curve, Curves, Group, Histogram};
use betty_runtime::{Multilevel, ProgramConfig};
use serde::Serialize;

use crate::cli::Options;
use crate::experiment::{GRID, Outcome, Scores};

/// The results of all seeds.
pub(crate) struct Report<'a> {
    /// The command line.
    pub(crate) options: &'a Options,
    /// The program's numbers.
    pub(crate) config: &'a PenalizedConfig,
    /// One for each seed.
    pub(crate) outcomes: &'a [Outcome],
}

/// What `report.json` holds.
#[derive(Serialize)]
struct Json<'a> {
    train: usize,
    validation: usize,
    distractors: usize,
    hidden: Option<usize>,
    steps: u64,
    fit_steps: usize,
    outcomes: &'a [Outcome],
}

impl Report<'_> {
    /// Writes everything into a folder; the plots show the first seed.
    pub(crate) fn write(&self, output: &OutputFolder) -> Result<(), Failure> {
        let Options { train, validation, distractors, hidden, steps, fit_steps, .. } = *self.options;
        let json = Json { train, validation, distractors, hidden, steps, fit_steps, outcomes: self.outcomes };
        output.write("report.json", serde_json::to_string_pretty(&json)? + "\n")?;
        if let Some(first) = self.outcomes.first() {
            output.write("losses.svg", loss_plot(first).to_svg()?)?;
            output.write("penalties.svg", penalty_plot(first).to_svg()?)?;
        }
        output.write("levels.txt", Penalized::SCHEDULE.to_string())?;
        output.write("config.json", self.config.to_json()? + "\n")?;
        Ok(())
    }

    fn summary(&self, number: impl Fn(&Outcome) -> f64) -> String {
        let numbers: Vec<f64> = self.outcomes.iter().map(number).collect();
        Summary::of(&numbers).map(|summary| summary.to_string()).unwrap_or_default()
    }
}

/// The table for people.
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { train, validation, distractors, .. } = self.options;
        writeln!(f, "{train} training and {validation} validation examples, {distractors} inputs without meaning")?;
        if self.outcomes.len() > 1 {
            writeln!(f, "mean ± standard deviation over {} seeds", self.outcomes.len())?;
        }
        writeln!(f, "\n{:26}{:>17}{:>17}{:>17}", "penalty", "validation loss", "test loss", "test accuracy")?;
        let mut line = |name: &str, scores: &dyn Fn(&Outcome) -> Scores| {
            let validation = self.summary(|outcome| scores(outcome).validation_loss);
            let test = self.summary(|outcome| scores(outcome).test_loss);
            let accuracy = self.summary(|outcome| scores(outcome).test_accuracy);
            writeln!(f, "{name:26}{validation:>17}{test:>17}{accuracy:>17}")
        };
        line("smallest of the grid", &|outcome| outcome.grid[0].scores)?;
        line("best common of the grid", &|outcome| outcome.common.scores)?;
        line("one for each parameter", &|outcome| outcome.learned)?;
        line("common, trained on both", &|outcome| outcome.on_both)?;
        let common = self.summary(|outcome| outcome.common.log10_penalty);
        let [pixels, others] = [0, 1].map(|group| self.summary(|outcome| median(&outcome.log10_penalties[group])));
        writeln!(f, "\ndecimal logarithm of the penalty: common {common}; learned, median of pixels {pixels}")?;
        if self.options.distractors > 0 {
            writeln!(f, "and of inputs without meaning {others}")?;
        }
        Ok(())
    }
}

/// The number in the middle; `NaN` of none.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn loss_plot(outcome: &Outcome) -> Curves {
    let start = outcome.common.scores;
    let curve = |name: &str, first: f64, losses: Vec<(u64, f64)>| {
        let points = losses.into_iter().map(|(step, loss)| (step as f64, loss));
        Curve { name: name.into(), points: std::iter::once((0.0, first)).chain(points).collect() }
    };
    let validation = outcome.curve.iter().map(|point| (point.step, point.validation_loss)).collect();
    let test = outcome.curve.iter().map(|point| (point.step, point.test_loss)).collect();
    Curves {
        title: "From the best common penalty to one for each parameter".into(),
        x: "step of the penalties".into(),
        y: "cross-entropy".into(),
        curves: vec![curve("validation", start.validation_loss, validation), curve("test", start.test_loss, test)],
        dots: None,
    }
}

fn penalty_plot(outcome: &Outcome) -> Histogram {
    let [pixels, others] = outcome.log10_penalties.clone();
    let highest = pixels.iter().chain(&others).copied().fold(GRID[GRID.len() - 1], f64::max);
    let lowest = pixels.iter().chain(&others).copied().fold(GRID[0], f64::min);
    Histogram {
        title: "Learned penalties of single weights".into(),
        x: "decimal logarithm of the penalty".into(),
        bounds: (lowest, highest),
        bins: 40,
        groups: vec![
            Group { name: "of pixels".into(), values: pixels },
            Group { name: "of inputs without meaning".into(), values: others },
        ],
    }
}

//! Results as text, tables, plots, and the graph of levels.

use std::fmt;

use betty_examples::failure::Failure;
use betty_examples::metrics::{Summary, csv_table};
use betty_examples::output::OutputFolder;
use betty_examples::plot::{Curve, Curves, Group, Histogram};
use betty_runtime::{Multilevel, ProgramConfig};
use serde::Serialize;

use crate::experiment::{Outcome, Training};
use crate::problem::{HyperCleaning, HyperCleaningConfig};
use crate::train::ACCURACY;

/// The results of all seeds.
pub(crate) struct Report<'a> {
    /// One for each seed.
    pub(crate) outcomes: &'a [Outcome],
    /// The program's numbers.
    pub(crate) config: &'a HyperCleaningConfig,
}

#[derive(Serialize)]
struct MetricRow {
    seed: u64,
    training: Training,
    test_accuracy: Option<f64>,
    weight_auc: Option<f64>,
}

#[derive(Serialize)]
struct AccuracyRow {
    seed: u64,
    training: Training,
    step: u64,
    test_accuracy: f64,
}

#[derive(Serialize)]
struct LossRow<'a> {
    seed: u64,
    level: &'a str,
    step: u64,
    loss: f64,
}

#[derive(Serialize)]
struct WeightRow {
    seed: u64,
    example: usize,
    given_label: u8,
    corrupted: bool,
    weight: f64,
}

impl Report<'_> {
    /// Writes everything into a folder; the plots show the first seed.
    pub(crate) fn write(&self, output: &OutputFolder) -> Result<(), Failure> {
        output.write("metrics.csv", csv_table(self.metrics())?)?;
        output.write("accuracies.csv", csv_table(self.accuracies())?)?;
        output.write("losses.csv", csv_table(self.losses())?)?;
        output.write("weights.csv", csv_table(self.weights())?)?;
        if let Some(first) = self.outcomes.first() {
            output.write("weights.svg", weight_plot(first).to_svg()?)?;
            output.write("accuracies.svg", accuracy_plot(first).to_svg()?)?;
            output.write("losses.svg", loss_plot(first).to_svg()?)?;
        }
        let schedule = HyperCleaning::SCHEDULE;
        output.write("levels.txt", format!("{schedule}"))?;
        output.write("levels.dot", schedule.to_dot())?;
        output.write("levels.mmd", schedule.to_mermaid())?;
        output.write("config.json", self.config.to_json()? + "\n")?;
        Ok(())
    }

    fn metrics(&self) -> impl Iterator<Item = MetricRow> {
        self.outcomes.iter().flat_map(|outcome| {
            Training::ALL.map(|training| MetricRow {
                seed: outcome.seed,
                training,
                test_accuracy: outcome.accuracy(training),
                weight_auc: outcome.auc().filter(|_| training == Training::HyperCleaned),
            })
        })
    }

    fn accuracies(&self) -> impl Iterator<Item = AccuracyRow> {
        self.outcomes.iter().flat_map(|outcome| {
            outcome.curves.iter().flat_map(|curve| {
                let row = |&(step, test_accuracy)| AccuracyRow {
                    seed: outcome.seed,
                    training: curve.training,
                    step,
                    test_accuracy,
                };
                curve.points.iter().map(row)
            })
        })
    }

    fn losses(&self) -> impl Iterator<Item = LossRow<'_>> {
        self.outcomes.iter().flat_map(|outcome| {
            let losses = outcome.trained.curves.iter().filter(|point| point.curve != ACCURACY);
            losses.map(|point| LossRow { seed: outcome.seed, level: &point.curve, step: point.step, loss: point.value })
        })
    }

    fn weights(&self) -> impl Iterator<Item = WeightRow> {
        self.outcomes.iter().flat_map(|outcome| {
            outcome.weights.iter().enumerate().map(|(example, &weight)| WeightRow {
                seed: outcome.seed,
                example,
                given_label: outcome.noisy.examples.labels()[example],
                corrupted: outcome.noisy.corrupted[example],
                weight,
            })
        })
    }
}

/// The table for people.
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.outcomes.first() else { return Ok(()) };
        let (clean, test) = first.sizes;
        let noisy = first.noisy.corrupted.len();
        let wrong = first.noisy.corrupted.iter().filter(|&&corrupted| corrupted).count();
        writeln!(
            f,
            "{noisy} training examples, {wrong} of them with a wrong label; {clean} clean, {test} for the test"
        )?;
        if self.outcomes.len() > 1 {
            writeln!(f, "mean ± standard deviation over {} seeds", self.outcomes.len())?;
        }
        writeln!(f)?;
        writeln!(f, "{:24}test accuracy", "trained on")?;
        for training in Training::ALL {
            let accuracies: Vec<f64> = self.outcomes.iter().filter_map(|outcome| outcome.accuracy(training)).collect();
            write_line(f, &training.to_string(), &accuracies)?;
        }
        let aucs: Vec<f64> = self.outcomes.iter().filter_map(Outcome::auc).collect();
        writeln!(f)?;
        write_line(f, "ROC AUC of the weights", &aucs)
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, name: &str, numbers: &[f64]) -> fmt::Result {
    match Summary::of(numbers) {
        Some(summary) => writeln!(f, "{name:24}{summary}"),
        None => writeln!(f, "{name:24}undefined: labels are all right or all wrong"),
    }
}

fn weight_plot(outcome: &Outcome) -> Histogram {
    let group = |name: &str, corrupted| {
        let weights = outcome.weights.iter().zip(&outcome.noisy.corrupted).filter(|&(_, &is)| is == corrupted);
        Group { name: name.into(), values: weights.map(|(&weight, _)| weight).collect() }
    };
    Histogram {
        title: "Learned weights of training examples".into(),
        x: "weight, relative to the largest".into(),
        bounds: (0.0, 1.0),
        bins: 40,
        groups: vec![group("label is right", false), group("label is wrong", true)],
    }
}

fn accuracy_plot(outcome: &Outcome) -> Curves {
    let curve = |training: Training, points: &[(u64, f64)]| Curve {
        name: training.to_string(),
        points: points.iter().map(|&(step, accuracy)| (step as f64, accuracy)).collect(),
    };
    Curves {
        title: "Test accuracy during training".into(),
        x: "step of the classifier".into(),
        y: "test accuracy".into(),
        curves: outcome.curves.iter().map(|shown| curve(shown.training, &shown.points)).collect(),
        dots: None,
    }
}

fn loss_plot(outcome: &Outcome) -> Curves {
    let curves = HyperCleaning::SCHEDULE.levels.iter().map(|spec| {
        let losses: Vec<_> = outcome.trained.curve(spec.name).collect();
        let last = losses.last().map_or(1, |&(step, _)| step) as f64;
        // The levels take different numbers of steps; both curves run over the same width.
        Curve {
            name: spec.name.into(),
            points: losses.iter().map(|&(step, loss)| (step as f64 / last, loss)).collect(),
        }
    });
    Curves {
        title: "Losses of the levels".into(),
        x: "share of the run".into(),
        y: "loss".into(),
        curves: curves.collect(),
        dots: None,
    }
}

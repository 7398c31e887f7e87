//! Results as text, JSON, a table and plots.

use std::fmt;

use betty_examples::failure::Failure;
use betty_examples::metrics::{correlation, csv_table, rank_correlation, roc_auc};
use betty_examples::output::OutputFolder;
use betty_examples::plot::{Curve, Curves};
use betty_runtime::SpectralDensity;
use serde::Serialize;

use crate::cli::Options;
use crate::experiment::{Measured, Outcome};

/// The results.
pub(crate) struct Report<'a> {
    /// The command line.
    pub(crate) options: &'a Options,
    /// What came out.
    pub(crate) outcome: &'a Outcome,
}

/// What `report.json` holds.
#[derive(Serialize)]
struct Json<'a> {
    seed: u64,
    train: usize,
    test: usize,
    noise: f64,
    hidden: Option<usize>,
    penalty: f64,
    damping: f64,
    rank_correlation: Option<f64>,
    correlation: Option<f64>,
    auc_of_wrong_labels: Option<f64>,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

impl Report<'_> {
    /// Writes everything into a folder.
    pub(crate) fn write(&self, output: &OutputFolder) -> Result<(), Failure> {
        let Options { train, test, noise, hidden, penalty, damping, ref setting, .. } = *self.options;
        let (rank_correlation, correlation) = self.correlations();
        let auc_of_wrong_labels = self.auc();
        let (seed, outcome) = (setting.seed, self.outcome);
        let json = Json {
            seed,
            train,
            test,
            noise,
            hidden,
            penalty,
            damping,
            rank_correlation,
            correlation,
            auc_of_wrong_labels,
            outcome,
        };
        output.write("report.json", serde_json::to_string_pretty(&json)? + "\n")?;
        output.write("left_out.csv", csv_table(&outcome.left_out)?)?;
        output.write("influence.svg", self.influence_plot().to_svg()?)?;
        output.write("spectrum.svg", self.spectrum_plot().to_svg()?)?;
        Ok(())
    }

    /// Of ranks, and of numbers.
    fn correlations(&self) -> (Option<f64>, Option<f64>) {
        let (predicted, actual): (Vec<f64>, Vec<f64>) =
            self.outcome.left_out.iter().map(|left_out| (left_out.predicted, left_out.actual)).unzip();
        (rank_correlation(&predicted, &actual), correlation(&predicted, &actual))
    }

    /// How well harm by influence tells wrong labels.
    fn auc(&self) -> Option<f64> {
        let harm: Vec<f64> = self.outcome.influence.iter().map(|influence| -influence).collect();
        roc_auc(&harm, &self.outcome.wrong)
    }

    fn influence_plot(&self) -> Curves {
        let points: Vec<(f64, f64)> =
            self.outcome.left_out.iter().map(|left_out| (left_out.predicted, left_out.actual)).collect();
        let low = points.iter().flat_map(|&(x, y)| [x, y]).fold(f64::INFINITY, f64::min);
        let high = points.iter().flat_map(|&(x, y)| [x, y]).fold(f64::NEG_INFINITY, f64::max);
        Curves {
            title: "Change of the test loss without a training example".into(),
            x: "predicted by influence".into(),
            y: "found by training without it".into(),
            curves: vec![Curve { name: "equal".into(), points: vec![(low, low), (high, high)] }],
            dots: Some(Curve { name: "examples left out".into(), points }),
        }
    }

    fn spectrum_plot(&self) -> Curves {
        let Outcome { density, smallest, largest, .. } = self.outcome;
        let density = SpectralDensity { points: density.clone() };
        let range = largest.value - smallest.value;
        let (width, air) = (range / 200.0, 0.02 * range);
        let place = |k: u32| smallest.value - air + (range + 2.0 * air) * f64::from(k) / 800.0;
        let logarithm = |x: f64| (x, density.smoothed(x, width).max(LEAST / range).log10());
        Curves {
            title: format!("Spectrum of the Hessian, {} eigenvalues", self.outcome.parameters),
            x: "eigenvalue".into(),
            y: "decimal logarithm of the density".into(),
            curves: vec![Curve { name: "density".into(), points: (0..=800).map(|k| logarithm(place(k))).collect() }],
            dots: Some(Curve {
                name: "smallest and largest, from 60 products".into(),
                points: [smallest, largest].map(|end| logarithm(end.value)).to_vec(),
            }),
        }
    }
}

/// The smallest density that is drawn, in shares of the spectrum over its whole width.
const LEAST: f64 = 1e-4;

/// The table for people.
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { parameters, accuracy, loss, wrong, left_out, smallest, largest, trace, .. } = self.outcome;
        let Options { train, test, .. } = self.options;
        let model = if self.options.hidden.is_some() { "a perceptron" } else { "logistic regression" };
        let count = wrong.iter().filter(|&&wrong| wrong).count();
        writeln!(f, "{train} training examples, {count} of them with a wrong label; {test} for the test")?;
        writeln!(f, "{model} of {parameters} parameters: test loss {loss:.3}, accuracy {accuracy:.3}\n")?;
        writeln!(f, "the Hessian at the minimum")?;
        for (name, Measured { value, error }) in
            [("smallest eigenvalue", smallest), ("largest eigenvalue", largest), ("trace", trace)]
        {
            writeln!(f, "{name:25}{value:>10.4} ± {error:.0e}")?;
        }
        let (ranks, numbers) = self.correlations();
        writeln!(
            f,
            "\nthe test loss without an example, for {} of them: influence against training anew",
            left_out.len()
        )?;
        for (name, number) in [("rank correlation", ranks), ("correlation", numbers)] {
            writeln!(f, "{name:25}{:>10}", shown(number))?;
        }
        writeln!(f, "\nROC AUC of wrong labels{:>12}", shown(self.auc()))
    }
}

fn shown(number: Option<f64>) -> String {
    number.map_or_else(|| "undefined".into(), |number| format!("{number:.4}"))
}

//! The command line.

use betty_examples::command::Setting;
use betty_examples::data::digits;
use betty_examples::failure::{Failure, check_positive};
use clap::Parser;

/// Predicts how the test loss changes when a training example is left out, and holds that against training without it.
///
/// Logistic regression (or a perceptron) is trained on a few handwritten digits, some of them with a wrong label. The influence
/// of every example on the test loss follows from one solve with the Hessian and one Jacobian product. Some examples are then
/// left out by turns, and the classifier is trained anew.
#[derive(Debug, Parser)]
#[command(name = "influence", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split, of wrong labels, and of initial parameters")))]
#[command(mut_arg("out", |out| out.default_value("out/influence")))]
pub(crate) struct Options {
    /// Training examples.
    #[arg(long, default_value_t = 400, value_name = "N")]
    pub(crate) train: usize,
    /// Test examples, on whose mean loss the influence is.
    #[arg(long, default_value_t = 600, value_name = "N")]
    pub(crate) test: usize,
    /// Share of training examples with a wrong label.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub(crate) noise: f64,
    /// Training examples that are left out by turns, from the most helpful to the most harmful one.
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub(crate) retrain: usize,
    /// Hidden units of a perceptron [default: logistic regression].
    #[arg(long, value_name = "N")]
    pub(crate) hidden: Option<usize>,
    /// Weight of the penalty ½·‖θ‖²; without it, the Hessian of logistic regression is singular.
    #[arg(long, default_value_t = 0.01, value_name = "WEIGHT")]
    pub(crate) penalty: f64,
    /// Added to the Hessian's diagonal where influence is computed.
    #[arg(long, default_value_t = 0.0, value_name = "DAMPING")]
    pub(crate) damping: f64,
    /// What all examples have.
    #[command(flatten)]
    pub(crate) setting: Setting,
}

impl Options {
    /// Refuses numbers that make no sense, before any work is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_positive(&[
            ("train", self.train as u64),
            ("test", self.test as u64),
            ("hidden", self.hidden.unwrap_or(1) as u64),
        ])?;
        if self.retrain < 2 {
            return Err(Failure::TooSmall { option: "retrain", least: 2 });
        }
        for (option, number, may_be_zero) in [("penalty", self.penalty, false), ("damping", self.damping, true)] {
            if !number.is_finite() || number < 0.0 || number == 0.0 && !may_be_zero {
                return Err(Failure::OutOfRange { option, number, may_be_zero });
            }
        }
        let (train, retrain) = (self.train, self.retrain);
        if retrain > train {
            return Err(Failure::LeftOut { retrain, train });
        }
        let (asked, available) = (self.train.saturating_add(self.test), digits().len());
        if asked > available {
            return Err(Failure::TooManyExamples { asked, available });
        }
        Ok(())
    }
}

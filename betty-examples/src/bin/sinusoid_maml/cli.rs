//! The command line.

use betty_examples::command::{Run, Sharing};
use betty_examples::failure::{Failure, check_positive};
use betty_examples::going::Saving;
use betty_examples::rival::check_rate_only;
use betty_examples::saved::Choices;
use betty_examples::watching::Watching;
use betty_runtime::{CgConfig, HypergradientConfig, IdentityConfig, MinresConfig, UnrolledConfig};
use clap::{Parser, ValueEnum};

use crate::problem::MamlConfig;

/// Learns initial parameters from which a network fits a sine wave after one gradient step on a few of its points.
///
/// Tasks are sine waves with amplitudes from 0.1 to 5 and phases from 0 to π, seen at 5 or 10 points between -5 and 5. The
/// upper level moves the initial parameters of a network 1-40-40-1 so that its error on other points is small after one step
/// of gradient descent. It is compared with a network that is trained on the points of all tasks at once, on fresh tasks.
#[derive(Debug, Parser)]
#[command(name = "sinusoid_maml", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of initial parameters and tasks")))]
#[command(mut_arg("out", |out| out.default_value("out/sinusoid_maml")))]
pub(crate) struct Options {
    /// Points of a task to learn from, as many others to judge by in training.
    #[arg(long, default_value_t = 5, value_name = "K")]
    pub(crate) shots: usize,
    /// Steps of the initial parameters, each averaged over the `tasks` of the config.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) iterations: u64,
    /// How the hypergradient passes through the adaptation [default: as configured, unrolled].
    #[arg(long, value_enum)]
    pub(crate) method: Option<Method>,
    /// How strongly the adapted parameters θ are drawn to the initial ones φ: the weight of ½‖θ − φ‖² in what adaptation
    /// descends [default: 0 for unrolled, else 2].
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) proximity: Option<f64>,
    /// Steps that adapt to a task in training; the test takes 10 [default: as configured, 1; for an implicit method 16].
    #[arg(long, value_name = "N")]
    pub(crate) inner_steps: Option<usize>,
    /// Number of fresh tasks for the test.
    #[arg(long, default_value_t = 600, value_name = "N")]
    pub(crate) test_tasks: usize,
    /// How the run is saved.
    #[command(flatten)]
    pub(crate) saving: Saving,
    /// Whether processes share the tasks of meta-training.
    #[command(flatten)]
    pub(crate) sharing: Sharing,
    /// How the run is watched.
    #[command(flatten)]
    pub(crate) watching: Watching,
    /// What all examples have.
    #[command(flatten)]
    pub(crate) run: Run,
}

/// The methods that differentiate the adaptation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Method {
    /// The steps themselves, in reverse: MAML.
    Unrolled,
    /// Minimal residuals on the Hessian: MAML with implicit gradients.
    Minres,
    /// Conjugate gradients on the Hessian, for a proximity that makes it positive definite.
    Cg,
    /// The proximity alone for the Hessian: implicit gradients without second derivatives.
    Identity,
}

/// What implicit gradients need to begin with: an adapted network that depends on where it began, near its best response.
const IMPLICIT: (f64, usize) = (2.0, 16);

impl Method {
    /// The method with numbers that suit this problem.
    fn config(self, proximity: f64) -> HypergradientConfig {
        match self {
            Method::Unrolled => HypergradientConfig::Unrolled(UnrolledConfig::default()),
            Method::Minres => HypergradientConfig::Minres(MinresConfig { iterations: 5, ..Default::default() }),
            Method::Cg => HypergradientConfig::Cg(CgConfig { iterations: 5, ..Default::default() }),
            Method::Identity => {
                HypergradientConfig::Identity(IdentityConfig { scale: 1.0 / proximity, ..Default::default() })
            }
        }
    }
}

impl Options {
    /// Whether the method assumes that adaptation has converged.
    fn is_implicit(&self) -> bool {
        self.method.is_some_and(|method| method != Method::Unrolled)
    }

    /// How strongly adapted parameters are drawn to the initial ones.
    pub(crate) fn proximity(&self) -> f64 {
        self.proximity.unwrap_or(if self.is_implicit() { IMPLICIT.0 } else { 0.0 })
    }

    /// Refuses numbers that make no sense, before any work is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_positive(&[
            ("shots", self.shots as u64),
            ("iterations", self.iterations),
            ("inner-steps", self.inner_steps.unwrap_or(1) as u64),
            ("test-tasks", self.test_tasks as u64),
        ])?;
        let proximity = self.proximity();
        // Without it, a best response does not depend on where it began.
        if !(proximity.is_finite() && if self.is_implicit() { proximity > 0.0 } else { proximity >= 0.0 }) {
            return Err(Failure::Proximity { proximity });
        }
        self.saving.check(&self.run.setting.out)
    }

    /// The options that decide the numbers of the run, beside the config.
    pub(crate) fn choices(&self) -> Choices {
        let own = [
            ("--seed", self.run.setting.seed.to_string()),
            ("--shots", self.shots.to_string()),
            ("--proximity", self.proximity().to_string()),
        ];
        own.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// The program's numbers, with those of the config file and of the command line in their place.
    pub(crate) fn config(&self) -> Result<MamlConfig, Failure> {
        let mut config: MamlConfig = self.run.config()?;
        let program = MamlConfig::default();
        // The test adapts by plain steps, and what is pretrained is trained by Burn's Adam.
        check_rate_only("meta", &config.meta, &program.meta)?;
        check_rate_only("adapted", &config.adapted, &program.adapted)?;
        if let Some(method) = self.method {
            let configured = config.adapted.hypergradient.as_ref().map(HypergradientConfig::name);
            let chosen = method.config(self.proximity());
            if configured != Some(chosen.name()) {
                config.adapted.hypergradient = Some(chosen);
            }
        }
        // Implicit methods solve one system after the other.
        config.meta.vectorize &= matches!(config.adapted.hypergradient, Some(HypergradientConfig::Unrolled(_)));
        let default = (self.is_implicit() && config.adapted.unroll == 1).then_some(IMPLICIT.1);
        if let Some(steps) = self.inner_steps.or(default) {
            config.adapted.unroll = steps;
        }
        Ok(config)
    }
}

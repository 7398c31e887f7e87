//! The command line.

use std::fmt;
use std::path::PathBuf;

use betty_examples::command::{Repeated, Run, Sharing};
use betty_examples::data::{NoiseError, WrongLabel};
use betty_examples::failure::{Failure, check_positive};
use betty_examples::rival::check_shared;
use betty_examples::saved::Choices;
use betty_examples::watching::Watching;
use betty_runtime::{
    AdamConfig, CgConfig, CheckpointError, DenseConfig, FiniteDifferenceConfig, GmresConfig, HypergradientConfig,
    IdentityConfig, MinresConfig, NeumannConfig, NystromConfig, OptimizerConfig, PenaltyConfig, SamaConfig, Start,
    UnrolledConfig,
};
use clap::{Parser, ValueEnum};

use crate::problem::{DAMPING, HyperCleaningConfig};

/// Learns which training labels to believe, from a few that are known to be right.
///
/// A share of the training labels is replaced by wrong ones. Five classifiers with the same architecture, optimizer and
/// number of steps are then compared on test data: trained on everything, on the clean set only, with weights that an
/// upper level learns so that the classifier does well on the clean set, anew on everything under these weights, and by an
/// oracle that knows the wrong labels.
#[derive(Debug, Parser)]
#[command(name = "hyper_cleaning", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of split, noise, initial parameters and batches")))]
#[command(mut_arg("out", |out| out.default_value("out/hyper_cleaning")))]
#[command(mut_arg("config", |config| config.help(
    "JSON file whose numbers replace those of the program; the other classifiers share the classifier's optimizer, and what \
     they would not share is refused"
)))]
pub(crate) struct Options {
    /// How the hypergradient passes through the classifier [default: as configured, cg].
    #[arg(long, value_enum)]
    pub(crate) method: Option<Method>,
    /// What gives a training example its weight.
    #[arg(long, value_enum, default_value_t = WeightingKind::Table)]
    pub(crate) weighting: WeightingKind,
    /// Folder of images in the place of the built-in digits: IDX files as of MNIST or Fashion-MNIST, plain or gzipped; the binary version
    /// of CIFAR-10 or CIFAR-100; or folders `train/CLASS` and `test/CLASS` of PNG or JPEG files of one size.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Share of training labels that are made wrong, from 0 to 1.
    #[arg(long, default_value_t = 0.4, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) noise: f64,
    /// Which label a corrupted example gets.
    #[arg(long, value_enum, default_value_t = WrongLabelKind::Any)]
    pub(crate) wrong: WrongLabelKind,
    /// Number of examples in the clean set.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) clean: usize,
    /// Hidden units of the classifier [default: 128 for the digits, 256 for other images].
    #[arg(long, value_name = "N")]
    pub(crate) hidden: Option<usize>,
    /// Steps of the weights; before each of them the classifier takes as many as its `unroll` in the config.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) steps: u64,
    /// Training examples a step; all at once when there are no more.
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub(crate) batch: usize,
    /// Start the classifier anew for every step of the weights, and differentiate the N steps that it takes [default: it
    /// goes on where it was].
    ///
    /// A classifier that goes on learns the wrong labels by heart, and then no weight of them changes it any more. This is
    /// what many wrong labels need: `--noise 0.9 --restart 20 --steps 400`.
    #[arg(long, value_name = "N")]
    pub(crate) restart: Option<usize>,
    /// Save runs into the output folder after every N steps, and at the end.
    #[arg(long, value_name = "N")]
    pub(crate) save_every: Option<u64>,
    /// Go on from what `--save-every`, or a run that was stopped by Ctrl-C or SIGTERM, left in the output folder. The results
    /// are those of a run that was never interrupted. Options that decide them have to be the same, but `--steps` may be more.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Whether processes share the hyper-cleaned run.
    #[command(flatten)]
    pub(crate) sharing: Sharing,
    /// How the run is watched.
    #[command(flatten)]
    pub(crate) watching: Watching,
    /// What all examples have.
    #[command(flatten)]
    pub(crate) repeated: Repeated,
}

/// The methods that differentiate the classifier's best response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Method {
    /// Conjugate gradients on the Hessian.
    Cg,
    /// Minimal residuals on the Hessian.
    Minres,
    /// Generalised minimal residuals on the Hessian.
    Gmres,
    /// A truncated Neumann series of the inverse Hessian.
    Neumann,
    /// The inverse of an approximation of low rank of the Hessian.
    Nystrom,
    /// The identity for the Hessian, and two gradients for the mixed product.
    FiniteDifference,
    /// Gradients at a penalised copy of the classifier for the Hessian.
    Penalty,
    /// The identity for the Hessian.
    Identity,
    /// The derivative of the optimizer's step for the inverse Hessian.
    Sama,
    /// The whole Hessian, factorized; for few hidden units only.
    Dense,
    /// The classifier's own steps, differentiated in reverse.
    Unrolled,
}

/// What gives a training example its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightingKind {
    /// A number for each example.
    Table,
    /// A small network that sees the example's loss.
    Network,
}

/// Which label a corrupted example gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WrongLabelKind {
    /// One of the other classes, all equally likely.
    Any,
    /// The class after the right one: a systematic confusion, which a classifier learns.
    Next,
}

impl From<WrongLabelKind> for WrongLabel {
    fn from(kind: WrongLabelKind) -> Self {
        match kind {
            WrongLabelKind::Any => WrongLabel::Any,
            WrongLabelKind::Next => WrongLabel::Next,
        }
    }
}

impl Options {
    /// Refuses numbers that make no sense, before any work is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if !(0.0..=1.0).contains(&self.noise) {
            return Err(NoiseError::Share(self.noise).into());
        }
        check_positive(&[
            ("clean", self.clean as u64),
            ("hidden", self.hidden.unwrap_or(1) as u64),
            ("steps", self.steps),
            ("batch", self.batch as u64),
            ("restart", self.restart.unwrap_or(1) as u64),
            ("save-every", self.save_every.unwrap_or(1)),
        ])?;
        self.repeated.check()?;
        if !self.resume {
            return Ok(());
        }
        for seed in self.repeated.seeds() {
            let checkpoint = self.checkpoint(seed);
            match checkpoint.try_exists() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(reason) => return Err(CheckpointError::Read { file: checkpoint, reason }.into()),
            }
        }
        Err(Failure::NothingToResume { checkpoint: self.checkpoint(self.run().setting.seed) })
    }

    /// The program's numbers, with those of the config file and the method of the command line in their place.
    pub(crate) fn config(&self) -> Result<HyperCleaningConfig, Failure> {
        let mut config: HyperCleaningConfig = self.run().config()?;
        let program = HyperCleaningConfig::default();
        if self.weighting == WeightingKind::Network && config.weighting.optimizer == program.weighting.optimizer {
            config.weighting.optimizer = Some(network_optimizer());
        }
        check_shared("classifier", &config.classifier, &program.classifier)?;
        if let Some(steps) = self.restart {
            (config.classifier.start, config.classifier.unroll) = (Start::Initial, steps);
        }
        if let Some(method) = self.method.or(self.restart.map(|_| Method::Unrolled)) {
            let configured = config.classifier.hypergradient.as_ref().map(HypergradientConfig::name);
            let chosen = method.config();
            if configured != Some(chosen.name()) {
                config.classifier.hypergradient = Some(chosen);
            }
        }
        Ok(config)
    }

    /// What the run of a seed is called in the output folder.
    pub(crate) fn run_name(seed: u64) -> String {
        format!("seed-{seed}")
    }

    /// Where the levels of the run of a seed are saved.
    fn checkpoint(&self, seed: u64) -> PathBuf {
        self.run().setting.out.join(Self::run_name(seed) + ".safetensors")
    }

    /// The options that decide the numbers of a run, beside its seed, its steps and the config, and beside the device.
    pub(crate) fn choices(&self, data: String, hidden: usize) -> Choices {
        let value = |value: &dyn fmt::Debug| format!("{value:?}").to_lowercase();
        [
            ("--data", data),
            ("--noise", self.noise.to_string()),
            ("--wrong", value(&self.wrong)),
            ("--clean", self.clean.to_string()),
            ("--hidden", hidden.to_string()),
            ("--weighting", value(&self.weighting)),
            ("--batch", self.batch.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What the run of one seed is told.
    pub(crate) fn run(&self) -> &Run {
        &self.repeated.run
    }
}

/// A network's parameters act on all weights at once, and need smaller steps than the entries of a table.
fn network_optimizer() -> OptimizerConfig {
    OptimizerConfig::Adam(AdamConfig {
        lr: 0.01.into(),
        beta_1: 0.9.into(),
        beta_2: 0.999.into(),
        epsilon: 1e-5.into(),
        weight_decay: 0.0.into(),
    })
}

impl Method {
    /// The method with numbers that suit this problem.
    fn config(self) -> HypergradientConfig {
        match self {
            Method::Cg => HypergradientConfig::Cg(CgConfig { iterations: 5, damping: DAMPING, ..Default::default() }),
            Method::Minres => {
                HypergradientConfig::Minres(MinresConfig { iterations: 5, damping: DAMPING, ..Default::default() })
            }
            Method::Gmres => {
                HypergradientConfig::Gmres(GmresConfig { iterations: 5, damping: DAMPING, ..Default::default() })
            }
            Method::Neumann => HypergradientConfig::Neumann(NeumannConfig { damping: DAMPING, ..Default::default() }),
            Method::Nystrom => HypergradientConfig::Nystrom(NystromConfig { damping: DAMPING, ..Default::default() }),
            Method::FiniteDifference => HypergradientConfig::FiniteDifference(FiniteDifferenceConfig::default()),
            Method::Penalty => HypergradientConfig::Penalty(PenaltyConfig { damping: DAMPING, ..Default::default() }),
            Method::Identity => HypergradientConfig::Identity(IdentityConfig::default()),
            Method::Sama => HypergradientConfig::Sama(SamaConfig::default()),
            Method::Dense => HypergradientConfig::Dense(DenseConfig { damping: DAMPING, ..Default::default() }),
            Method::Unrolled => HypergradientConfig::Unrolled(UnrolledConfig::default()),
        }
    }
}

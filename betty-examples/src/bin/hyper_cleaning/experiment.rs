//! One comparison of five classifiers, from one seed.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;

use betty_examples::data::{Batches, Dataset, DeviceDataset, Noisy, Split};
use betty_examples::failure::Failure;
use betty_examples::metrics::roc_auc;
use betty_examples::output::OutputFolder;
use betty_examples::ranks::Ranks;
use betty_examples::saved::{Choices, SavedRun, config_choices};
use betty_examples::stop::Stop;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;

use crate::baseline::Baseline;
use crate::cli::{Options, WeightingKind};
use crate::model::Mlp;
use crate::problem::{HyperCleaning, HyperCleaningConfig};
use crate::source::Source;
use crate::train::{ACCURACY, HyperCleaningRun, Trained};
use crate::weighting::Weighting;

/// How many points an accuracy curve has.
const POINTS: u64 = 50;

/// What a classifier was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Training {
    /// All noisy examples and the clean set.
    Everything,
    /// The clean set.
    CleanOnly,
    /// All noisy examples under learned weights; the clean set through the weights only.
    HyperCleaned,
    /// All noisy examples under the weights that were learned, and the clean set.
    Refitted,
    /// The noisy examples whose label is right, and the clean set.
    Oracle,
}

impl Training {
    /// In the order of tables and plots.
    pub(crate) const ALL: [Training; 5] =
        [Training::Everything, Training::CleanOnly, Training::HyperCleaned, Training::Refitted, Training::Oracle];
}

impl fmt::Display for Training {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Training::Everything => "everything",
            Training::CleanOnly => "clean set only",
            Training::HyperCleaned => "hyper-cleaned",
            Training::Refitted => "cleaned and clean set",
            Training::Oracle => "oracle",
        })
    }
}

/// Test accuracy during one training: classifier steps, and accuracy after them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccuracyCurve {
    /// Which training.
    pub(crate) training: Training,
    /// Never empty.
    pub(crate) points: Vec<(u64, f64)>,
}

/// The results of one seed.
pub(crate) struct Outcome {
    /// The seed.
    pub(crate) seed: u64,
    /// The training examples under their given labels.
    pub(crate) noisy: Noisy,
    /// Sizes of clean and test set.
    pub(crate) sizes: (usize, usize),
    /// One for each training, in the order of [`Training::ALL`].
    pub(crate) curves: Vec<AccuracyCurve>,
    /// Learned weights of the training examples, relative to the largest.
    pub(crate) weights: Vec<f64>,
    /// Both levels, and their curves.
    pub(crate) trained: Trained,
}

impl Outcome {
    /// The test accuracy after the last step.
    pub(crate) fn accuracy(&self, training: Training) -> Option<f64> {
        let curve = self.curves.iter().find(|curve| curve.training == training)?;
        curve.points.last().map(|&(_, accuracy)| accuracy)
    }

    /// How well the weights tell right labels from wrong ones, where there are both.
    pub(crate) fn auc(&self) -> Option<f64> {
        let intact: Vec<bool> = self.noisy.corrupted.iter().map(|corrupted| !corrupted).collect();
        roc_auc(&self.weights, &intact)
    }
}

/// What all seeds share.
pub(crate) struct Experiment<'a> {
    /// The command line.
    pub(crate) options: &'a Options,
    /// The program's numbers.
    pub(crate) config: &'a HyperCleaningConfig,
    /// Where examples come from.
    pub(crate) source: &'a Source,
    /// Where to compute.
    pub(crate) device: Device,
    /// Where results go.
    pub(crate) output: &'a OutputFolder,
    /// Whether to stop.
    pub(crate) stop: Stop,
    /// The processes that share the hyper-cleaned run.
    pub(crate) ranks: Ranks,
}

impl Experiment<'_> {
    /// Trains all classifiers from the same initial parameters.
    pub(crate) fn run(&self, seed: u64) -> Result<Outcome, Failure> {
        let mut rng = StdRng::seed_from_u64(seed);
        let Split { train, clean, test } = self.source.split(self.options.clean, &mut rng)?;
        let noisy = Noisy::corrupt(&train, self.options.noise, self.options.wrong.into(), &mut rng)?;
        let hidden = self.options.hidden.unwrap_or(self.source.hidden());
        let classifier = Mlp::new(train.pixels(), hidden, train.classes(), &mut rng, &self.device);
        let weighting = match self.options.weighting {
            WeightingKind::Table => Weighting::table(train.len(), &self.device),
            WeightingKind::Network => Weighting::network(&mut rng, &self.device),
        };
        let sizes = (clean.len(), test.len());
        let test = test.to_device(&self.device);

        let run = HyperCleaningRun {
            noisy: &noisy.examples,
            clean: &clean,
            test: test.clone(),
            batch: self.options.batch,
            steps: self.options.steps,
            every: self.every(),
            seed,
            saved: self.saved(seed),
            choices: self.choices()?,
            save_every: self.options.save_every,
            resume: self.options.resume,
            watching: (&self.options.watching, self.output),
            progress: !self.is_quiet(),
            stop: self.stop.clone(),
            ranks: &self.ranks,
            config: self.config.clone(),
        };
        let trained = run.train(weighting, classifier.clone(), &self.device)?;
        if self.ranks.any(self.stop.is_asked())? {
            return Err(self.stopped(seed, &trained));
        }
        let unroll = self.config.classifier.unroll as u64;
        let hyper_cleaned = trained.curve(ACCURACY).map(|(step, accuracy)| (step * unroll, accuracy)).collect();

        let weights = weights(&trained.problem, &noisy.examples, &self.device);
        let trusted: Vec<f64> = weights.iter().copied().chain(std::iter::repeat_n(1.0, clean.len())).collect();
        let everything = noisy.examples.join(&clean);
        let baseline = |training, examples: &Dataset, weights: Option<&[f64]>| match self.baseline(
            training,
            examples,
            weights,
            classifier.clone(),
            &test,
            seed,
        )? {
            Some(points) => Ok(AccuracyCurve { training, points }),
            None => Err(self.stopped(seed, &trained)),
        };
        let curves = vec![
            baseline(Training::Everything, &everything, None)?,
            baseline(Training::CleanOnly, &clean, None)?,
            AccuracyCurve { training: Training::HyperCleaned, points: hyper_cleaned },
            baseline(Training::Refitted, &everything, Some(&trusted))?,
            baseline(Training::Oracle, &noisy.intact().join(&clean), None)?,
        ];
        Ok(Outcome { seed, sizes, curves, weights, noisy, trained })
    }

    /// Whether nothing is printed but errors: also where another process prints.
    fn is_quiet(&self) -> bool {
        self.options.run().setting.machine.quiet || !self.ranks.is_first()
    }

    /// Where the run of a seed is saved.
    fn saved(&self, seed: u64) -> SavedRun {
        SavedRun::new(self.output, &Options::run_name(seed))
    }

    /// The options that decide the numbers of a run.
    fn choices(&self) -> Result<Choices, Failure> {
        let hidden = self.options.hidden.unwrap_or(self.source.hidden());
        Ok(self
            .options
            .choices(self.source.identity(), hidden)
            .into_iter()
            .chain(config_choices(self.config)?)
            .collect())
    }

    /// Saves a run, and says how to go on with it.
    fn stopped(&self, seed: u64, trained: &Trained) -> Failure {
        let (done, steps) = (trained.checkpoint.iterations(), self.options.steps);
        let code = self.stop.exit_code();
        if done == 0 {
            return Failure::Stopped { said: "stopped before the first step; nothing was saved".into(), code };
        }
        match self.save(seed, trained) {
            Ok(file) => {
                let file = file.display();
                let said = format!(
                    "stopped after step {done} of {steps}, which is saved in `{file}`; to go on, give the same options and \
                     `--resume`"
                );
                Failure::Stopped { said, code }
            }
            Err(failure) => failure,
        }
    }

    /// Saves the run of a seed; answers where.
    pub(crate) fn save(&self, seed: u64, trained: &Trained) -> Result<PathBuf, Failure> {
        let saved = self.saved(seed);
        if !trained.is_saved {
            saved.begin(&self.choices()?)?;
        }
        saved.write_curves(&trained.curves)?;
        if self.output.is_written() {
            trained.checkpoint.save(saved.checkpoint())?;
        }
        Ok(saved.checkpoint())
    }

    /// Steps of the weights between two points of a curve; the last step is always one.
    fn every(&self) -> u64 {
        let steps = self.options.steps;
        (steps.div_ceil(POINTS)..=steps).find(|&every| steps.is_multiple_of(every)).unwrap_or(1)
    }

    /// Test accuracies while `classifier` is trained on `examples`, unless it is asked to stop.
    pub(crate) fn baseline(
        &self,
        training: Training,
        examples: &Dataset,
        weights: Option<&[f64]>,
        classifier: Mlp,
        test: &DeviceDataset,
        seed: u64,
    ) -> Result<Option<Vec<(u64, f64)>>, Failure> {
        let config = &self.config.classifier;
        let baseline = Baseline {
            examples,
            weights,
            batches: Batches::new(examples.len(), self.options.batch, seed),
            optimizer: config.optimizer.as_ref().expect("a classifier without an optimizer was refused"),
            steps: self.options.steps * config.unroll as u64,
        };
        let every = self.every() * config.unroll as u64;
        let bar = if self.is_quiet() { ProgressBar::hidden() } else { bar(training, baseline.steps) };
        let mut points = Vec::new();
        let trained = baseline.train(classifier, &self.device, |step, classifier| {
            if step.is_multiple_of(every) {
                points.push((step, classifier.valid().to_device(&self.device).accuracy(test)));
                bar.set_position(step);
            }
            // A signal reaches processes at different steps; all stop after the same one.
            Ok(if self.ranks.any(self.stop.is_asked())? { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        bar.finish_and_clear();
        Ok(trained.is_continue().then_some(points))
    }
}

/// A progress bar on standard error, if that is a terminal.
fn bar(training: Training, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_message(training.to_string());
    match ProgressStyle::with_template("{msg:16} {wide_bar} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The weight of every training example, relative to the largest.
fn weights(problem: &HyperCleaning, noisy: &Dataset, device: &Device) -> Vec<f64> {
    let DeviceDataset { images, labels } = noisy.to_device(device);
    let losses = problem.classifier.losses(images, labels);
    let indices: Tensor<1, Int> = Tensor::arange(0..noisy.len() as i64, device);
    let weights = problem.weighting.weights(indices, losses);
    let weights: Vec<f64> = weights.into_data().iter::<f64>().collect();
    let largest = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    weights.into_iter().map(|weight| weight / largest).collect()
}

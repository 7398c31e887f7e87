//! Training both levels with betty's engine.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::PathBuf;
use std::rc::Rc;

use betty_examples::data::{Batches, Dataset, DeviceDataset};
use betty_examples::failure::Failure;
use betty_runtime::{Checkpoint, Engine, Event, Goal, Stream, StreamPosition, Validation};
use burn::tensor::Device;

use crate::model::Mlp;
use crate::problem::{CleanBatch, HyperCleaning, HyperCleaningConfig, HyperCleaningData, NoisyBatch};
use crate::weighting::Weighting;

/// What a hyper-cleaning run needs beside its two models.
pub(crate) struct HyperCleaningRun<'a> {
    /// Training examples under their given labels.
    pub(crate) noisy: &'a Dataset,
    /// Examples whose labels can be trusted.
    pub(crate) clean: &'a Dataset,
    /// Examples on which the classifier is watched.
    pub(crate) test: DeviceDataset,
    /// Most examples a batch.
    pub(crate) batch: usize,
    /// Steps of the weights.
    pub(crate) steps: u64,
    /// Steps of the weights between two looks at the test accuracy.
    pub(crate) every: u64,
    /// Seed of the order of examples.
    pub(crate) seed: u64,
    /// Where both levels are saved, and resumed from.
    pub(crate) checkpoint: PathBuf,
    /// Steps of the weights between two saves.
    pub(crate) save_every: Option<u64>,
    /// Whether to go on from a saved run, if there is one.
    pub(crate) resume: bool,
    /// Whether to show a progress bar.
    pub(crate) progress: bool,
    /// The program's numbers.
    pub(crate) config: HyperCleaningConfig,
}

/// A loss as a level saw it at one of its steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Loss {
    /// The level.
    pub(crate) level: usize,
    /// Its step, counted from 1.
    pub(crate) step: u64,
    /// The loss before the step.
    pub(crate) loss: f64,
}

/// The trained program, and what was seen on the way.
pub(crate) struct Trained {
    /// Both levels after the last step.
    pub(crate) problem: HyperCleaning,
    /// Losses of both levels.
    pub(crate) losses: Vec<Loss>,
    /// Step of the weights, and test accuracy after it.
    pub(crate) accuracies: Vec<(u64, f64)>,
}

impl HyperCleaningRun<'_> {
    /// Trains both levels.
    pub(crate) fn train(self, weighting: Weighting, classifier: Mlp, device: &Device) -> Result<Trained, Failure> {
        // The order of the clean examples differs from that of the noisy ones.
        let noisy = Batches::new(self.noisy.len(), self.batch, self.seed);
        let clean = Batches::new(self.clean.len(), self.batch, !self.seed);
        let noisy = NoisyBatch::endless(self.noisy.to_device(device), noisy);
        let clean = CleanBatch::endless(self.clean.to_device(device), clean);
        let data = HyperCleaningData {
            weighting: Stream::batches(clean.map(Ok::<_, Infallible>)),
            classifier: Stream::batches(noisy.map(Ok::<_, Infallible>)),
        };

        let losses = Rc::new(RefCell::new(Vec::new()));
        let accuracies = Rc::new(RefCell::new(Vec::new()));
        let (seen_losses, seen_accuracies) = (Rc::clone(&losses), Rc::clone(&accuracies));
        let test = self.test;
        let watched = test.clone();
        let accuracy = move |problem: &HyperCleaning| Ok(problem.classifier.accuracy(&watched));
        let mut engine = Engine::new(HyperCleaning { weighting, classifier }, data, self.config)?
            .seed(self.seed)
            .progress(self.progress)
            .validate(Validation::every(self.every, Goal::Max, accuracy))
            .observe(move |event| match *event {
                Event::Step { level, step, loss, looks_ahead: false, .. } => {
                    seen_losses.borrow_mut().push(Loss { level, step, loss });
                }
                Event::Validation { iteration, value, .. } => seen_accuracies.borrow_mut().push((iteration, value)),
                _ => {}
            });
        if let Some(every) = self.save_every {
            engine = engine.save_every(every, &self.checkpoint);
        }
        if self.resume && self.checkpoint.exists() {
            engine.resume(&Checkpoint::open(&self.checkpoint)?, StreamPosition::Start)?;
        }
        match self.steps.saturating_sub(engine.iterations()) {
            // Saved after its last step.
            0 => accuracies.borrow_mut().push((engine.iterations(), engine.problem().classifier.accuracy(&test))),
            steps => drop(engine.run(steps)?),
        }
        let problem = engine.into_problem();
        Ok(Trained { problem, losses: losses.take(), accuracies: accuracies.take() })
    }
}

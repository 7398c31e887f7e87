//! Training both levels with betty's engine.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use betty_examples::data::{Batches, Dataset, DeviceDataset};
use betty_examples::failure::Failure;
use betty_examples::output::OutputFolder;
use betty_examples::ranks::Ranks;
use betty_examples::saved::{Choices, Point, SavedRun};
use betty_examples::stop::Stop;
use betty_examples::watching::Watching;
use betty_runtime::{Checkpoint, Engine, Event, Goal, Stream, StreamPosition, Validation};
use burn::tensor::Device;

use crate::cli::Options;
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
    /// Where it is saved, and resumed from.
    pub(crate) saved: SavedRun,
    /// The options that decide its numbers.
    pub(crate) choices: Choices,
    /// Steps of the weights between two saves.
    pub(crate) save_every: Option<u64>,
    /// Whether to go on from a saved run, if there is one.
    pub(crate) resume: bool,
    /// How it is watched, and where the records go.
    pub(crate) watching: (&'a Watching, &'a OutputFolder),
    /// Whether to show a progress bar.
    pub(crate) progress: bool,
    /// Whether to stop.
    pub(crate) stop: Stop,
    /// The processes that share it.
    pub(crate) ranks: &'a Ranks,
    /// The program's numbers.
    pub(crate) config: HyperCleaningConfig,
}

/// The curve of test accuracies.
pub(crate) const ACCURACY: &str = "test_accuracy";

/// The program, and what was seen on the way.
pub(crate) struct Trained {
    /// Both levels after the last step.
    pub(crate) problem: HyperCleaning,
    /// The same, to go on from.
    pub(crate) checkpoint: Checkpoint,
    /// Whether a part of this run was saved already.
    pub(crate) is_saved: bool,
    /// Losses of both levels by their names, each as the level saw it before its step, and test accuracies after steps of the
    /// weights, in the order in which they were seen.
    pub(crate) curves: Vec<Point>,
}

impl Trained {
    /// Steps of a curve, with its values.
    pub(crate) fn curve(&self, name: &str) -> impl Iterator<Item = (u64, f64)> {
        self.curves.iter().filter(move |point| point.curve == name).map(|point| (point.step, point.value))
    }
}

impl HyperCleaningRun<'_> {
    /// Trains both levels, until the last step or until it is asked to stop.
    pub(crate) fn train(self, weighting: Weighting, classifier: Mlp, device: &Device) -> Result<Trained, Failure> {
        // The order of the clean examples differs from that of the noisy ones.
        let noisy = Batches::new(self.noisy.len(), self.batch, self.seed);
        let clean = Batches::new(self.clean.len(), self.batch, !self.seed);
        let noisy = NoisyBatch::of(self.noisy.to_device(device), noisy.shared(self.ranks)?);
        let clean = CleanBatch::of(self.clean.to_device(device), clean.shared(self.ranks)?);
        let data = HyperCleaningData {
            weighting: Stream::batches(clean.map(Ok::<_, Infallible>)),
            classifier: Stream::batches(noisy.map(Ok::<_, Infallible>)),
        };

        let (watching, folder) = self.watching;
        let find = || {
            if !self.resume {
                return Ok(None);
            }
            watching.check_saved(&self.saved)?;
            Ok(self.saved.find(&self.choices, "steps", self.steps)?)
        };
        let saved = self.ranks.together(find)?;
        let test = self.test;
        let watched = test.clone();
        let accuracy = move |problem: &HyperCleaning| Ok(problem.classifier.accuracy(&watched));
        let mut engine = Engine::new(HyperCleaning { weighting, classifier }, data, self.config)?
            .seed(self.seed)
            .progress(self.progress)
            .validate(Validation::every(self.every, Goal::Max, accuracy))
            .stop_when(move || self.stop.is_asked());
        engine = self.ranks.join(engine)?;
        engine = watching.attach(engine, folder, &Options::run_name(self.seed));
        let mut before = Vec::new();
        let is_new = saved.is_none();
        if let Some((checkpoint, curves)) = saved {
            engine.resume(&checkpoint, StreamPosition::Start)?;
            before = curves;
        }
        let curves = Rc::new(RefCell::new(before));
        engine = engine.observe(watch(Rc::clone(&curves), self.saved.clone(), is_new.then_some(self.choices)));
        if let Some(every) = self.save_every {
            engine = engine.save_every(every, self.saved.checkpoint());
        }
        watching.explain(&mut engine, self.steps)?;
        let report = engine.run_until(self.steps)?;
        let is_saved = !is_new || self.save_every.is_some() && report.iterations > 0;
        // Only the first rank is watched.
        self.ranks.together(|| watching.check(&report, is_saved.then_some(&self.saved)))?;

        let (iterations, checkpoint) = (engine.iterations(), engine.checkpoint()?);
        let problem = engine.into_problem();
        let mut trained = Trained { problem, checkpoint, is_saved, curves: curves.take() };
        if iterations == self.steps && trained.curve(ACCURACY).last().is_none_or(|(step, _)| step < iterations) {
            let value = trained.problem.classifier.accuracy(&test);
            trained.curves.push(Point { curve: ACCURACY.into(), step: iterations, value });
        }
        Ok(trained)
    }
}

/// Draws the curves, and writes them before the levels are saved. A new run begins with its first save.
fn watch(curves: Rc<RefCell<Vec<Point>>>, saved: SavedRun, mut new: Option<Choices>) -> impl FnMut(&Event<'_>) {
    let draw = Rc::clone(&curves);
    let draw = move |curve: &str, step, value| draw.borrow_mut().push(Point { curve: curve.into(), step, value });
    move |event| match *event {
        Event::Step { name, step, loss, looks_ahead: false, .. } => draw(name, step, loss),
        Event::Validation { iteration, value, .. } => draw(ACCURACY, iteration, value),
        Event::Saving { .. } => {
            // Until it has succeeded once: a full disk may have room later.
            let begun = new.as_ref().map_or(Ok(()), |choices| saved.begin(choices));
            if begun.is_ok() {
                new = None;
            }
            if let Err(failure) = begun.and_then(|()| saved.write_curves(&curves.borrow())) {
                eprintln!("warning: {failure}");
            }
        }
        Event::SaveFailed { reason, next, .. } => eprintln!("warning: {reason}; tried again after step {next}"),
        _ => {}
    }
}

//! One comparison, from one seed.

use std::rc::Rc;

use betty_examples::data::digits;
use betty_examples::failure::Failure;
use betty_examples::going::{Curves, Going};
use betty_examples::penalized::{Classifier, Examples, Penalized, PenalizedConfig, PenalizedData};
use betty_examples::saved;
use betty_runtime::{Engine, Event, Goal, Score, Stream, Validation};
use burn::tensor::Device;
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use crate::cli::Options;

/// Decimal logarithms of the common penalties that are tried.
pub(crate) const GRID: [f64; 11] = [-5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0];

/// Names of curves.
const VALIDATION_LOSS: &str = "validation_loss";
const TEST_LOSS: &str = "test_loss";

/// How many points the curves have at most.
const POINTS: u64 = 50;

/// How good a classifier is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Scores {
    /// Mean cross-entropy on validation data.
    pub(crate) validation_loss: f64,
    /// Share of validation examples that are classified right.
    pub(crate) validation_accuracy: f64,
    /// Mean cross-entropy on test data.
    pub(crate) test_loss: f64,
    /// Share of test examples that are classified right.
    pub(crate) test_accuracy: f64,
}

/// A common penalty, and the classifier trained under it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Common {
    /// Decimal logarithm of the penalty.
    pub(crate) log10_penalty: f64,
    /// What the classifier is worth.
    pub(crate) scores: Scores,
}

/// Losses after a step of the penalties, of the classifier that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    /// Steps of the penalties.
    pub(crate) step: u64,
    /// Mean cross-entropy on validation data.
    pub(crate) validation_loss: f64,
    /// Mean cross-entropy on test data.
    pub(crate) test_loss: f64,
}

/// The results of one seed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// The seed.
    pub(crate) seed: u64,
    /// Every common penalty of the grid.
    pub(crate) grid: Vec<Common>,
    /// The one of them with the smallest validation loss.
    pub(crate) common: Common,
    /// A classifier trained anew under the learned penalties.
    pub(crate) learned: Scores,
    /// A classifier trained under the common penalty on the validation examples as well: what else they could be used for.
    pub(crate) on_both: Scores,
    /// Losses while the penalties were learned.
    pub(crate) curve: Vec<Point>,
    /// Decimal logarithms of the learned penalties of the first layer's weights, those of pixels and those of inputs without
    /// meaning.
    pub(crate) log10_penalties: [Vec<f64>; 2],
}

/// What all seeds share.
pub(crate) struct Experiment<'a> {
    /// The command line.
    pub(crate) options: &'a Options,
    /// The program's numbers.
    pub(crate) config: &'a PenalizedConfig,
    /// Where to compute.
    pub(crate) device: Device,
    /// How runs are saved and watched.
    pub(crate) going: Going<'a>,
}

/// Examples of one seed.
struct Parts {
    train: Examples,
    validation: Examples,
    test: Examples,
}

impl Experiment<'_> {
    /// Chooses a common penalty, learns single ones from there, and compares both.
    pub(crate) fn run(&self, seed: u64) -> Result<Outcome, Failure> {
        let mut rng = StdRng::seed_from_u64(seed);
        let parts = self.parts(&mut rng);
        let (pixels, classes) = (digits().pixels(), digits().classes());
        let inputs = pixels + self.options.distractors;
        let start = Classifier::new(inputs, self.options.hidden, classes, &mut rng, &self.device);

        let all = |log10: f64| start.filled(|count| vec![log10 * std::f64::consts::LN_10; count]);
        let bar = if self.going.progress { ProgressBar::new(GRID.len() as u64) } else { ProgressBar::hidden() };
        let mut fitted = Vec::with_capacity(GRID.len());
        for log10_penalty in GRID {
            let classifier = self.fit(&start, all(log10_penalty), self.data(&parts))?;
            fitted.push((Common { log10_penalty, scores: parts.scores(&classifier) }, classifier));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let grid: Vec<Common> = fitted.iter().map(|(common, _)| *common).collect();
        let loss = |common: &Common| common.scores.validation_loss;
        let best = fitted.into_iter().min_by(|(a, _), (b, _)| loss(a).total_cmp(&loss(b)));
        let (common, classifier) = best.expect("the grid is not empty");

        let (penalties, curve) = self.learn(classifier, all(common.log10_penalty), &parts, seed)?;
        let learned = parts.scores(&self.fit(&start, penalties.clone(), self.data(&parts))?);
        let both = self.share(&parts.train.join(&parts.validation));
        let both = PenalizedData { classifier: Stream::constant(both), ..self.data(&parts) };
        let on_both = parts.scores(&self.fit(&start, all(common.log10_penalty), both)?);
        // The weights of an input stand together, pixels first.
        let first: Vec<f64> = penalties.parameters()[0].clone().into_data().iter::<f64>().collect();
        let mut of_pixels: Vec<f64> = first.into_iter().map(|log| log / std::f64::consts::LN_10).collect();
        let of_distractors = of_pixels.split_off(of_pixels.len() * pixels / inputs);
        Ok(Outcome { seed, grid, common, learned, on_both, curve, log10_penalties: [of_pixels, of_distractors] })
    }

    fn parts(&self, rng: &mut StdRng) -> Parts {
        let digits = digits();
        let mut order: Vec<usize> = (0..digits.len()).collect();
        order.shuffle(rng);
        let (train, rest) = order.split_at(self.options.train);
        let (validation, test) = rest.split_at(self.options.validation);
        let mut part = |indices: &[usize]| {
            let examples = Examples::of(&digits.subset(indices), &self.device);
            examples.with_distractors(self.options.distractors, || rng.random_range(-1.0..1.0))
        };
        Parts { train: part(train), validation: part(validation), test: part(test) }
    }

    /// The data of the levels: of each batch this rank's share.
    fn data(&self, parts: &Parts) -> PenalizedData {
        PenalizedData {
            penalties: Stream::constant(self.share(&parts.validation)),
            classifier: Stream::constant(self.share(&parts.train)),
        }
    }

    fn share(&self, examples: &Examples) -> Examples {
        let [count, _] = examples.inputs.dims();
        examples.part(self.going.ranks.share(count))
    }

    /// A classifier trained anew under penalties that stand still.
    fn fit(&self, start: &Classifier, penalties: Classifier, data: PenalizedData) -> Result<Classifier, Failure> {
        self.going.heed()?;
        let mut config = self.config.clone();
        (config.penalties.warmup, config.classifier.warmup) = (1, 0);
        config.classifier.unroll = self.options.fit_steps;
        let problem = Penalized { penalties, classifier: start.clone() };
        let mut engine = self.going.ranks.join(Engine::new(problem, data, config)?)?;
        engine.run(1)?;
        Ok(engine.into_problem().classifier)
    }

    /// Penalties that have moved from these on, and the losses on the way.
    fn learn(
        &self,
        classifier: Classifier,
        penalties: Classifier,
        parts: &Parts,
        seed: u64,
    ) -> Result<(Classifier, Vec<Point>), Failure> {
        let curves = Curves::default();
        let (seen, validation, test) = (Rc::clone(&curves), parts.validation.clone(), parts.test.clone());
        let every = self.options.steps.div_ceil(POINTS);
        let look = move |problem: &Penalized| {
            let loss = |examples: &Examples| loss(&problem.classifier, examples);
            Ok(Score::new(loss(&validation)).with(TEST_LOSS, loss(&test)))
        };
        let engine = Engine::new(Penalized { penalties, classifier }, self.data(parts), self.config.clone())?
            .validate(Validation::every(every, Goal::Min, look))
            .observe(move |event| {
                if let Event::Validation { iteration, value, metrics, .. } = *event {
                    let of = |curve: &str, value| saved::Point { curve: curve.into(), step: iteration, value };
                    let test = metrics.iter().filter(|(name, _)| &**name == TEST_LOSS);
                    seen.borrow_mut().push(of(VALIDATION_LOSS, value));
                    seen.borrow_mut().extend(test.map(|(name, value)| of(name, *value)));
                }
            });
        let steps = ("steps", self.options.steps);
        let learned = self.going.train(engine, &format!("seed-{seed}"), steps, &curves)?.penalties;
        let curves = curves.take();
        let of = |curve: &'static str| curves.iter().filter(move |point| point.curve == curve);
        let points = of(VALIDATION_LOSS).zip(of(TEST_LOSS)).map(|(validation, test)| Point {
            step: validation.step,
            validation_loss: validation.value,
            test_loss: test.value,
        });
        Ok((learned, points.collect()))
    }
}

impl Parts {
    fn scores(&self, classifier: &Classifier) -> Scores {
        Scores {
            validation_loss: loss(classifier, &self.validation),
            validation_accuracy: classifier.accuracy(self.validation.clone()),
            test_loss: loss(classifier, &self.test),
            test_accuracy: classifier.accuracy(self.test.clone()),
        }
    }
}

fn loss(classifier: &Classifier, examples: &Examples) -> f64 {
    classifier.cross_entropy(examples.clone()).into_scalar()
}

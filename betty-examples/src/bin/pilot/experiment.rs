//! One classifier, trained in four ways on the same rows.

use std::time::Instant;

use betty_examples::data::{Inputs, Table};
use betty_examples::failure::Failure;
use betty_examples::going::{Curves, Going};
use betty_examples::penalized::{Classifier, Examples, Penalized, PenalizedConfig, PenalizedData};
use betty_runtime::{Engine, Goal, Stream, Validation};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::ALLOCATOR;
use crate::cli::Options;
use crate::weights::{Training, Weighted, WeightedConfig, WeightedData, Weights};

/// Decimal logarithms of the common penalties that are tried.
const GRID: [f64; 6] = [-5.0, -4.0, -3.0, -2.0, -1.0, 0.0];

/// What a way of training is worth, and what it takes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Way {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Share of test rows that are told right.
    pub(crate) accuracy: f64,
    /// Mean cross-entropy on test rows.
    pub(crate) loss: f64,
    /// Test rows that it tells right and the plain workflow does not, and the other way round.
    pub(crate) against_plain: (usize, usize),
    /// Seconds.
    pub(crate) seconds: f64,
    /// The most memory that it held, beside the table, in MiB.
    pub(crate) memory: f32,
}

/// An input, and a number that belongs to it.
pub(crate) type Number = (String, f64);

/// What the pilot found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// Training, validation and test rows.
    pub(crate) rows: [usize; 3],
    /// Inputs of the classifier.
    pub(crate) inputs: usize,
    /// Accuracy of always naming the most frequent class.
    pub(crate) most_frequent: f64,
    /// The common penalty's decimal logarithm.
    pub(crate) log10_penalty: f64,
    /// All ways; the second one is the plain workflow.
    pub(crate) ways: Vec<Way>,
    /// The inputs with the largest weights under learned penalties, inputs having deviation 1.
    pub(crate) deciding: Vec<Number>,
    /// The inputs with the largest learned penalties, as decimal logarithms.
    pub(crate) suppressed: Vec<Number>,
    /// The share of training rows whose learned weight is less than half of the largest.
    pub(crate) doubted: f64,
}

/// What the ways share.
pub(crate) struct Experiment<'a> {
    pub(crate) options: &'a Options,
    pub(crate) table: &'a Table,
    pub(crate) device: Device,
    pub(crate) going: Going<'a>,
}

/// The rows of a split, on the device.
struct Parts {
    train: Examples,
    validation: Examples,
    test: Examples,
}

impl Experiment<'_> {
    /// Trains in all ways.
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        let mut rng = StdRng::seed_from_u64(self.options.setting.seed);
        let mut order: Vec<usize> = (0..self.table.labels.len()).collect();
        order.shuffle(&mut rng);
        let (test, rest) = order.split_at(order.len() / 3);
        let (validation, train) = rest.split_at(rest.len() / 3);
        let inputs = self.table.inputs(train);
        let part = |rows: &[usize]| self.examples(&inputs, rows);
        let parts = Parts { train: part(train), validation: part(validation), test: part(test) };
        let start = Classifier::new(inputs.names.len(), None, self.table.classes.len(), &mut rng, &self.device);

        let bare =
            self.way("hardly a penalty: 1e-6", || self.fit(&start, common(&start, GRID[0] - 1.0), &parts.both()))?;
        let (mut chosen, mut search) = (GRID[0], 0.0);
        let plain = self.way("plain workflow: one penalty from a grid", || {
            let (mut best, start_of_search) = (f64::INFINITY, Instant::now());
            for log10 in GRID {
                let fitted = self.fit(&start, common(&start, log10), &parts.train)?;
                let loss = loss(&fitted, &parts.validation);
                (best, chosen) = if loss < best { (loss, log10) } else { (best, chosen) };
            }
            search = start_of_search.elapsed().as_secs_f64();
            self.fit(&start, common(&start, chosen), &parts.both())
        })?;
        let mut penalties = None;
        let mut single = self.way("one learned penalty for each input", || {
            let learned = self.learn_penalties(&start, chosen, &parts)?;
            let fitted = self.fit(&start, learned.clone(), &parts.both())?;
            penalties = Some(learned);
            Ok(fitted)
        })?;
        let mut doubted = 0.0;
        let mut weighted = self.way("one learned weight for each row", || {
            let weights = self.learn_weights(&start, chosen, &parts)?;
            doubted = weights.share_of_doubted();
            self.fit_weighted(&start, weights, chosen, &parts)
        })?;
        // What is learned begins at the penalty that was searched.
        for (way, _) in [&mut single, &mut weighted] {
            way.seconds += search;
        }
        let [deciding, suppressed] =
            penalties.map_or_else(Default::default, |learned| extremes(&learned, &single.1, &inputs.names));
        let right = |(_, classifier): &(Way, Classifier)| right(classifier, &parts.test);
        let of_plain = right(&plain);
        let ways = [bare, plain, single, weighted].map(|fitted| {
            let right = right(&fitted);
            let count =
                |wins: bool| right.iter().zip(&of_plain).filter(move |(own, plain)| **own == wins && **plain != wins);
            let accuracy = right.iter().filter(|is_right| **is_right).count() as f64 / right.len() as f64;
            let against_plain = (count(true).count(), count(false).count());
            Way { accuracy, loss: loss(&fitted.1, &parts.test), against_plain, ..fitted.0 }
        });
        let frequent = |class: usize| test.iter().filter(|row| self.table.labels[**row] == class).count();
        let common_class = (0..self.table.classes.len())
            .max_by_key(|class| train.iter().filter(|row| self.table.labels[**row] == *class).count());
        Ok(Outcome {
            rows: [train.len(), validation.len(), test.len()],
            inputs: inputs.names.len(),
            most_frequent: common_class.map_or(0, frequent) as f64 / test.len() as f64,
            log10_penalty: chosen,
            ways: ways.into(),
            deciding,
            suppressed,
            doubted,
        })
    }

    /// Trains in one way, and takes time and memory.
    fn way(
        &self,
        name: &'static str,
        train: impl FnOnce() -> Result<Classifier, Failure>,
    ) -> Result<(Way, Classifier), Failure> {
        ALLOCATOR.reset_peak_usage();
        let (before, start) = (ALLOCATOR.current_usage_as_mb(), Instant::now());
        let classifier = train()?;
        let (seconds, memory) = (start.elapsed().as_secs_f64(), ALLOCATOR.peak_usage_as_mb() - before);
        Ok((Way { name, accuracy: 0.0, loss: 0.0, against_plain: (0, 0), seconds, memory }, classifier))
    }

    fn examples(&self, inputs: &Inputs, rows: &[usize]) -> Examples {
        let values: Vec<f64> = rows.iter().flat_map(|&row| inputs.rows[row].iter().copied()).collect();
        let labels: Vec<i64> = rows.iter().map(|&row| self.table.labels[row] as i64).collect();
        let shape = [rows.len(), inputs.names.len()];
        Examples {
            inputs: Tensor::from_data(TensorData::new(values, shape), (&self.device, DType::F64)),
            labels: Tensor::<1, Int>::from_data(TensorData::new(labels, [rows.len()]), &self.device),
        }
    }

    /// A classifier trained under penalties that stand still.
    fn fit(&self, start: &Classifier, penalties: Classifier, on: &Examples) -> Result<Classifier, Failure> {
        self.going.heed()?;
        let mut config = PenalizedConfig::default();
        (config.penalties.warmup, config.classifier.unroll) = (1, self.options.fit_steps);
        let problem = Penalized { penalties, classifier: start.clone() };
        let constant = || Stream::constant(on.clone());
        let data = PenalizedData { penalties: constant(), classifier: constant() };
        let mut engine = Engine::new(problem, data, config)?;
        engine.run(1)?;
        Ok(engine.into_problem().classifier)
    }

    fn learn_penalties(&self, start: &Classifier, log10: f64, parts: &Parts) -> Result<Classifier, Failure> {
        let problem = Penalized { penalties: common(start, log10), classifier: start.clone() };
        let data = PenalizedData {
            penalties: Stream::constant(parts.validation.clone()),
            classifier: Stream::constant(parts.train.clone()),
        };
        let validation = parts.validation.clone();
        let look = move |problem: &Penalized| Ok(loss(&problem.classifier, &validation));
        let engine =
            Engine::new(problem, data, PenalizedConfig::default())?.validate(Validation::every(5, Goal::Min, look));
        Ok(self.going.train(engine, "penalties", ("steps", self.options.steps), &Curves::default())?.penalties)
    }

    fn learn_weights(&self, start: &Classifier, log10: f64, parts: &Parts) -> Result<Weights, Failure> {
        let [rows] = parts.train.labels.dims();
        let problem = Weighted { weights: Weights::equal(rows, &self.device), classifier: start.clone() };
        let data = WeightedData {
            weights: Stream::constant(parts.validation.clone()),
            classifier: Stream::constant(self.training(&parts.train, log10)),
        };
        let validation = parts.validation.clone();
        let look = move |problem: &Weighted| Ok(loss(&problem.classifier, &validation));
        let engine =
            Engine::new(problem, data, WeightedConfig::default())?.validate(Validation::every(5, Goal::Min, look));
        Ok(self.going.train(engine, "weights", ("steps", self.options.steps), &Curves::default())?.weights)
    }

    /// A classifier trained anew, on as many rows as the others: those that decided about the weights count as much as the one that
    /// counts most.
    fn fit_weighted(
        &self,
        start: &Classifier,
        weights: Weights,
        log10: f64,
        parts: &Parts,
    ) -> Result<Classifier, Failure> {
        self.going.heed()?;
        let [more] = parts.validation.labels.dims();
        let problem = Weighted { weights: weights.joined_by(more), classifier: start.clone() };
        let data = WeightedData {
            weights: Stream::constant(parts.validation.clone()),
            classifier: Stream::constant(self.training(&parts.both(), log10)),
        };
        let mut config = WeightedConfig::default();
        (config.weights.warmup, config.classifier.unroll) = (1, self.options.fit_steps);
        let mut engine = Engine::new(problem, data, config)?;
        engine.run(1)?;
        Ok(engine.into_problem().classifier)
    }

    /// Rows to train on, with the penalty of all parameters.
    fn training(&self, on: &Examples, log10: f64) -> Training {
        let penalty = TensorData::new(vec![10_f64.powf(log10)], [1]);
        let penalty = Tensor::from_data(penalty, (&self.device, DType::F64));
        Training { inputs: on.inputs.clone(), labels: on.labels.clone(), penalty }
    }
}

impl Parts {
    /// All rows but those of the test.
    fn both(&self) -> Examples {
        self.train.join(&self.validation)
    }
}

/// The same penalty for all parameters.
fn common(like: &Classifier, log10: f64) -> Classifier {
    like.filled(|count| vec![log10 * std::f64::consts::LN_10; count])
}

fn loss(classifier: &Classifier, examples: &Examples) -> f64 {
    classifier.cross_entropy(examples.clone()).into_scalar()
}

/// Which rows are told right.
fn right(classifier: &Classifier, examples: &Examples) -> Vec<bool> {
    let predicted = classifier.logits(examples.inputs.clone()).argmax(1).squeeze_dim::<1>(1);
    predicted.equal(examples.labels.clone()).into_data().iter::<bool>().collect()
}

/// The inputs on which a classifier that was trained under learned penalties depends most, and those with the largest penalties:
/// norms over classes, and means over them.
fn extremes(penalties: &Classifier, fitted: &Classifier, names: &[String]) -> [Vec<Number>; 2] {
    let of_inputs = |classifier: &Classifier, join: &dyn Fn(&[f64]) -> f64| {
        // The weights of an input stand together.
        let all: Vec<f64> = classifier.parameters()[0].clone().into_data().iter::<f64>().collect();
        let numbers = all.chunks((all.len() / names.len().max(1)).max(1)).map(join);
        let mut inputs: Vec<Number> = names.iter().cloned().zip(numbers).collect();
        inputs.sort_by(|one, other| other.1.total_cmp(&one.1));
        inputs.truncate(5.min(names.len() / 2));
        inputs
    };
    let norm = |weights: &[f64]| weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
    let mean = |logs: &[f64]| logs.iter().sum::<f64>() / logs.len() as f64 / std::f64::consts::LN_10;
    [of_inputs(fitted, &norm), of_inputs(penalties, &mean)]
}

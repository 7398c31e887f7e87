//! A learning rate for each of fifty steps, learned through all of them (Maclaurin, Duvenaud and Adams, 2015, arXiv:1502.03492).
//!
//! ```text
//! min_ρ ℓ_validation(θ₅₀)          θ₀ fixed,   θ_{k+1} = θ_k − exp(ρ_k)·∇ℓ_training(θ_k)
//! ```
//!
//! The lower level is a perceptron that takes fifty steps of plain descent, each with a rate of its own, `exp(ρ_k)`. `unrolled` goes back
//! through all of them, keeping as many as `memory` says. Against it: the best constant rate of a grid, and the best cosine.

use std::f64::consts::PI;
use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::data::{Dataset, Split, digits};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::init::linear;
use betty_examples::metrics::Comparison;
use betty_examples::plot::{Curve, Curves};
use betty_examples::ranks::Ranks;
use betty_runtime::{Batch, Engine, EngineError, multilevel};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, tanh};
use burn::tensor::{Int, Tensor, TensorData};
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Steps of the lower level.
const STEPS: usize = 50;
/// Units of the hidden layer.
const HIDDEN: usize = 16;
/// Rates that the baselines choose from.
const RATES: [f64; 8] = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];
/// The rate that learning begins at.
const FIRST: f64 = 0.4;
/// Validation examples.
const VALIDATION: usize = 500;

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The logarithm of a rate for each step.
type Rates = Param<Tensor<1>>;

/// A perceptron.
#[derive(Module, Debug)]
struct Classifier {
    hidden: Linear,
    output: Linear,
}

/// Images, and the class of each.
#[derive(Clone, Debug, Batch)]
struct Examples {
    images: Tensor<2>,
    labels: Tensor<1, Int>,
}

multilevel! {
    /// Fifty rates for fifty steps.
    struct Schedule;

    /// Moves the rates so that the steps end well; less and less, because near their end the smallest change of one is a large change
    /// of what fifty steps come to.
    level rates: Rates {
        lower: [classifier], batch: Examples, loss: reached,
        optimizer: adam(lr = 0.02), schedule: exponential(gamma = 0.995),
    }

    /// Takes the steps, each time from the same parameters.
    level classifier: Classifier {
        batch: Examples, loss: fitted, optimizer: sgd(lr = exp(rates[step])), unroll: STEPS, start: initial,
        hypergradient: unrolled,
    }
}

fn reached(_rates: &Rates, classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.loss(examples)
}

fn fitted(classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.loss(examples)
}

impl Examples {
    /// What a rank has of these.
    fn share(&self, ranks: &Ranks) -> Self {
        Examples { images: ranks.part(self.images.clone()), labels: ranks.part(self.labels.clone()) }
    }
}

impl Classifier {
    fn loss(&self, examples: Examples) -> Tensor<1> {
        let scores = self.output.forward(tanh(self.hidden.forward(examples.images)));
        -log_softmax(scores, 1).gather(1, examples.labels.unsqueeze_dim(1)).mean()
    }
}

/// Learns a learning rate for each of fifty steps, against the best constant rate and the best cosine.
#[derive(Debug, Parser)]
#[command(name = "schedule", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split, and of initial parameters")))]
#[command(mut_arg("out", |out| out.default_value("out/schedule")))]
struct Options {
    /// Steps of the rates, each of which takes fifty of the classifier.
    #[arg(long, default_value_t = 400, value_name = "N")]
    steps: u64,
    /// Whether processes share what is trained.
    #[command(flatten)]
    sharing: Sharing,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

/// A seed's data and initial parameters.
struct Experiment<'a> {
    train: Examples,
    validation: Examples,
    test: Examples,
    classifier: Classifier,
    trial: &'a Trial<'a, ScheduleConfig>,
}

impl<'a> Experiment<'a> {
    fn new(trial: &'a Trial<'a, ScheduleConfig>) -> Result<Self, Failure> {
        let device = trial.device;
        let mut rng = StdRng::seed_from_u64(trial.seed);
        let split = Split::thirds(&digits(), VALIDATION, &mut rng)?;
        let pixels = split.train.pixels();
        let classifier = Classifier {
            hidden: linear(pixels, HIDDEN, &mut rng, device),
            output: linear(HIDDEN, 10, &mut rng, device),
        };
        let on_device = |examples: &Dataset| {
            let examples = examples.to_device(device);
            Examples { images: examples.images, labels: examples.labels }
        };
        let [train, validation, test] = [&split.train, &split.clean, &split.test].map(on_device);
        Ok(Experiment { train, validation, test, classifier, trial })
    }

    /// An engine at these rates, whose data are what one of these ranks has of them.
    fn engine(&self, rates: &[f64], config: ScheduleConfig, ranks: &Ranks) -> Result<Engine<Schedule>, EngineError> {
        let logarithms: Vec<f32> = rates.iter().map(|rate| rate.ln() as f32).collect();
        let rates = Tensor::from_data(TensorData::new(logarithms, [STEPS]), self.trial.device);
        let program = Schedule { rates: Param::from_tensor(rates), classifier: self.classifier.clone() };
        let data =
            ScheduleData { rates: self.validation.share(ranks).into(), classifier: self.train.share(ranks).into() };
        Engine::new(program, data, config)
    }

    /// Validation and test loss after fifty steps at these rates; infinite where they diverge.
    fn losses(&self, rates: &[f64]) -> Result<(f64, f64), Failure> {
        self.trial.heed()?;
        let mut config = self.trial.config.clone();
        (config.rates.warmup, config.classifier.warmup) = (usize::MAX, 0);
        // Each rank takes them by itself, on all data.
        let mut engine = self.engine(rates, config, &Ranks::default())?;
        match engine.run(1) {
            Err(EngineError::NonFinite { .. } | EngineError::NonFiniteStep { .. }) => {
                return Ok((f64::INFINITY, f64::INFINITY));
            }
            done => done?,
        };
        let classifier = engine.into_problem().classifier;
        let loss = |examples: &Examples| classifier.loss(examples.clone()).into_scalar();
        Ok((loss(&self.validation), loss(&self.test)))
    }

    /// Of several schedules, the one with the best validation loss: its rates and its test loss.
    fn best(&self, schedules: impl IntoIterator<Item = Vec<f64>>) -> Result<(Vec<f64>, f64), Failure> {
        let mut best = (Vec::new(), f64::INFINITY, f64::INFINITY);
        for rates in schedules {
            let (validation, test) = self.losses(&rates)?;
            if validation < best.1 {
                best = (rates, validation, test);
            }
        }
        Ok((best.0, best.2))
    }
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("steps", options.steps)])?;
    let config = options.compare.config()?;
    let ranks = options.sharing.ranks()?;
    ranks.check_batch(VALIDATION)?;
    let Some(session) = options.compare.open::<Schedule>(config, &[], ranks)? else { return Ok(()) };
    let table = Comparison::new(
        ["learning rate", &format!("test loss after {STEPS} steps")],
        [
            ("learned", "learned, one for each step"),
            ("best_constant", &format!("best constant of {}", RATES.len())),
            ("best_cosine", &format!("best cosine of {}", RATES.len())),
        ],
    );
    session.compare("losses", table, |trial| compare(options, trial))?;
    Ok(())
}

/// Test losses of one seed after fifty steps.
fn compare(options: &Options, trial: &Trial<'_, ScheduleConfig>) -> Result<[f64; 3], Failure> {
    let experiment = Experiment::new(trial)?;
    let engine = experiment.engine(&[FIRST; STEPS], trial.config.clone(), trial.ranks)?;
    let learned = trial.train(engine, "rates", options.steps)?.rates;
    let learned: Vec<f64> = learned.val().exp().into_data().iter::<f64>().collect();
    let cosine = |first: f64| (0..STEPS).map(move |k| first * 0.5 * (1.0 + (PI * k as f64 / STEPS as f64).cos()));
    let (constant, best_constant) = experiment.best(RATES.map(|rate| vec![rate; STEPS]))?;
    let (falling, best_cosine) = experiment.best(RATES.map(|rate| cosine(rate).collect()))?;
    if trial.is_first {
        let curve = |name: &str, rates: &[f64]| {
            let points = rates.iter().enumerate().map(|(step, rate)| (step as f64, *rate)).collect();
            Curve { name: name.into(), points }
        };
        let plot = Curves {
            title: "Learning rates of fifty steps".into(),
            x: "step".into(),
            y: "rate".into(),
            curves: vec![curve("learned", &learned), curve("best constant", &constant), curve("best cosine", &falling)],
            dots: None,
        };
        trial.output.write("rates.svg", plot.to_svg()?)?;
    }
    Ok([experiment.losses(&learned)?.1, best_constant, best_cosine])
}

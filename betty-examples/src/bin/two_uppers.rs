//! Label correction and reweighting at once: two levels above one classifier, each with a step and an answer of its own.
//!
//! ```text
//! min_C  mean ℓ(clean; θ*(C, V))      min_V  mean ℓ(clean; θ*(C, V))
//!
//! θ*(C, V) = argmin_θ  Σᵢ V(ℓᵢ)·ℓᵢ(θ) / Σᵢ V(ℓᵢ),    ℓᵢ = −Σ_y q_C(y | ỹᵢ, xᵢ)·log p_θ(y | xᵢ)
//! ```
//!
//! Most training labels `ỹ` are wrong, and systematically so: they name the next class. `C` learns what each label means, and how far
//! the classifier itself is to be asked; `V` learns how much an example counts by its loss. Both see a few clean examples only. Against
//! it: either alone, neither, the clean examples alone, and beside all others, and an oracle that knows all labels. Those without one or
//! both are the same program, whose levels stand still.

use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::data::{Dataset, Noisy, Split, WrongLabel, digits};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::init::linear;
use betty_examples::metrics::Comparison;
use betty_examples::plot::Shares;
use betty_examples::ranks::Ranks;
use betty_examples::relabel::{Corrector, WeightNet};
use betty_runtime::{Batch, Engine, EngineError, multilevel};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, tanh};
use burn::tensor::{Int, Tensor};
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;

const CLASSES: usize = 10;
const HIDDEN: usize = 32;
/// How sure of a label the corrector begins: a label that says a class has it at these log-odds against each other one.
const LOG_ODDS: f32 = 4.0;

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A perceptron.
#[derive(Module, Debug)]
struct Classifier {
    hidden: Linear,
    output: Linear,
}

/// Images, and the label of each.
#[derive(Clone, Debug, Batch)]
struct Examples {
    images: Tensor<2>,
    labels: Tensor<1, Int>,
}

multilevel! {
    /// What labels mean, how much examples count, and the classifier that both wait for.
    struct Relabelling;

    /// Moves the meanings of labels.
    level meaning: Corrector { lower: [classifier], batch: Examples, loss: for_meaning, optimizer: adam(lr = 0.05) }

    /// Moves the weights.
    level weight: WeightNet { lower: [classifier], batch: Examples, loss: for_weight, optimizer: adam(lr = 0.003) }

    /// Fits corrected labels under the weights.
    level classifier: Classifier {
        upper: [meaning, weight], batch: Examples, loss: relabelled, optimizer: sgd(lr = 0.3, momentum = 0.9), unroll: 3,
        hypergradient: unrolled,
    }
}

fn for_meaning(_meaning: &Corrector, classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.loss(examples)
}

fn for_weight(_weight: &WeightNet, classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.loss(examples)
}

fn relabelled(classifier: &Classifier, meaning: &Corrector, weight: &WeightNet, examples: Examples) -> Tensor<1> {
    let scores = classifier.scores(examples.images);
    let labels = meaning.labels(examples.labels, scores.clone());
    weight.mean(-(labels * log_softmax(scores, 1)).sum_dim(1).squeeze_dim::<1>(1))
}

impl Examples {
    /// What a rank has of these.
    fn share(&self, ranks: &Ranks) -> Self {
        Examples { images: ranks.part(self.images.clone()), labels: ranks.part(self.labels.clone()) }
    }
}

impl Classifier {
    fn scores(&self, images: Tensor<2>) -> Tensor<2> {
        self.output.forward(tanh(self.hidden.forward(images)))
    }

    fn loss(&self, examples: Examples) -> Tensor<1> {
        -log_softmax(self.scores(examples.images), 1).gather(1, examples.labels.unsqueeze_dim(1)).mean()
    }

    fn accuracy(&self, examples: &Examples) -> f64 {
        let chosen = self.scores(examples.images.clone()).argmax(1).squeeze_dim::<1>(1);
        chosen.equal(examples.labels.clone()).float().mean().into_scalar()
    }
}

/// Learns what wrong labels mean and how much examples count, two levels above one classifier.
#[derive(Debug, Parser)]
#[command(name = "two_uppers", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split, of wrong labels, and of initial parameters")))]
#[command(mut_arg("out", |out| out.default_value("out/two_uppers")))]
struct Options {
    /// Share of training labels that name the next class, from 0 to 1.
    #[arg(long, default_value_t = 0.6, value_name = "SHARE", allow_negative_numbers = true)]
    noise: f64,
    /// Number of clean examples.
    #[arg(long, default_value_t = 50, value_name = "N")]
    clean: usize,
    /// Steps of each upper level.
    #[arg(long, default_value_t = 300, value_name = "N")]
    steps: u64,
    /// Whether processes share what is trained.
    #[command(flatten)]
    sharing: Sharing,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

/// Data and initial parameters of a seed.
struct Parts<'a> {
    train: Examples,
    clean: Examples,
    test: Examples,
    start: Classifier,
    options: &'a Options,
    trial: &'a Trial<'a, RelabellingConfig>,
}

impl Parts<'_> {
    /// An engine that trains on what this rank has of these examples; levels that do not learn stand still.
    fn engine(&self, train: &Examples, learn: [bool; 2]) -> Result<Engine<Relabelling>, EngineError> {
        let (trial, device) = (self.trial, self.trial.device);
        let mut config = trial.config.clone();
        for (level, learns) in [&mut config.meaning, &mut config.weight].into_iter().zip(learn) {
            level.warmup = if learns { level.warmup } else { usize::MAX };
        }
        let program = Relabelling {
            meaning: Corrector::new(&std::array::from_fn::<_, CLASSES, _>(Some), CLASSES, LOG_ODDS, device),
            weight: WeightNet::new(&mut StdRng::seed_from_u64(trial.seed), device),
            classifier: self.start.clone(),
        };
        let clean = || self.clean.share(trial.ranks).into();
        Engine::new(
            program,
            RelabellingData { meaning: clean(), weight: clean(), classifier: train.share(trial.ranks).into() },
            config,
        )
    }

    /// The test accuracy of the classifier of a program some of whose levels stand still.
    fn reached(&self, train: &Examples, learn: [bool; 2], name: &str) -> Result<f64, Failure> {
        let trained = self.trial.train(self.engine(train, learn)?, name, self.options.steps)?;
        Ok(trained.classifier.accuracy(&self.test))
    }
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("steps", options.steps), ("clean", options.clean as u64)])?;
    let config = options.compare.config()?;
    let choices = [("--noise", options.noise.to_string()), ("--clean", options.clean.to_string())];
    let ranks = options.sharing.ranks()?;
    ranks.check_batch(options.clean)?;
    let Some(session) = options.compare.open::<Relabelling>(config, &choices, ranks)? else { return Ok(()) };
    let table = Comparison::new(
        ["learned", "test accuracy"],
        [
            ("both", "meanings of labels, and weights"),
            ("meanings", "meanings of labels alone"),
            ("weights", "weights alone"),
            ("neither", "neither"),
            ("clean_too", "neither, the clean examples as well"),
            ("clean_only", "the clean examples alone"),
            ("oracle", "all labels right (oracle)"),
        ],
    );
    session.compare("accuracies", table, |trial| compare(options, trial))?;
    Ok(())
}

/// Test accuracies of one seed.
fn compare(options: &Options, trial: &Trial<'_, RelabellingConfig>) -> Result<[f64; 7], Failure> {
    let device = trial.device;
    let mut rng = StdRng::seed_from_u64(trial.seed);
    let split = Split::thirds(&digits(), options.clean, &mut rng)?;
    let noisy = Noisy::corrupt(&split.train, options.noise, WrongLabel::Next, &mut rng)?.examples;
    let on_device = |examples: &Dataset| {
        let examples = examples.to_device(device);
        Examples { images: examples.images, labels: examples.labels }
    };
    let start = Classifier {
        hidden: linear(split.train.pixels(), HIDDEN, &mut rng, device),
        output: linear(HIDDEN, CLASSES, &mut rng, device),
    };
    let [train, clean, test] = [&noisy, &split.clean, &split.test].map(on_device);
    let parts = Parts { train, clean, test, start, options, trial };
    let learned = trial.train(parts.engine(&parts.train, [true; 2])?, "both", options.steps)?;
    if trial.is_first {
        trial.output.write("meanings.svg", drawing(&learned.meaning))?;
    }
    Ok([
        learned.classifier.accuracy(&parts.test),
        parts.reached(&parts.train, [true, false], "meanings")?,
        parts.reached(&parts.train, [false, true], "weights")?,
        parts.reached(&parts.train, [false; 2], "neither")?,
        parts.reached(&on_device(&noisy.join(&split.clean)), [false; 2], "clean-too")?,
        parts.reached(&parts.clean, [false; 2], "clean-only")?,
        parts.reached(&on_device(&split.train), [false; 2], "oracle")?,
    ])
}

/// What each label means, a row for each.
fn drawing(meaning: &Corrector) -> String {
    let shares: Vec<f64> = meaning.meanings().into_data().iter::<f64>().collect();
    let rows =
        shares.chunks(CLASSES).enumerate().map(|(label, row)| (format!("labelled {label}"), row.to_vec(), Some(label)));
    Shares { columns: (0..CLASSES).map(|class| format!("is {class}")).collect(), rows: rows.collect() }.to_svg()
}

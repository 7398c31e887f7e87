//! A text classifier from weak labels, which two levels above it correct and weigh (as Choe et al., 2023, arXiv:2310.05674, do on
//! WRENCH).
//!
//! ```text
//! min_{C, V}  mean ℓ(clean; θ*(C, V))
//!
//! θ*(C, V) = argmin_θ  Σᵢ V(ℓᵢ)·ℓᵢ(θ) / Σᵢ V(ℓᵢ),    ℓᵢ = −Σ_y q_C(y | ỹᵢ, xᵢ)·log p_θ(y | xᵢ)
//! ```
//!
//! Sentences of film reviews are labelled by a lexicon, which adds up its words and knows no sentence: the label `ỹ` says how good the
//! sum is, and whether a word such as "but" or "not" turns it. `C` learns what each label means and how far the classifier itself is to
//! be asked; `V` learns how much an example counts by its loss. Both see a few sentences that people have judged. The classifier is an
//! embedding and a transformer encoder of Burn's, and both levels look one of its steps ahead. Against it: weak labels as they are,
//! weights alone, the judged sentences alone, and beside the weak labels, and an oracle for which people have judged all.

mod model;
mod text;

use std::convert::Infallible;
use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::data::Batches;
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::metrics::Comparison;
use betty_examples::plot::Shares;
use betty_examples::relabel::{Corrector, WeightNet};
use betty_runtime::{Batch, Engine, Start, Stream, multilevel};
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;

use model::Classifier;
use text::{CLASSES, LABELS, Sentences, Text};

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How sure of a label the corrector begins, in log-odds.
const LOG_ODDS: f32 = 2.0;

/// Sentences as numbers of words, and a label for each.
#[derive(Clone, Debug, Batch)]
pub(crate) struct Examples {
    words: Tensor<2, Int>,
    labels: Tensor<1, Int>,
}

/// What is learned about labels: both parts are moved by one step.
#[derive(Module, Debug)]
struct Relabel {
    meaning: Corrector,
    weight: WeightNet,
}

multilevel! {
    /// Weak labels, corrected and weighed.
    struct WeakLabels;

    /// Moves meanings and weights so that the classifier is right about judged sentences after its next step.
    level relabel: Relabel { lower: [classifier], batch: Examples, loss: judged, optimizer: adam(lr = 0.01) }

    /// Fits what the labels are taken for.
    level classifier: Classifier {
        upper: [relabel], batch: Examples, loss: corrected, optimizer: adam(lr = 0.01), start: look_ahead, hypergradient: unrolled,
    }
}

fn judged(_relabel: &Relabel, classifier: &Classifier, examples: Examples) -> Tensor<1> {
    let scores = log_softmax(classifier.scores(examples.words), 1);
    -scores.gather(1, examples.labels.unsqueeze_dim(1)).mean()
}

fn corrected(classifier: &Classifier, relabel: &Relabel, examples: Examples) -> Tensor<1> {
    let scores = classifier.scores(examples.words);
    let labels = relabel.meaning.labels(examples.labels, scores.clone());
    relabel.weight.mean(-(labels * log_softmax(scores, 1)).sum_dim(1).squeeze_dim::<1>(1))
}

/// Learns what the labels of a lexicon mean, above a text classifier that is trained on them.
#[derive(Debug, Parser)]
#[command(name = "weak_labels", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split, of initial parameters, and of batches")))]
#[command(mut_arg("out", |out| out.default_value("out/weak_labels")))]
struct Options {
    /// Number of judged sentences.
    #[arg(long, default_value_t = 400, value_name = "N")]
    clean: usize,
    /// Steps of the classifier, and of what is learned about labels.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    steps: u64,
    /// Sentences a step.
    #[arg(long, default_value_t = 64, value_name = "N")]
    batch: usize,
    /// Whether processes share what is trained.
    #[command(flatten)]
    sharing: Sharing,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("clean", options.clean as u64), ("steps", options.steps), ("batch", options.batch as u64)])?;
    let config = options.compare.config()?;
    let choices = [("--clean", options.clean.to_string()), ("--batch", options.batch.to_string())];
    let Some(session) = options.compare.open::<WeakLabels>(config, &choices, options.sharing.ranks()?)? else {
        return Ok(());
    };
    let table = Comparison::new(
        ["trained on", "test accuracy"],
        [
            ("both", "weak labels, corrected and weighed"),
            ("corrected", "weak labels, corrected"),
            ("weighed", "weak labels, weighed"),
            ("weak", "weak labels as they are"),
            ("clean_too", "weak labels as they are, and the judged sentences"),
            ("clean_only", "the judged sentences alone"),
            ("lexicon", "(the lexicon itself)"),
            ("oracle", "people's labels (oracle)"),
        ],
    );
    session.compare("accuracies", table, |trial| compare(options, trial))?;
    Ok(())
}

/// What of the labels is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learn {
    Both,
    Meanings,
    Weights,
    Nothing,
}

/// Test accuracies of one seed.
fn compare(options: &Options, trial: &Trial<'_, WeakLabelsConfig>) -> Result<[f64; 8], Failure> {
    let (seed, device) = (trial.seed, trial.device);
    let mut rng = StdRng::seed_from_u64(seed);
    let text = Text::split(options.clean, &mut rng)?;
    device.seed(seed);
    let start = Classifier::new(text.words, device);
    let stream = |sentences: &Sentences, seed| batches(sentences, options.batch, seed, trial);
    let engine = |train: &Sentences, learn| -> Result<Engine<WeakLabels>, Failure> {
        let mut config = trial.config.clone();
        if learn == Learn::Nothing {
            (config.relabel.warmup, config.classifier.start) = (usize::MAX, Start::Kept);
        }
        let data = WeakLabelsData { relabel: stream(&text.clean, !seed)?, classifier: stream(train, seed)? };
        let program = WeakLabels { relabel: Relabel::new(learn, seed, device), classifier: start.clone() };
        Ok(Engine::new(program, data, config)?.seed(seed))
    };
    let trained = |train: &Sentences, learn, name| -> Result<f64, Failure> {
        let trained = trial.train(engine(train, learn)?, name, options.steps)?;
        Ok(trained.classifier.accuracy(&text.test, device))
    };
    let learned = trial.train(engine(&text.train, Learn::Both)?, "both", options.steps)?;
    if trial.is_first {
        trial.output.write("meanings.svg", drawing(&learned.relabel.meaning))?;
    }
    Ok([
        learned.classifier.accuracy(&text.test, device),
        trained(&text.train, Learn::Meanings, "corrected")?,
        trained(&text.train, Learn::Weights, "weighed")?,
        trained(&text.train, Learn::Nothing, "weak")?,
        trained(&text.train.join(&text.clean), Learn::Nothing, "clean-too")?,
        trained(&text.clean, Learn::Nothing, "clean-only")?,
        text.test.right(),
        trained(&text.train.judged(), Learn::Nothing, "oracle")?,
    ])
}

impl Relabel {
    fn new(learn: Learn, seed: u64, device: &Device) -> Self {
        let meaning = Corrector::new(&LABELS.map(|(_, class)| class), CLASSES, LOG_ODDS, device);
        let weight = WeightNet::new(&mut StdRng::seed_from_u64(seed), device);
        match learn {
            Learn::Both | Learn::Nothing => Relabel { meaning, weight },
            // Parameters that need no gradient stand still.
            Learn::Meanings => Relabel { meaning, weight: weight.no_grad() },
            Learn::Weights => Relabel { meaning: meaning.no_grad(), weight },
        }
    }
}

/// This rank's shares of endless batches.
fn batches(
    sentences: &Sentences,
    size: usize,
    seed: u64,
    trial: &Trial<'_, WeakLabelsConfig>,
) -> Result<Stream<Examples>, Failure> {
    let (sentences, device, ranks) = (sentences.clone(), trial.device.clone(), trial.ranks.clone());
    let batches = Batches::new(sentences.len(), size, seed);
    ranks.check_batch(batches.size())?;
    Ok(Stream::batches(batches.endless().map(move |chosen| {
        let (words, labels) = sentences.batch(&chosen);
        let [count, length] = [chosen.len(), words.len() / chosen.len().max(1)];
        let words = Tensor::<2, Int>::from_data(TensorData::new(words, [count, length]), &device);
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), &device);
        let share = ranks.share(count);
        Ok::<_, Infallible>(Examples { words: words.slice([share.clone()]), labels: labels.slice([share]) })
    })))
}

/// What each weak label is taken for, a row for each.
fn drawing(meaning: &Corrector) -> String {
    let shares: Vec<f64> = meaning.meanings().into_data().iter::<f64>().collect();
    let rows = LABELS
        .iter()
        .zip(shares.chunks(CLASSES))
        .map(|((name, class), row)| ((*name).to_owned(), row.to_vec(), *class));
    Shares { columns: vec!["bad".into(), "good".into()], rows: rows.collect() }.to_svg()
}

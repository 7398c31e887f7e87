//! Which data to pretrain on, so that fine-tuning on few examples ends well: three levels, each inside of the one above.
//!
//! ```text
//! min_λ  ℓ_validation(φ*(λ))
//!          φ*(λ) = argmin_φ  ℓ_target(φ) + ½γ‖φ − θ*(λ)‖²
//!                                               θ*(λ) = argmin_θ  Σₛ σ(λₛ)·ℓₛ(θ) + ½δ‖θ‖²
//! ```
//!
//! The target is fifty digits. The sources are eight sets of other digits; three of them are like the target, in the others classes
//! were exchanged, images turned or covered by noise. The hypergradient of the weights passes through the fine-tuned classifier and
//! then through the pretrained one. Against it: pretraining on all sources alike, on the good ones only (which nobody knows), and no
//! pretraining; everything by the same levels, whose weights stand still. The weights have seen 150 validation examples, so each way is
//! tried once more with a classifier that is fine-tuned on those as well.

use std::fmt;
use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::data::{Dataset, digits};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::metrics::{Comparison, Summary};
use betty_examples::plot::Bars;
use betty_examples::ranks::Ranks;
use betty_runtime::{Batch, Engine, EngineError, multilevel};
use burn::module::{Module, Param};
use burn::tensor::activation::{log_softmax, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Parser;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

const CLASSES: usize = 10;
const SIDE: usize = 8;
/// Examples of a source, of the target, and of its validation; what is left is for the test.
const SIZES: [usize; 3] = [100, 50, 150];
/// Steps in which a classifier is fine-tuned under weights that stand still, each of a hundred of its own.
const FIT_STEPS: u64 = 4;
/// How strongly a fine-tuned classifier is drawn to the pretrained one, and that one to zero.
const PULLS: [f64; 2] = [0.1, 0.01];

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is done to the images or labels of each source.
const SOURCES: [Harm; 8] =
    [Harm::None, Harm::Exchanged, Harm::Turned, Harm::None, Harm::Noise, Harm::Random, Harm::None, Harm::Exchanged];

/// What may be wrong with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// It is like the target.
    None,
    /// Each class has the name of the next one.
    Exchanged,
    /// Images are turned by a quarter.
    Turned,
    /// Images are noise.
    Noise,
    /// Labels are random.
    Random,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Harm::None => "like the target",
            Harm::Exchanged => "classes exchanged",
            Harm::Turned => "images turned",
            Harm::Noise => "images of noise",
            Harm::Random => "random labels",
        })
    }
}

/// A number for each source, whose sigmoid is its weight.
type Weights = Param<Tensor<1>>;

/// Logistic regression.
#[derive(Module, Debug)]
struct Classifier {
    weights: Param<Tensor<2>>,
    biases: Param<Tensor<2>>,
}

/// Images, and the class of each.
#[derive(Clone, Debug, Batch)]
struct Examples {
    images: Tensor<2>,
    labels: Tensor<1, Int>,
}

multilevel! {
    /// Weights of sources, a classifier that is fine-tuned, and one that is pretrained.
    struct Pretraining;

    /// Moves the weights so that the fine-tuned classifier is right about validation data.
    level weights: Weights { lower: [tuned], batch: Examples, loss: validation, optimizer: adam(lr = 0.3) }

    /// Fits the target, near the pretrained classifier.
    level tuned: Classifier {
        lower: [pretrained], batch: Examples, loss: target, optimizer: sgd(lr = 0.5, momentum = 0.9), unroll: 10,
        hypergradient: cg(iterations = 20, tolerance = 1e-6),
    }

    /// Fits all sources, each with its weight.
    level pretrained: Classifier {
        upper: [weights], batch: Examples, loss: sources, optimizer: sgd(lr = 0.5, momentum = 0.9), unroll: 10,
        hypergradient: cg(iterations = 20, tolerance = 1e-6),
    }
}

fn validation(_weights: &Weights, tuned: &Classifier, examples: Examples) -> Tensor<1> {
    tuned.losses(examples).mean()
}

fn target(tuned: &Classifier, pretrained: &Classifier, examples: Examples) -> Tensor<1> {
    let far = (tuned.weights.val() - pretrained.weights.val()).square().sum()
        + (tuned.biases.val() - pretrained.biases.val()).square().sum();
    tuned.losses(examples).mean() + far * (0.5 * PULLS[0])
}

/// Each source has one example in every [`SOURCES`] of them, so that a part of a batch has a part of every source.
fn sources(pretrained: &Classifier, weights: &Weights, examples: Examples) -> Tensor<1> {
    let losses = pretrained.losses(examples).reshape([-1, SOURCES.len() as i32]).mean_dim(0).squeeze_dim::<1>(0);
    let size = pretrained.weights.val().square().sum() + pretrained.biases.val().square().sum();
    (sigmoid(weights.val()) * losses).sum() + size * (0.5 * PULLS[1])
}

impl Examples {
    /// What a rank has of these, `together` of which belong to each other.
    fn share(&self, ranks: &Ranks, together: usize) -> Self {
        let [all] = self.labels.dims();
        let share = ranks.share(all / together);
        let rows = share.start * together..share.end * together;
        Examples { images: self.images.clone().slice([rows.clone()]), labels: self.labels.clone().slice([rows]) }
    }
}

impl Classifier {
    fn new(pixels: usize, device: &Device) -> Self {
        let zeros = |rows| Param::from_tensor(Tensor::zeros([rows, CLASSES], device));
        Classifier { weights: zeros(pixels), biases: zeros(1) }
    }

    fn scores(&self, images: Tensor<2>) -> Tensor<2> {
        images.matmul(self.weights.val()) + self.biases.val()
    }

    fn losses(&self, examples: Examples) -> Tensor<1> {
        let scores = log_softmax(self.scores(examples.images), 1);
        -scores.gather(1, examples.labels.unsqueeze_dim(1)).squeeze_dim::<1>(1)
    }

    fn accuracy(&self, examples: &Examples) -> f64 {
        let chosen = self.scores(examples.images.clone()).argmax(1).squeeze_dim::<1>(1);
        chosen.equal(examples.labels.clone()).float().mean().into_scalar()
    }
}

/// Learns which of eight sources of data help fine-tuning, two levels further up.
#[derive(Debug, Parser)]
#[command(name = "three_levels", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of which examples go where, and of what is done to them")))]
#[command(mut_arg("out", |out| out.default_value("out/three_levels")))]
struct Options {
    /// Steps of the weights; before each of them the classifiers take as many as their `unroll` in the config.
    #[arg(long, default_value_t = 60, value_name = "N")]
    steps: u64,
    /// Whether processes share what is trained.
    #[command(flatten)]
    sharing: Sharing,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

/// What a seed gives to each level, and what it keeps for the test.
struct Parts {
    sources: Examples,
    target: Examples,
    validation: Examples,
    /// The target's own examples, and those of its validation.
    trusted: Examples,
    test: Examples,
}

impl Parts {
    fn draw(seed: u64, device: &Device) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let all = digits();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.shuffle(&mut rng);
        let mut take = |count: usize| all.subset(&order.split_off(order.len() - count));
        let [source, target, validation] = SIZES;
        let sources: Vec<_> = SOURCES.into_iter().map(|harm| harmed(&take(source), harm, &mut rng)).collect();
        let in_turn = |example: usize| sources.iter().map(move |source| (source, example));
        let (images, labels) = (0..source)
            .flat_map(in_turn)
            .map(|((images, labels), at)| (&images[at * SIDE * SIDE..(at + 1) * SIDE * SIDE], labels[at]))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let [target, validation] = [target, validation].map(take);
        let trusted = target.join(&validation);
        let test = all.subset(&order);
        let [target, validation, trusted, test] =
            [target, validation, trusted, test].map(|part| examples(plain(&part), device));
        Parts { sources: examples((images.concat(), labels), device), target, validation, trusted, test }
    }

    /// An engine whose weights of sources are these numbers to begin with, and which is fine-tuned on these examples; its data are
    /// what this rank has of them.
    fn engine(
        &self,
        weights: [f32; SOURCES.len()],
        target: &Examples,
        config: PretrainingConfig,
        ranks: &Ranks,
    ) -> Result<Engine<Pretraining>, EngineError> {
        let device = self.test.images.device();
        let classifier = || Classifier::new(SIDE * SIDE, &device);
        let program = Pretraining {
            weights: Param::from_tensor(Tensor::from_floats(weights, &device)),
            tuned: classifier(),
            pretrained: classifier(),
        };
        let data = PretrainingData {
            weights: self.validation.share(ranks, 1).into(),
            tuned: target.share(ranks, 1).into(),
            pretrained: self.sources.share(ranks, SOURCES.len()).into(),
        };
        Engine::new(program, data, config)
    }

    /// The test accuracies of a classifier that is fine-tuned on the target, and of one that is fine-tuned on all trusted examples,
    /// under weights that stand still.
    fn reached(
        &self,
        weights: [f32; SOURCES.len()],
        name: &str,
        trial: &Trial<'_, PretrainingConfig>,
    ) -> Result<[f64; 2], Failure> {
        let mut config = trial.config.clone();
        (config.weights.warmup, config.tuned.unroll, config.pretrained.unroll) = (usize::MAX, 100, 100);
        let accuracy = |target, name: &str| -> Result<f64, Failure> {
            let engine = self.engine(weights, target, config.clone(), trial.ranks)?;
            Ok(trial.train(engine, name, FIT_STEPS)?.tuned.accuracy(&self.test))
        };
        Ok([accuracy(&self.target, name)?, accuracy(&self.trusted, &format!("{name}-trusted"))?])
    }
}

fn plain(examples: &Dataset) -> (Vec<f32>, Vec<i32>) {
    let images = (0..examples.len()).flat_map(|index| examples.image(index)).copied().collect();
    (images, examples.labels().iter().copied().map(i32::from).collect())
}

fn harmed(source: &Dataset, harm: Harm, rng: &mut StdRng) -> (Vec<f32>, Vec<i32>) {
    let (mut images, mut labels) = plain(source);
    match harm {
        Harm::None => {}
        Harm::Exchanged => labels.iter_mut().for_each(|label| *label = (*label + 1) % CLASSES as i32),
        Harm::Turned => images.chunks_mut(SIDE * SIDE).for_each(|image| {
            let turned: Vec<f32> =
                (0..image.len()).map(|at| image[(SIDE - 1 - at % SIDE) * SIDE + at / SIDE]).collect();
            image.copy_from_slice(&turned);
        }),
        Harm::Noise => images.iter_mut().for_each(|pixel| *pixel = rng.random_range(0.0..1.0)),
        Harm::Random => labels.iter_mut().for_each(|label| *label = rng.random_range(0..CLASSES as i32)),
    }
    (images, labels)
}

fn examples((images, labels): (Vec<f32>, Vec<i32>), device: &Device) -> Examples {
    let count = labels.len();
    Examples {
        images: Tensor::from_data(TensorData::new(images, [count, SIDE * SIDE]), device),
        labels: Tensor::from_data(TensorData::new(labels, [count]), device),
    }
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("steps", options.steps)])?;
    let config = options.compare.config()?;
    let ranks = options.sharing.ranks()?;
    ranks.check_batch(SIZES.into_iter().min().unwrap_or_default())?;
    let Some(session) = options.compare.open::<Pretraining>(config, &[], ranks)? else { return Ok(()) };
    let table = Comparison::new(
        ["pretrained on", "test accuracy after fine-tuning"],
        [
            ("learned", "sources with learned weights"),
            ("all", "all sources alike"),
            ("none", "nothing"),
            ("oracle", "the good sources (oracle)"),
            ("learned_trusted", "learned weights; fine-tuned on validation, too"),
            ("all_trusted", "all sources alike; fine-tuned on validation, too"),
            ("none_trusted", "nothing; fine-tuned on validation, too"),
            ("oracle_trusted", "the good sources; fine-tuned on validation, too"),
        ],
    );
    session.compare("accuracies", table, |trial| compare(options, trial))?;
    Ok(())
}

/// Test accuracies of one seed.
fn compare(options: &Options, trial: &Trial<'_, PretrainingConfig>) -> Result<[f64; 8], Failure> {
    let parts = Parts::draw(trial.seed, trial.device);
    let engine = parts.engine([0.0; SOURCES.len()], &parts.target, trial.config.clone(), trial.ranks)?;
    let learned = trial.train(engine, "pretraining", options.steps)?.weights;
    if trial.is_first {
        let weights: Vec<f64> = sigmoid(learned.val()).into_data().iter::<f64>().collect();
        let bars = SOURCES.iter().zip(&weights);
        let bars = bars.filter_map(|(harm, weight)| Some((harm.to_string(), Summary::of(&[*weight])?))).collect();
        trial.output.write("weights.svg", Bars { title: "Weights of the sources".into(), bars }.to_svg()?)?;
    }
    let learned: Vec<f32> = learned.val().into_data().iter::<f32>().collect();
    let learned = std::array::from_fn(|source| learned[source]);
    // Far from zero, a sigmoid is 0 or 1.
    let good = SOURCES.map(|harm| if harm == Harm::None { 20.0 } else { -20.0 });
    let reached = |weights, name: &str| parts.reached(weights, name, trial);
    let ways = [
        // These are the weights of so many steps.
        reached(learned, &format!("learned-{}", options.steps))?,
        reached([0.0; SOURCES.len()], "all")?,
        reached([-20.0; SOURCES.len()], "none")?,
        reached(good, "oracle")?,
    ];
    Ok(std::array::from_fn(|column| ways[column % ways.len()][column / ways.len()]))
}

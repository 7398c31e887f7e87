//! Dataset distillation: ten images on which a classifier learns ten digits (Wang et al., 2018, arXiv:1811.10959).
//!
//! ```text
//! min_{X, η} ℓ(real digits; θ_K)          θ₀ fixed,   θ_{k+1} = θ_k − η·∇ℓ(X, labels 0 … 9; θ_k)
//! ```
//!
//! The upper level holds one image of each class, and the logarithm of the learning rate; the lower one is logistic regression
//! that begins at zero each time (`start: initial`) and takes ten steps on those images alone, which `unrolled` differentiates.
//! Against it: the mean image of each class, and one real image of each class, each with the best of several learning rates.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::data::{Batches, Dataset, Split, digits};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::metrics::Comparison;
use betty_runtime::{Batch, Engine, EngineError, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;

const CLASSES: usize = 10;
/// Examples a batch of the upper level.
const BATCH: usize = 300;
/// Learning rates from which each baseline takes its best.
const RATES: [f64; 7] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One image of each class, and with which rate to learn from them.
#[derive(Module, Debug)]
struct Distilled {
    images: Param<Tensor<2>>,
    log_rate: Param<Tensor<1>>,
}

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
    /// Ten images that teach ten digits.
    struct Distillation;

    /// Moves the images so that a classifier that learns from them alone is right about real ones. What is learned here is a
    /// rate too, which rises to where the classifier's steps are barely stable, and there derivatives through ten of them can be
    /// immense: they are clipped, and steps become smaller with time.
    level distilled: Distilled {
        lower: [classifier], batch: Examples, loss: on_real, optimizer: adam(lr = 0.02), schedule: exponential(gamma = 0.99),
        clip: norm(0.1),
    }

    /// Learns from the images.
    level classifier: Classifier {
        upper: [distilled], batch: (), loss: on_distilled, optimizer: sgd(lr = exp(distilled.log_rate)), unroll: 10,
        start: initial, hypergradient: unrolled,
    }
}

fn on_distilled(classifier: &Classifier, distilled: &Distilled, _batch: ()) -> Tensor<1> {
    let images = distilled.images.val();
    let labels = Tensor::arange(0..CLASSES as i64, &images.device());
    classifier.loss(Examples { images, labels })
}

fn on_real(_distilled: &Distilled, classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.loss(examples)
}

impl Classifier {
    fn new(pixels: usize, device: &Device) -> Self {
        let zeros = |rows| Param::from_tensor(Tensor::zeros([rows, CLASSES], device));
        Classifier { weights: zeros(pixels), biases: zeros(1) }
    }

    fn scores(&self, images: Tensor<2>) -> Tensor<2> {
        images.matmul(self.weights.val()) + self.biases.val()
    }

    fn loss(&self, examples: Examples) -> Tensor<1> {
        -log_softmax(self.scores(examples.images), 1).gather(1, examples.labels.unsqueeze_dim(1)).mean()
    }

    fn accuracy(&self, examples: &Examples) -> f64 {
        let chosen = self.scores(examples.images.clone()).argmax(1).squeeze_dim::<1>(1);
        chosen.equal(examples.labels.clone()).float().mean().into_scalar()
    }
}

/// Distils the handwritten digits into ten images, and compares what a classifier learns from those.
#[derive(Debug, Parser)]
#[command(name = "distillation", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split, and of which real images are taken")))]
#[command(mut_arg("out", |out| out.default_value("out/distillation")))]
struct Options {
    /// Steps of the images.
    #[arg(long, default_value_t = 400, value_name = "N")]
    steps: u64,
    /// Whether processes share what is trained.
    #[command(flatten)]
    sharing: Sharing,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

/// What a classifier that took its steps on ten given images gets right, with the learning rate that is best for the training
/// examples.
fn learned_from(
    images: &Tensor<2>,
    train: &Examples,
    test: &Examples,
    trial: &Trial<'_, DistillationConfig>,
) -> Result<f64, Failure> {
    let mut best = (f64::NEG_INFINITY, 0.0);
    for rate in RATES {
        trial.heed()?;
        let classifier = taught(images.clone(), rate, trial.config)?;
        best = if classifier.accuracy(train) > best.0 {
            (classifier.accuracy(train), classifier.accuracy(test))
        } else {
            best
        };
    }
    Ok(best.1)
}

/// The lower level's steps on given images. The images stand still, so their own data say nothing.
fn taught(images: Tensor<2>, rate: f64, config: &DistillationConfig) -> Result<Classifier, EngineError> {
    let (device, [_, pixels]) = (images.device(), images.dims());
    let nothing = Examples {
        images: Tensor::zeros([1, pixels], &device),
        labels: Tensor::from_data(TensorData::new(vec![0], [1]), &device),
    };
    let mut config = config.clone();
    (config.distilled.warmup, config.classifier.warmup) = (usize::MAX, 0);
    let log_rate = Param::from_tensor(Tensor::full([1], rate.ln(), &device));
    let program = Distillation {
        distilled: Distilled { images: Param::from_tensor(images), log_rate },
        classifier: Classifier::new(pixels, &device),
    };
    let data = DistillationData { distilled: nothing.into(), classifier: ().into() };
    let mut engine = Engine::new(program, data, config)?;
    engine.run(1)?;
    Ok(engine.into_problem().classifier)
}

/// For each class, one image made of those of its training examples.
fn of_each_class(train: &Dataset, device: &Device, make: impl Fn(&[&[f32]]) -> Vec<f32>) -> Tensor<2> {
    let images = (0..CLASSES).flat_map(|class| {
        let all = (0..train.len()).filter(|&index| usize::from(train.labels()[index]) == class);
        make(&all.map(|index| train.image(index)).collect::<Vec<_>>())
    });
    let images: Vec<f32> = images.collect();
    Tensor::from_data(TensorData::new(images, [CLASSES, train.pixels()]), device)
}

fn mean(images: &[&[f32]]) -> Vec<f32> {
    let pixels = images.first().map_or(0, |image| image.len());
    (0..pixels).map(|pixel| images.iter().map(|image| image[pixel]).sum::<f32>() / images.len() as f32).collect()
}

fn first(images: &[&[f32]]) -> Vec<f32> {
    images.first().map_or_else(Vec::new, |image| image.to_vec())
}

fn on_device(examples: &Dataset, device: &Device) -> Examples {
    let examples = examples.to_device(device);
    Examples { images: examples.images, labels: examples.labels }
}

/// Test accuracies of one seed.
fn experiment(options: &Options, trial: &Trial<'_, DistillationConfig>) -> Result<[f64; 4], Failure> {
    let (seed, config, device) = (trial.seed, trial.config, trial.device);
    // The clean set of the other examples is not needed, so that it is as small as can be.
    let split = Split::thirds(&digits(), 1, &mut StdRng::seed_from_u64(seed))?;
    let (train, test) = (on_device(&split.train, device), on_device(&split.test, device));
    let means = of_each_class(&split.train, device, mean);
    let real = of_each_class(&split.train, device, first);

    let all = split.train.to_device(device);
    let batches = Batches::new(split.train.len(), BATCH, seed).shared(trial.ranks)?.map(move |chosen| {
        let chosen: Vec<i32> = chosen.into_iter().map(|index| index as i32).collect();
        let count = chosen.len();
        let examples = all.select(Tensor::from_data(TensorData::new(chosen, [count]), &all.device()));
        Ok::<_, Infallible>(Examples { images: examples.images, labels: examples.labels })
    });
    let program = Distillation {
        distilled: Distilled {
            images: Param::from_tensor(means.clone()),
            log_rate: Param::from_tensor(Tensor::zeros([1], device)),
        },
        classifier: Classifier::new(split.train.pixels(), device),
    };
    let data = DistillationData { distilled: Stream::batches(batches), classifier: ().into() };
    let engine = Engine::new(program, data, config.clone())?.seed(seed);
    let Distilled { images, log_rate } = trial.train(engine, "distillation", options.steps)?.distilled;
    let (images, rate) = (images.val(), log_rate.val().exp().into_scalar());

    // Logistic regression on all training examples, as many steps as everything above took.
    let reference = Engine::new(
        Reference { classifier: Classifier::new(split.train.pixels(), device) },
        ReferenceData { classifier: train.clone().into() },
        ReferenceConfig::default(),
    )?;
    let reference = trial.train(reference, "reference", options.steps)?;
    if trial.is_first {
        trial.output.write("images.svg", drawing(&images.to_data().iter::<f32>().collect::<Vec<_>>()))?;
    }
    Ok([
        taught(images, rate, config)?.accuracy(&test),
        learned_from(&means, &train, &test, trial)?,
        learned_from(&real, &train, &test, trial)?,
        reference.classifier.accuracy(&test),
    ])
}

multilevel! {
    /// The classifier, trained on everything.
    struct Reference;

    level classifier: Classifier { batch: Examples, loss: on_all, optimizer: adam(lr = 0.02) }
}

fn on_all(classifier: &Classifier, examples: Examples) -> Tensor<1> {
    classifier.loss(examples)
}

/// The images side by side, from blue (the least) over white (zero) to red (the most).
fn drawing(images: &[f32]) -> String {
    let pixels = images.len() / CLASSES;
    let (side, most) = (pixels.isqrt(), images.iter().fold(1e-9f32, |most, value| most.max(value.abs())));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {side}\" width=\"960\">\n",
        CLASSES * (side + 1)
    );
    for (index, value) in images.iter().enumerate() {
        let (class, pixel) = (index / pixels, index % pixels);
        let (x, y) = (class * (side + 1) + pixel % side, pixel / side);
        let faded = (255.0 * (1.0 - value.abs() / most)) as u8;
        let (red, blue) = if *value > 0.0 { (255, faded) } else { (faded, 255) };
        // Writing to a string cannot fail.
        let _ =
            writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" fill=\"rgb({red},{faded},{blue})\"/>");
    }
    svg + "</svg>\n"
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("steps", options.steps)])?;
    let config = options.compare.config()?;
    let Some(session) = options.compare.open::<Distillation>(config, &[], options.sharing.ranks()?)? else {
        return Ok(());
    };
    let table = Comparison::new(
        ["learned from", "test accuracy"],
        [
            ("distilled", "ten distilled images"),
            ("class_means", "ten means of classes"),
            ("real_images", "ten real images"),
            ("all_examples", "all training examples"),
        ],
    );
    session.compare("accuracies", table, |trial| experiment(options, trial))?;
    Ok(())
}

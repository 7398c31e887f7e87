//! Long-tail classification with learned weights of examples (Meta-Weight-Net; Shu et al., 2019, arXiv:1902.07379).
//!
//! ```text
//! min_V  mean ℓ(balanced; θ*(V))      θ*(V) = argmin_θ  Σᵢ V(ℓᵢ)·ℓᵢ(θ) / Σᵢ V(ℓᵢ)
//! ```
//!
//! Of class `c` there are `n·r^(−c/(C − 1))` training examples, so that the first class has `r` times as many as the last one: the
//! imbalance. `V` is a network that sees an example's loss; it learns from ten examples of each class, looking one step of the
//! classifier ahead. The classifier is a small convolutional network with batch norm. Against it: no weights, and weights by the
//! inverse size of each class; and with and without weights, the balanced examples among those that are trained on.

mod model;

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::data::{Batches, Dataset, digits, identity, load_images};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::metrics::Comparison;
use betty_examples::plot::{Curve, Curves};
use betty_examples::relabel::WeightNet;
use betty_runtime::distributed::sum;
use betty_runtime::{Batch, Engine, Start, Stream, multilevel};
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Parser;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use model::{Cnn, shaped};

/// Balanced examples of each class, from which weights are learned.
const BALANCED: usize = 10;
/// The imbalance of a run, and those of `--full`, which takes the three largest that the data can have.
const IMBALANCE: f64 = 50.0;
const IMBALANCES: [f64; 4] = [200.0, 100.0, 50.0, 20.0];

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Images, the class of each, and a factor of its weight that nobody learns.
#[derive(Clone, Debug, Batch)]
struct Examples {
    images: Tensor<4>,
    labels: Tensor<1, Int>,
    factors: Tensor<1>,
}

multilevel! {
    /// Weights of examples by their losses.
    struct LongTail;

    /// Moves the weights so that the classifier does well on balanced examples after its next step.
    level weight: WeightNet { lower: [net], batch: Examples, loss: balanced, optimizer: adam(lr = 3e-3) }

    /// Fits the long tail.
    level net: Cnn {
        upper: [weight], batch: Examples, loss: weighted,
        optimizer: sgd(lr = 0.1, momentum = 0.9, weight_decay = 5e-4), start: look_ahead, hypergradient: unrolled,
    }
}

fn balanced(_weight: &WeightNet, net: &Cnn, examples: Examples) -> Tensor<1> {
    net.losses(examples.images, examples.labels).mean()
}

fn weighted(net: &Cnn, weight: &WeightNet, examples: Examples) -> Tensor<1> {
    let losses = net.losses(examples.images, examples.labels);
    let weights = weight.weights(losses.clone()) * examples.factors;
    sum((weights.clone() * losses).sum()) / sum(weights.sum())
}

/// Learns how much an example counts by its loss, where classes are of very different sizes.
#[derive(Debug, Parser)]
#[command(name = "long_tail", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of which examples are taken, of initial parameters, and of batches")))]
#[command(mut_arg("out", |out| out.default_value("out/long_tail")))]
struct Options {
    /// Folder of images in the place of the built-in digits: IDX files as of MNIST or Fashion-MNIST, plain or gzipped; the binary version
    /// of CIFAR-10 or CIFAR-100; or folders `train/CLASS` and `test/CLASS` of PNG or JPEG files of one size.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many times as large the largest class is as the smallest one [default: 50; with `--full`, the three largest of 200, 100, 50 and
    /// 20 that the data can have].
    #[arg(long, value_name = "R")]
    imbalance: Option<f64>,
    /// Steps of the classifier.
    #[arg(long, default_value_t = 300, value_name = "N")]
    steps: u64,
    /// Examples a step.
    #[arg(long, default_value_t = 100, value_name = "N")]
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
    check_positive(&[("steps", options.steps), ("batch", options.batch as u64)])?;
    if options.imbalance.is_some_and(|imbalance| !(imbalance.is_finite() && imbalance >= 1.0)) {
        return Err(Failure::TooSmall { option: "imbalance", least: 1 });
    }
    let config = options.compare.config()?;
    let (train, test) = source(options)?;
    let choices = [
        ("--data", options.data.as_ref().map_or("the built-in digits".into(), |_| identity([&train, &test]))),
        ("--batch", options.batch.to_string()),
    ];
    let Some(session) = options.compare.open::<LongTail>(config, &choices, options.sharing.ranks()?)? else {
        return Ok(());
    };
    let most = most(&train)?;
    for imbalance in imbalances(options, most)? {
        let least = size(most, imbalance, 1.0);
        let measured = format!("balanced test accuracy, imbalance {imbalance}: classes of {most} to {least}");
        let table = Comparison::new(
            ["weights of examples", &measured],
            [
                ("learned", "learned from losses"),
                ("none", "none"),
                ("by_class", "by the inverse size of their class"),
                ("learned_both", "learned, balanced examples as well"),
                ("none_both", "none, balanced examples as well"),
            ],
        );
        session.compare(&format!("imbalance-{imbalance}"), table, |trial| {
            compare(options, (most, imbalance), (&train, &test), trial)
        })?;
    }
    Ok(())
}

/// Examples to draw the training set from, and for the test.
fn source(options: &Options) -> Result<(Dataset, Dataset), Failure> {
    if let Some(folder) = &options.data {
        return Ok(load_images(folder)?);
    }
    let all = digits();
    // The same test for all seeds; the order of the file is that of its writers.
    let (test, train): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|index| index % 3 == 0);
    Ok((all.subset(&train), all.subset(&test)))
}

/// How many examples of a class there can be, beside the balanced ones.
fn most(all: &Dataset) -> Result<usize, Failure> {
    let mut sizes = vec![0; all.classes()];
    all.labels().iter().for_each(|&label| sizes[usize::from(label)] += 1);
    let needed = BALANCED + 1;
    match sizes.iter().position(|&found| found < needed) {
        Some(class) => Err(Failure::SmallClass { class, found: sizes[class], needed }),
        None => Ok(sizes.into_iter().min().unwrap_or(0) - BALANCED),
    }
}

/// How many examples a class has, whose place among the others is from 0 to 1, and the largest of which has `most`.
fn size(most: usize, imbalance: f64, place: f64) -> usize {
    (most as f64 * imbalance.powf(-place)).round() as usize
}

/// The imbalances that are asked for, of classes the largest of which has `most` examples.
fn imbalances(options: &Options, most: usize) -> Result<Vec<f64>, Failure> {
    let fits = |imbalance: &f64| *imbalance <= most as f64;
    let asked = match options.imbalance {
        Some(imbalance) => vec![imbalance],
        None if options.compare.full && IMBALANCES.iter().any(fits) => {
            IMBALANCES.into_iter().filter(fits).take(3).collect()
        }
        None => vec![IMBALANCE],
    };
    match asked.iter().find(|imbalance| !fits(imbalance)) {
        Some(&imbalance) => Err(Failure::Imbalance { imbalance, most }),
        None => Ok(asked),
    }
}

/// A long tail of classes the largest of which has `most` examples, and balanced examples that it does not hold; how many of each class
/// there are.
fn long_tail(all: &Dataset, most: usize, imbalance: f64, seed: u64) -> (Dataset, Dataset, Vec<usize>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.shuffle(&mut rng);
    let class = |class: usize| order.iter().copied().filter(move |&index| usize::from(all.labels()[index]) == class);
    let (mut tail, mut balanced, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for name in 0..all.classes() {
        let size = size(most, imbalance, name as f64 / (all.classes() - 1).max(1) as f64);
        balanced.extend(class(name).take(BALANCED));
        tail.extend(class(name).skip(BALANCED).take(size));
        sizes.push(size);
    }
    tail.shuffle(&mut rng);
    (all.subset(&tail), all.subset(&balanced), sizes)
}

/// This rank's shares of endless batches, whose factors are these for each class.
fn batches(
    examples: &Dataset,
    size: usize,
    factors: &[f32],
    seed: u64,
    trial: &Trial<'_, LongTailConfig>,
) -> Result<Stream<Examples>, Failure> {
    let device = trial.device;
    let (all, shape) = (examples.to_device(device), examples.shape());
    let factors = factors.to_vec();
    let labels = examples.labels().to_vec();
    let chosen = Batches::new(examples.len(), size, seed).shared(trial.ranks)?;
    Ok(Stream::batches(chosen.map(move |chosen| {
        let weights: Vec<f32> = chosen.iter().map(|&index| factors[usize::from(labels[index])]).collect();
        let indices: Vec<i32> = chosen.into_iter().map(|index| index as i32).collect();
        let (count, device) = (indices.len(), all.device());
        let batch = all.select(Tensor::from_data(TensorData::new(indices, [count]), &device));
        let factors = Tensor::from_data(TensorData::new(weights, [count]), &device);
        Ok::<_, Infallible>(Examples { images: shaped(batch.images, shape), labels: batch.labels, factors })
    })))
}

/// Test accuracies of one seed.
fn compare(
    options: &Options,
    (most, imbalance): (usize, f64),
    (train, test): (&Dataset, &Dataset),
    trial: &Trial<'_, LongTailConfig>,
) -> Result<[f64; 5], Failure> {
    let (seed, device) = (trial.seed, trial.device);
    let (tail, balanced, sizes) = long_tail(train, most, imbalance, seed);
    let mut rng = StdRng::seed_from_u64(seed);
    let weight = WeightNet::new(&mut rng, device);
    let net = Cnn::new(train.shape(), train.classes(), &mut rng, device);
    let program = || LongTail { weight: weight.clone(), net: net.clone() };
    let alike = vec![1.0; train.classes()];
    let stream = |examples, factors: &[f32], seed| batches(examples, options.batch, factors, seed, trial);

    let engine = |train, factors: &[f32], learns: bool| -> Result<Engine<LongTail>, Failure> {
        let mut config = trial.config.clone();
        if !learns {
            // The weights stand still, and are the same for all losses.
            (config.weight.warmup, config.net.start) = (usize::MAX, Start::Kept);
        }
        let data = LongTailData { weight: stream(&balanced, &alike, !seed)?, net: stream(train, factors, seed)? };
        Ok(Engine::new(program(), data, config)?.seed(seed))
    };
    let both = tail.join(&balanced);
    let learned =
        |train, name: &str| trial.train(engine(train, &alike, true)?, &format!("{name}-{imbalance}"), options.steps);
    let without = |train, factors: &[f32], name: &str| -> Result<f64, Failure> {
        let trained = trial.train(engine(train, factors, false)?, &format!("{name}-{imbalance}"), options.steps)?;
        Ok(trained.net.accuracy(test, device))
    };
    let on_tail = learned(&tail, "tail")?;
    if trial.is_first {
        trial.output.write(&format!("weights-{imbalance}.svg"), drawing(&on_tail.weight, device)?)?;
    }
    let inverse: Vec<f32> = sizes.iter().map(|&size| 1.0 / size as f32).collect();
    Ok([
        on_tail.net.accuracy(test, device),
        without(&tail, &alike, "tail-alike")?,
        without(&tail, &inverse, "tail-by-class")?,
        learned(&both, "both")?.net.accuracy(test, device),
        without(&both, &alike, "both-alike")?,
    ])
}

/// The weight of an example as a function of its loss.
fn drawing(weight: &WeightNet, device: &Device) -> Result<String, Failure> {
    let losses: Vec<f32> = (0..=60).map(|step| step as f32 / 10.0).collect();
    let weights = weight.weights(Tensor::from_floats(losses.as_slice(), device)).into_data();
    let points = losses.iter().map(|&loss| f64::from(loss)).zip(weights.iter::<f64>()).collect();
    let curve = Curve { name: "learned weight".into(), points };
    let (title, x, y) = ("How much an example counts".into(), "its loss".into(), "weight".into());
    Ok(Curves { title, x, y, curves: vec![curve], dots: None }.to_svg()?)
}

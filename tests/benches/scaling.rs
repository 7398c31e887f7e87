//! Strong scaling: the same batches on more and more ranks. `tools/mpi-scaling` runs it under `mpirun`.
//!
//! `scaling cleaning` learns weights of the classes of examples of the size of Fashion-MNIST's for a perceptron, `scaling resnet` for a
//! ResNet on images of 32×32: by conjugate gradients, and by a Neumann series. Data are random, which no time depends on. Every rank tells how long an
//! iteration takes, and how much of it passes in messages, waiting for other ranks included.

use std::cell::Cell;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use betty_mpi::Mpi;
use betty_runtime::distributed::{Collective, CollectiveError};
use betty_runtime::{Engine, Multilevel, Stream, multilevel};
use betty_tests::models::{Group, ResNet};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The system's allocator gives large tensors back at once and takes a page fault for every page at the next step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLASSES: usize = 10;

/// Logarithms of the weights of classes.
type Weights = Param<Tensor<1>>;

/// Images, and the class of each.
type Examples<const D: usize> = (Tensor<D>, Tensor<1, Int>);

#[derive(Module, Debug)]
struct Perceptron {
    hidden: Linear,
    output: Linear,
}

impl Perceptron {
    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.hidden.forward(images).tanh())
    }
}

/// The mean cross-entropy, each example times the weight of its class, if there is one.
fn cross_entropy(scores: Tensor<2>, labels: Tensor<1, Int>, weights: Option<&Weights>) -> Tensor<1> {
    let losses = -log_softmax(scores, 1).gather(1, labels.clone().unsqueeze_dim(1)).squeeze_dim::<1>(1);
    match weights {
        Some(weights) => (losses * weights.val().exp().select(0, labels)).mean(),
        None => losses.mean(),
    }
}

fn clean(_weights: &Weights, net: &Perceptron, (images, labels): Examples<2>) -> Tensor<1> {
    cross_entropy(net.forward(images), labels, None)
}

fn noisy(net: &Perceptron, weights: &Weights, (images, labels): Examples<2>) -> Tensor<1> {
    cross_entropy(net.forward(images), labels, Some(weights))
}

multilevel! {
    struct Cleaning;
    level weights: Weights { lower: [net], batch: Examples<2>, loss: clean, optimizer: adam(lr = 0.01) }
    level net: Perceptron {
        upper: [weights], batch: Examples<2>, loss: noisy, optimizer: sgd(lr = 0.05), unroll: 5,
        hypergradient: cg(iterations = 10, tolerance = 0.0, damping = 10.0),
    }
}

type Net = ResNet<Group>;

fn judge(_weights: &Weights, net: &Net, (images, labels): Examples<4>) -> Tensor<1> {
    cross_entropy(net.forward(images), labels, None)
}

fn fit(net: &Net, weights: &Weights, (images, labels): Examples<4>) -> Tensor<1> {
    cross_entropy(net.forward(images), labels, Some(weights))
}

multilevel! {
    struct Residual;
    level weights: Weights { lower: [net], batch: Examples<4>, loss: judge, optimizer: adam(lr = 0.01) }
    level net: Net {
        upper: [weights], batch: Examples<4>, loss: fit, optimizer: sgd(lr = 0.01),
        hypergradient: neumann(terms = 5, step_size = 1e-4),
    }
}

/// A transport that tells how long messages take.
struct Timed {
    mpi: Rc<Mpi>,
    spent: Rc<Cell<Duration>>,
}

impl Timed {
    fn time<T>(&self, send: impl FnOnce(&Mpi) -> T) -> T {
        let begun = Instant::now();
        let done = send(&self.mpi);
        self.spent.set(self.spent.get() + begun.elapsed());
        done
    }
}

impl Collective for Timed {
    fn rank(&self) -> usize {
        self.mpi.rank()
    }

    fn size(&self) -> usize {
        self.mpi.size()
    }

    fn gather(&self, mine: &[u8]) -> Result<Vec<u8>, CollectiveError> {
        self.time(|mpi| mpi.gather(mine))
    }

    fn broadcast(&self, buffer: &mut [u8], root: usize) -> Result<(), CollectiveError> {
        self.time(|mpi| mpi.broadcast(buffer, root))
    }

    fn sum_f32(&self, numbers: &mut [f32]) -> Result<(), CollectiveError> {
        self.time(|mpi| mpi.sum_f32(numbers))
    }

    fn sum_f64(&self, numbers: &mut [f64]) -> Result<(), CollectiveError> {
        self.time(|mpi| mpi.sum_f64(numbers))
    }
}

/// Endless batches of so many examples, of which each rank has its share.
fn batches<const D: usize>(seed: u64, batch: usize, image: [usize; D], mpi: &Mpi) -> Stream<Examples<D>> {
    let (rank, size) = (mpi.rank(), mpi.size());
    let share = batch * rank / size..batch * (rank + 1) / size;
    let random = &mut StdRng::seed_from_u64(seed);
    let pixels: usize = image[1..].iter().product();
    let images: Vec<f32> = (0..batch * pixels).map(|_| random.random_range(-1.0..1.0)).collect();
    let labels: Vec<i32> = (0..batch).map(|_| random.random_range(0..CLASSES as i32)).collect();
    let mut shape = image;
    shape[0] = share.len();
    let images = images[share.start * pixels..share.end * pixels].to_vec();
    let device = Device::flex();
    let images = Tensor::from_data(TensorData::new(images, shape), &device);
    let labels = Tensor::from_data(TensorData::new(labels[share.clone()].to_vec(), [share.len()]), &device);
    Stream::constant((images, labels))
}

/// Runs so many iterations, and says what one takes.
fn measure<P: Multilevel>(mpi: &Rc<Mpi>, name: &str, engine: Engine<P>, iterations: u64) -> Result<(), Box<dyn Error>> {
    let spent = Rc::new(Cell::new(Duration::ZERO));
    let mut engine = engine.distributed(Timed { mpi: Rc::clone(mpi), spent: Rc::clone(&spent) })?;
    // Losses are recorded, verified, and planned.
    engine.run(2)?;
    let total = engine.explain()?.total();
    spent.set(Duration::ZERO);
    let begun = Instant::now();
    engine.run(iterations)?;
    let each = begun.elapsed().as_secs_f64() / iterations as f64;
    let share = spent.get().as_secs_f64() / iterations as f64 / each;
    if mpi.rank() == 0 {
        println!(
            "{name}: {:.3} s an iteration on {} ranks of {} threads, {:.1} % of it in {} messages of {:.1} MB in all",
            each,
            mpi.size(),
            std::env::var("RAYON_NUM_THREADS").unwrap_or_else(|_| "all".to_owned()),
            100.0 * share,
            total.messages,
            total.sent / 1e6,
        );
    }
    Ok(())
}

fn weights() -> Weights {
    Param::from_tensor(Tensor::zeros([CLASSES], &Device::flex()))
}

fn started() -> Result<(), Box<dyn Error>> {
    let mpi = Rc::new(Mpi::start(Duration::from_secs(600))?);
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let device = Device::flex();
    // All ranks begin with the parameters of the first.
    match words[..] {
        ["cleaning", iterations, batch] => {
            let batch = batch.parse()?;
            let net = Perceptron {
                hidden: LinearConfig::new(784, 256).init(&device),
                output: LinearConfig::new(256, CLASSES).init(&device),
            };
            let [clean, noisy] = [1, 2].map(|seed| batches(seed, batch, [0, 784], &mpi));
            let data = CleaningData { weights: clean, net: noisy };
            let engine = Engine::new(Cleaning { weights: weights(), net }, data, CleaningConfig::default())?;
            measure(&mpi, "cleaning", engine, iterations.parse()?)
        }
        ["resnet", iterations, batch, width] => {
            let batch = batch.parse()?;
            let net = Net::new(width.parse()?, CLASSES, &device);
            let [above, below] = [1, 2].map(|seed| batches(seed, batch, [0, 3, 32, 32], &mpi));
            let data = ResidualData { weights: above, net: below };
            let engine = Engine::new(Residual { weights: weights(), net }, data, ResidualConfig::default())?;
            measure(&mpi, "resnet", engine, iterations.parse()?)
        }
        _ => Err("cleaning ITERATIONS BATCH, or resnet ITERATIONS BATCH WIDTH".into()),
    }
}

fn main() -> ExitCode {
    match started() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

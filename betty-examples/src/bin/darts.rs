//! Architecture search with look-ahead (DARTS; Liu, Simonyan and Yang, 2019, arXiv:1806.09055).
//!
//! ```text
//! min_α  ℓ_validation(w − ξ∇_w ℓ_training(w, α), α)          the network's own step follows under the new α
//! edge(x) = Σ_o softmax(α_edge)_o · o(x)
//! ```
//!
//! A cell has three nodes, each the sum of what comes over edges from all before it; an edge is a mixture of five operations. The cell
//! that was found is what is left when every node keeps its two strongest edges, and every edge its strongest operation. It is then
//! trained anew, against random cells of the same kind and one that convolves everywhere, and tested on digits that neither saw.

use std::convert::Infallible;
use std::process::ExitCode;

use betty_examples::command::Sharing;
use betty_examples::compare::{Compare, Trial};
use betty_examples::data::{Batches, Dataset, Split, digits};
use betty_examples::failure::{Failure, check_positive, finish};
use betty_examples::init::{convolution, linear};
use betty_examples::metrics::Comparison;
use betty_examples::plot::Shares;
use betty_runtime::{Batch, Engine, Start, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::nn::pool::AvgPool2dConfig;
use burn::nn::{Linear, PaddingConfig2d};
use burn::tensor::activation::{log_softmax, relu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Parser;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

const CLASSES: usize = 10;
const SIDE: usize = 8;
const CHANNELS: usize = 8;
/// What an edge may be.
const OPERATIONS: [&str; 5] = ["nothing", "identity", "average 3×3", "convolution 1×1", "convolution 3×3"];
/// Where each edge comes from, and to which node it goes; node 0 is the input.
const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
const NODES: usize = 3;
/// Edges that a node keeps.
const KEPT: usize = 2;
/// Random cells, and steps in which every cell is trained anew.
const RANDOM: usize = 3;
const BATCH: usize = 64;

/// Many small tensors come and go in every step; this allocator hands them out faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A logit for each edge and operation.
type Cell = Param<Tensor<2>>;

/// Weights of a cell between a convolution and a linear layer.
#[derive(Module, Debug)]
struct Network {
    stem: Conv2d,
    edges: Vec<Edge>,
    head: Linear,
}

/// The operations of an edge that have weights.
#[derive(Module, Debug)]
struct Edge {
    narrow: Conv2d,
    wide: Conv2d,
}

/// Images, and the class of each.
#[derive(Clone, Debug, Batch)]
struct Examples {
    images: Tensor<2>,
    labels: Tensor<1, Int>,
}

multilevel! {
    /// A cell, and the weights that it leads to.
    struct Search;

    /// Moves the mixtures so that the network does well on validation data after its next step.
    level cell: Cell { lower: [network], batch: Examples, loss: validation, optimizer: adam(lr = 0.03) }

    /// Fits training data.
    level network: Network {
        upper: [cell], batch: Examples, loss: training, optimizer: adam(lr = 0.01),
        start: look_ahead, hypergradient: unrolled,
    }
}

fn validation(cell: &Cell, network: &Network, examples: Examples) -> Tensor<1> {
    network.loss(cell, examples)
}

fn training(network: &Network, cell: &Cell, examples: Examples) -> Tensor<1> {
    network.loss(cell, examples)
}

impl Network {
    fn new(rng: &mut StdRng, device: &Device) -> Self {
        let edges = EDGES.map(|_| Edge {
            narrow: convolution([CHANNELS, CHANNELS], 1, 1, rng, device),
            wide: convolution([CHANNELS, CHANNELS], 3, 1, rng, device),
        });
        Network {
            stem: convolution([1, CHANNELS], 3, 1, rng, device),
            edges: edges.into(),
            head: linear(NODES * CHANNELS * 4, CLASSES, rng, device),
        }
    }

    fn scores(&self, cell: &Cell, images: Tensor<2>) -> Tensor<2> {
        let [count, _] = images.dims();
        let mixtures = softmax(cell.val(), 1);
        let mut nodes = vec![self.stem.forward(images.reshape([count as i32, 1, SIDE as i32, SIDE as i32]))];
        for node in 1..=NODES {
            let edges = EDGES.iter().zip(&self.edges).enumerate().filter(|(_, ((_, to), _))| *to == node);
            let arrived = edges.map(|(number, ((from, _), edge))| {
                let mixture = mixtures.clone().narrow(0, number, 1);
                edge.mixed(nodes[*from].clone(), mixture)
            });
            nodes.push(arrived.reduce(|sum, one| sum + one).expect("every node has an edge"));
        }
        // The mean of each quarter.
        let quarters = AvgPool2dConfig::new([SIDE / 2, SIDE / 2]).init();
        let seen = quarters.forward(relu(Tensor::cat(nodes.split_off(1), 1)));
        self.head.forward(seen.reshape([count as i32, -1]))
    }

    fn loss(&self, cell: &Cell, examples: Examples) -> Tensor<1> {
        -log_softmax(self.scores(cell, examples.images), 1).gather(1, examples.labels.unsqueeze_dim(1)).mean()
    }

    fn accuracy(&self, cell: &Cell, examples: &Examples) -> f64 {
        let chosen = self.scores(cell, examples.images.clone()).argmax(1).squeeze_dim::<1>(1);
        chosen.equal(examples.labels.clone()).float().mean().into_scalar()
    }
}

impl Edge {
    /// All operations but nothing, each as much as the mixture says.
    fn mixed(&self, x: Tensor<4>, mixture: Tensor<2>) -> Tensor<4> {
        let share = |operation: usize| mixture.clone().slice([0..1, operation..operation + 1]).unsqueeze::<4>();
        let active = relu(x.clone());
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        let average = AvgPool2dConfig::new([3, 3]).with_strides([1, 1]).with_padding(padding).init().forward(x.clone());
        x * share(1)
            + average * share(2)
            + self.narrow.forward(active.clone()) * share(3)
            + self.wide.forward(active) * share(4)
    }
}

/// An operation for each edge.
type Chosen = [usize; EDGES.len()];

/// What is left of a mixture.
fn strongest(cell: &Cell) -> Chosen {
    let mixtures: Vec<f64> = softmax(cell.val(), 1).into_data().iter::<f64>().collect();
    let best = |edge: usize| {
        let row = &mixtures[edge * OPERATIONS.len()..][..OPERATIONS.len()];
        (1..row.len()).map(|operation| (row[operation], operation)).max_by(|a, b| a.0.total_cmp(&b.0))
    };
    kept(|edge| best(edge).unwrap_or((0.0, 0)))
}

/// Every node keeps the edges with the largest numbers, each with its operation; the others are nothing.
fn kept(edge: impl Fn(usize) -> (f64, usize)) -> Chosen {
    let mut chosen = [0; EDGES.len()];
    for node in 1..=NODES {
        let edges = (0..EDGES.len()).filter(|&number| EDGES[number].1 == node);
        let mut edges: Vec<_> = edges.map(|number| (edge(number), number)).collect();
        edges.sort_by(|a, b| b.0.0.total_cmp(&a.0.0));
        edges.iter().take(KEPT).for_each(|((_, operation), number)| chosen[*number] = *operation);
    }
    chosen
}

/// A cell whose mixtures are these operations alone: far from zero, a softmax is 0 or 1.
fn discrete(chosen: Chosen, device: &Device) -> Cell {
    let mut logits = vec![-30.0f32; EDGES.len() * OPERATIONS.len()];
    chosen.iter().enumerate().for_each(|(edge, operation)| logits[edge * OPERATIONS.len() + operation] = 30.0);
    Param::from_tensor(Tensor::from_data(TensorData::new(logits, [EDGES.len(), OPERATIONS.len()]), device))
}

/// Searches a cell of convolutions for the handwritten digits, with look-ahead.
#[derive(Debug, Parser)]
#[command(name = "darts", version)]
#[command(mut_arg("seed", |seed| seed.help("Seed of the split, of initial weights, of batches, and of random cells")))]
#[command(mut_arg("out", |out| out.default_value("out/darts")))]
struct Options {
    /// Steps of the search.
    #[arg(long, default_value_t = 200, value_name = "N")]
    steps: u64,
    /// Steps in which every cell is trained anew.
    #[arg(long, default_value_t = 300, value_name = "N")]
    fit_steps: u64,
    /// Whether processes share what is trained.
    #[command(flatten)]
    sharing: Sharing,
    /// What all comparisons have.
    #[command(flatten)]
    compare: Compare,
}

/// This rank's shares of endless batches.
fn batches(examples: &Dataset, seed: u64, trial: &Trial<'_, SearchConfig>) -> Result<Stream<Examples>, Failure> {
    let all = examples.to_device(trial.device);
    let chosen = Batches::new(examples.len(), BATCH, seed).shared(trial.ranks)?;
    Ok(Stream::batches(chosen.map(move |chosen| {
        let chosen: Vec<i32> = chosen.into_iter().map(|index| index as i32).collect();
        let count = chosen.len();
        let batch = all.select(Tensor::from_data(TensorData::new(chosen, [count]), &all.device()));
        Ok::<_, Infallible>(Examples { images: batch.images, labels: batch.labels })
    })))
}

/// The test accuracy of a network that is trained anew in a cell.
fn reached(
    cell: Cell,
    network: &Network,
    data: (&Dataset, &Examples),
    (name, steps): (&str, u64),
    trial: &Trial<'_, SearchConfig>,
) -> Result<f64, Failure> {
    let mut config = trial.config.clone();
    (config.cell.warmup, config.network.start) = (usize::MAX, Start::Kept);
    let seed = trial.seed;
    let streams = SearchData { cell: batches(data.0, seed, trial)?, network: batches(data.0, seed, trial)? };
    let engine = Engine::new(Search { cell, network: network.clone() }, streams, config)?.seed(seed);
    let Search { cell, network } = trial.train(engine, name, steps)?;
    Ok(network.accuracy(&cell, data.1))
}

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    check_positive(&[("steps", options.steps), ("fit-steps", options.fit_steps)])?;
    let config = options.compare.config()?;
    let choices = [("--fit-steps", options.fit_steps.to_string())];
    let Some(session) = options.compare.open::<Search>(config, &choices, options.sharing.ranks()?)? else {
        return Ok(());
    };
    let table = Comparison::new(
        ["cell", "test accuracy"],
        [
            ("found", "found with look-ahead"),
            ("random", &format!("random, mean of {RANDOM}")),
            ("random_best", &format!("random, best of {RANDOM}")),
            ("convolutions", "3×3 convolutions everywhere"),
        ],
    );
    session.compare("accuracies", table, |trial| compare(options, trial))?;
    Ok(())
}

/// Test accuracies of one seed.
fn compare(options: &Options, trial: &Trial<'_, SearchConfig>) -> Result<[f64; 4], Failure> {
    let (seed, device) = (trial.seed, trial.device);
    let mut rng = StdRng::seed_from_u64(seed);
    let all = digits();
    let split = Split::thirds(&all, all.len() / 3, &mut rng)?;
    let (network, fresh) = (Network::new(&mut rng, device), Network::new(&mut rng, device));
    let cell = Param::from_tensor(Tensor::zeros([EDGES.len(), OPERATIONS.len()], device));
    let data = SearchData { cell: batches(&split.clean, !seed, trial)?, network: batches(&split.train, seed, trial)? };
    let engine = Engine::new(Search { cell, network }, data, trial.config.clone())?.seed(seed);
    let cell = trial.train(engine, "search", options.steps)?.cell;
    let found = strongest(&cell);
    if trial.is_first {
        trial.output.write("cell.svg", drawing(&cell, found))?;
    }
    let (both, test) = (split.train.join(&split.clean), split.test.to_device(device));
    let test = Examples { images: test.images, labels: test.labels };
    let worth = |chosen, name: &str| {
        reached(discrete(chosen, device), &fresh, (&both, &test), (name, options.fit_steps), trial)
    };
    let mut random = Vec::new();
    for number in 0..RANDOM {
        let mut order: Vec<usize> = (0..EDGES.len()).collect();
        order.shuffle(&mut rng);
        let operations = EDGES.map(|_| rng.random_range(1..OPERATIONS.len()));
        random.push(worth(kept(|edge| (order[edge] as f64, operations[edge])), &format!("random-{number}"))?);
    }
    let best = random.iter().copied().fold(0.0, f64::max);
    let mean = random.iter().sum::<f64>() / RANDOM as f64;
    // That cell is the one of so many steps of the search.
    let found = worth(found, &format!("found-{}", options.steps))?;
    Ok([found, mean, best, worth(kept(|edge| (edge as f64, 4)), "convolutions")?])
}

/// The mixtures: a row for each edge, with the operation framed that it keeps.
fn drawing(cell: &Cell, chosen: Chosen) -> String {
    let mixtures: Vec<f64> = softmax(cell.val(), 1).into_data().iter::<f64>().collect();
    let rows = EDGES.iter().zip(mixtures.chunks(OPERATIONS.len())).zip(chosen);
    let rows = rows.map(|(((from, to), shares), operation)| {
        (format!("{from} → {to}"), shares.to_vec(), (operation > 0).then_some(operation))
    });
    Shares { columns: OPERATIONS.map(str::to_owned).into(), rows: rows.collect() }.to_svg()
}

//! Losses that are no means over examples: refused on every rank, unless all ranks have the same batches.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use betty_runtime::distributed::{Collective, Threads};
use betty_runtime::{Batch, BatchMapper, Engine, EngineError, ShardError, Stream, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::problem::{Knobs, Net, Samples, View, assert_exact, both, tensor};

fn errors(net: &Net, batch: Samples) -> Tensor<2> {
    let hidden = (batch.x.matmul(net.first.val()) + net.bias.val().unsqueeze()).tanh();
    (hidden.matmul(net.second.val()) - batch.y).powi_scalar(2)
}

fn mean(net: &Net, batch: Samples) -> Tensor<1> {
    errors(net, batch).mean()
}

fn sum(net: &Net, batch: Samples) -> Tensor<1> {
    errors(net, batch).sum()
}

/// A mean over those that a mask leaves.
fn masked(net: &Net, batch: Samples) -> Tensor<1> {
    let mask = batch.x.clone().slice([0..batch.x.dims()[0], 0..1]).greater_scalar(0.0).float().cast(DType::F64);
    (errors(net, batch) * mask.clone()).sum() / (mask.sum() + 1.0)
}

/// Weights that are normalised over the batch.
fn weighted(net: &Net, batch: Samples) -> Tensor<1> {
    let weights = batch.y.clone().exp();
    (errors(net, batch) * weights.clone()).sum() / weights.sum()
}

/// Inputs relative to those of the batch. The loss vanishes with its derivative where the network is zero.
fn centred(net: &Net, batch: Samples) -> Tensor<1> {
    let hidden = (batch.x.matmul(net.first.val()) + net.bias.val().unsqueeze()).tanh();
    let outputs = hidden.matmul(net.second.val());
    (outputs.clone() - outputs.mean_dim(0)).powi_scalar(2).mean()
}

fn idle(_knobs: &Knobs, net: &Net, batch: Samples) -> Tensor<1> {
    mean(net, batch)
}

macro_rules! program {
    ($program:ident, $data:ident, $config:ident, $with:ident, $loss:ident) => {
        fn $with(net: &Net, knobs: &Knobs, batch: Samples) -> Tensor<1> {
            $loss(net, batch) + net.penalty() * (knobs.penalty.val().exp() + 1.0)
        }

        multilevel! {
            struct $program;
            level knobs: Knobs { lower: [net], batch: Samples, loss: idle, optimizer: sgd(lr = 0.1) }
            level net: Net { upper: [knobs], batch: Samples, loss: $with, optimizer: sgd(lr = 0.01), hypergradient: minres }
        }
    };
}

program!(Mean, MeanData, MeanConfig, mean_of, mean);
program!(Sum, SumData, SumConfig, sum_of, sum);
program!(Masked, MaskedData, MaskedConfig, masked_of, masked);
program!(Weighted, WeightedData, WeightedConfig, weighted_of, weighted);
program!(Centred, CentredData, CentredConfig, centred_of, centred);

const SIZES: &[&[usize]] = &[&[3, 5]];

macro_rules! run {
    ($program:ident, $data:ident, $config:ident, $replicated:expr) => {
        both(
            SIZES,
            |view| {
                let of_net = if $replicated { View { rank: None, ..view } } else { view };
                let data = $data { knobs: view.samples(1), net: of_net.samples(2) };
                let engine =
                    Engine::new($program { knobs: Knobs::new(0), net: Net::new(1) }, data, $config::default())?;
                if $replicated { engine.replicated("net") } else { Ok(engine) }
            },
            |engine| {
                engine.run(3)?;
                Ok([engine.problem().knobs.values(), engine.problem().net.values()].concat())
            },
        )
    };
}

#[test]
fn losses_that_are_no_means_are_refused_and_said_to_be_replicated_are_exact() {
    macro_rules! check {
        ($program:ident, $data:ident, $config:ident) => {
            let (_, ranks) = run!($program, $data, $config, false);
            for found in &ranks {
                let Err(EngineError::Shard(ShardError::NotAMean { level, difference, .. })) = found else {
                    panic!("{found:?}")
                };
                assert!(level == "net" && *difference > 1e-4, "{found:?}");
                assert!(found.as_ref().is_err_and(|error| error.to_string().contains("engine.replicated(\"net\")")));
            }
            let (whole, ranks) = run!($program, $data, $config, true);
            assert_exact(&whole.expect("it runs"), &ranks, 1e-12, stringify!($program));
        };
    }
    check!(Sum, SumData, SumConfig);
    check!(Masked, MaskedData, MaskedConfig);
    check!(Weighted, WeightedData, WeightedConfig);
    check!(Centred, CentredData, CentredConfig);
    let (whole, ranks) = run!(Mean, MeanData, MeanConfig, false);
    assert_exact(&whole.expect("it runs"), &ranks, 1e-12, "a mean");
}

/// As [`centred`], beside a loss that is not finite where a small parameter is moved as far as a large one.
fn rooted(net: &Net, batch: Samples) -> Tensor<1> {
    centred(net, batch) + net.bias.val().sqrt().sum() * 1e-3
}

program!(Rooted, RootedData, RootedConfig, rooted_of, rooted);

#[test]
fn what_vanishes_at_the_start_is_seen_where_something_is_finite_beside_it() {
    let found = Threads::run(2, |rank| {
        let view = View { rank: Some(rank.rank()), sizes: SIZES };
        let data = RootedData { knobs: view.samples(1), net: view.samples(2) };
        let mut problem = Rooted { knobs: Knobs::new(0), net: Net::new(1) };
        problem.net.second = Param::from_tensor(tensor([4, 2], vec![0.0; 8]));
        problem.net.bias = Param::from_tensor(tensor([4], vec![1e-6, 1.0, 1e-6, 1e-6]));
        Engine::new(problem, data, RootedConfig::default())?.distributed(rank)?.run(1).map(drop)
    });
    assert!(
        found.iter().all(|found| matches!(found, Err(EngineError::Shard(ShardError::NotAMean { .. })))),
        "{found:?}"
    );
}

#[test]
fn what_vanishes_at_the_start_is_seen_beside_it() {
    let found = Threads::run(2, |rank| {
        let view = View { rank: Some(rank.rank()), sizes: SIZES };
        let data = CentredData { knobs: view.samples(1), net: view.samples(2) };
        let mut problem = Centred { knobs: Knobs::new(0), net: Net::new(1) };
        problem.net.second = Param::from_tensor(tensor([4, 2], vec![0.0; 8]));
        Engine::new(problem, data, CentredConfig::default())?.distributed(rank)?.run(1).map(drop)
    });
    assert!(
        found.iter().all(|found| matches!(found, Err(EngineError::Shard(ShardError::NotAMean { .. })))),
        "{found:?}"
    );
}

#[test]
fn batches_that_are_not_the_same_are_not_replicated() {
    let found = Threads::run(2, |rank| {
        let view = View { rank: Some(rank.rank()), sizes: SIZES };
        let data = SumData { knobs: view.samples(1), net: view.samples(2) };
        let problem = Sum { knobs: Knobs::new(0), net: Net::new(1) };
        Engine::new(problem, data, SumConfig::default())?.replicated("net")?.distributed(rank)?.run(1).map(drop)
    });
    let refused = |found: &Result<_, EngineError>| {
        matches!(found, Err(EngineError::Shard(ShardError::NotReplicated { rank: 1, .. })))
    };
    assert!(found.iter().all(refused), "{found:?}");
}

/// Sentences of different lengths, one after the other.
#[derive(Clone, Batch)]
struct Ragged {
    #[batch(examples)]
    targets: Tensor<1>,
    words: Tensor<2>,
    sentence: Tensor<1, Int>,
}

/// The same without saying what counts.
#[derive(Clone, Batch)]
struct Unsaid(Tensor<1>, Tensor<2>);

fn say(point: &Knobs, batch: Unsaid) -> Tensor<1> {
    (batch.1.sum() * point.shift.val().sum() - batch.0.mean()).powi_scalar(2)
}

fn read(point: &Knobs, batch: Ragged) -> Tensor<1> {
    // Each target beside its own first word.
    let words = batch.words.matmul(point.shift.val().unsqueeze_dim(1)).squeeze_dim::<1>(1);
    let first = words.narrow(0, 0, batch.targets.dims()[0]);
    let _ = batch.sentence;
    (first - batch.targets).powi_scalar(2).mean()
}

multilevel! {
    struct Reading;
    level point: Knobs { batch: Ragged, loss: read, optimizer: sgd(lr = 0.1), train: [shift] }
}

multilevel! {
    struct Saying;
    level point: Knobs { batch: Unsaid, loss: say, optimizer: sgd(lr = 0.1), train: [shift] }
}

#[test]
fn a_batch_says_how_many_examples_it_holds() {
    let found = Threads::run(2, |rank| {
        let batch = Unsaid(tensor([2], vec![1.0, 2.0]), tensor([3, 1], vec![rank.rank() as f64; 3]));
        let data = SayingData { point: Stream::constant(batch) };
        Engine::new(Saying { point: Knobs::new(0) }, data, SayingConfig::default())?.distributed(rank)?.run(1).map(drop)
    });
    assert!(
        found.iter().all(|found| matches!(found, Err(EngineError::Shard(ShardError::UnknownExamples { .. })))),
        "{found:?}"
    );

    // Where shares cannot be put together without another meaning, the comparison finds it out.
    let found = Threads::run(2, |rank| {
        let words = (0..9).map(|word| f64::from(word) - rank.rank() as f64).collect();
        let batch = Ragged {
            targets: tensor([2], vec![1.0, 2.0]),
            words: tensor([3, 3], words),
            sentence: Tensor::from_data(TensorData::new(vec![0_i64, 1, 1], [3]), &Device::flex()),
        };
        let data = ReadingData { point: Stream::batches((0..).map(move |_| Ok::<_, io::Error>(batch.clone()))) };
        Engine::new(Reading { point: Knobs::new(0) }, data, ReadingConfig::default())?
            .distributed(rank)?
            .run(1)
            .map(drop)
    });
    assert!(
        found.iter().all(|found| matches!(found, Err(EngineError::Shard(ShardError::NotAMean { .. })))),
        "{found:?}"
    );
}

/// Rows that are shown once to those who ask first, and twice to those who ask later.
#[derive(Clone)]
struct Moody {
    rows: Tensor<2>,
    asked: Arc<AtomicUsize>,
}

impl Batch for Moody {
    fn map<M: BatchMapper>(self, mapper: &mut M) -> Self {
        let mut rows = mapper.float(self.rows);
        if self.asked.fetch_add(1, Ordering::Relaxed) > 0 {
            rows = mapper.float(rows);
        }
        Moody { rows, asked: self.asked }
    }
}

type Vector = Param<Tensor<1>>;

fn fit(vector: &Vector, batch: Moody) -> Tensor<1> {
    (batch.rows - vector.val().unsqueeze()).square().mean()
}

multilevel! {
    struct Fitted;
    level vector: Vector { batch: Moody, loss: fit, optimizer: sgd(lr = 0.1) }
}

#[test]
fn a_batch_that_shows_other_tensors_later_is_refused() {
    let found = Threads::run(2, |rank| {
        let batch = || Moody { rows: Tensor::ones([2, 2], &Device::flex()), asked: Arc::default() };
        let data = FittedData { vector: Stream::batches((0..3).map(move |_| Ok::<_, io::Error>(batch()))) };
        let problem = Fitted { vector: Param::from_tensor(Tensor::zeros([2], &Device::flex())) };
        Engine::new(problem, data, FittedConfig::default())?.distributed(rank)?.run(1).map(drop)
    });
    for found in found {
        let error = found.expect_err("it is refused");
        assert!(error.to_string().contains("`map`"), "{error}");
    }
}

/// A module that says whether its loss is a mean.
#[derive(Module, Debug)]
struct Choosing {
    net: Net,
    is_sum: bool,
}

fn chosen(choosing: &Choosing, batch: Samples) -> Tensor<1> {
    if choosing.is_sum { sum(&choosing.net, batch) } else { mean(&choosing.net, batch) }
}

multilevel! {
    struct Edited;
    level choosing: Choosing { batch: Samples, loss: chosen, optimizer: sgd(lr = 0.01) }
}

#[test]
fn a_loss_that_an_edit_makes_a_sum_is_refused() {
    let found = Threads::run(2, |rank| {
        let data = EditedData { choosing: View { rank: Some(rank.rank()), sizes: SIZES }.samples(1) };
        let problem = Edited { choosing: Choosing { net: Net::new(1), is_sum: false } };
        let mut engine = Engine::new(problem, data, EditedConfig::default())?.distributed(rank)?;
        engine.run(2)?;
        engine.edit(|problem| problem.choosing.is_sum = true)?;
        engine.run(1).map(drop)
    });
    let refused =
        |found: &Result<(), EngineError>| matches!(found, Err(EngineError::Shard(ShardError::NotAMean { .. })));
    assert!(found.iter().all(refused), "{found:?}");
}

/// A mean over those that a mask leaves, which is one over examples as long as it leaves all.
fn left(net: &Net, (batch, mask): (Samples, Tensor<1>)) -> Tensor<1> {
    let errors = errors(net, batch).mean_dim(1).squeeze_dim::<1>(1);
    (errors * mask.clone()).sum() / mask.sum()
}

multilevel! {
    struct Left;
    level net: Net { batch: (Samples, Tensor<1>), loss: left, optimizer: sgd(lr = 0.01) }
}

#[test]
fn a_loss_that_is_no_mean_on_later_batches_is_found_on_one_of_them() {
    let found = Threads::run(2, |rank| {
        let number = rank.rank();
        let batches = (0..).map(move |index: usize| {
            let x = (0..6).map(|k| ((k + index + number) % 5) as f64 / 2.0 - 1.0).collect();
            let samples = Samples { x: tensor([2, 3], x), y: tensor([2, 2], vec![0.5, -0.5, 1.0, number as f64]) };
            let mask = if index > 4 && number == 0 { vec![1.0, 0.0] } else { vec![1.0; 2] };
            Ok::<_, io::Error>((samples, tensor([2], mask)))
        });
        let data = LeftData { net: Stream::batches(batches) };
        let mut engine = Engine::new(Left { net: Net::new(1) }, data, LeftConfig::default())?.distributed(rank)?;
        let error = engine.run(200).expect_err("it is no mean");
        Ok::<_, EngineError>((error, engine.iterations()))
    });
    for found in found {
        let (error, iterations) = found.expect("an engine");
        assert!(matches!(error, EngineError::Shard(ShardError::NotAMean { .. })), "{error}");
        assert_eq!(iterations, 99);
    }
}

/// A mean over groups of four examples, so large that a comparison takes a part of them.
fn grouped(net: &Net, batch: Samples) -> Tensor<1> {
    errors(net, batch).mean_dim(1).reshape([-1, 4]).mean_dim(0).mean()
}

multilevel! {
    struct Grouped;
    level net: Net { batch: Samples, loss: grouped, optimizer: sgd(lr = 0.01) }
}

#[test]
fn shares_are_cut_in_halves_as_far_as_the_loss_can_be_computed_on_a_part() {
    const SIZES: &[&[usize]] = &[&[32, 32]];
    let within = |memory: usize| {
        let found = Threads::run(2, |rank| {
            let data = GroupedData { net: View { rank: Some(rank.rank()), sizes: SIZES }.samples(1) };
            let engine = Engine::new(Grouped { net: Net::new(1) }, data, GroupedConfig::default())?;
            engine.verification_memory(memory).allow_unverified(true).distributed(rank)?.run(1).map(drop)
        });
        let is_found = found.iter().all(Result::is_ok);
        for error in found.into_iter().filter_map(Result::err) {
            assert!(
                matches!(&error, EngineError::Shard(ShardError::NotJoinable { reason, .. }) if reason.contains("verification_memory")),
                "{error}"
            );
        }
        is_found
    };
    // From what is needed for all of them to less than what four of each take, in steps of less than two.
    let mut memory = 100_000;
    let mut halves = 0;
    while within(memory) {
        memory = memory * 4 / 5;
        halves += 1;
    }
    assert!(halves > 12 && !within(memory / 2), "down to {memory} bytes");
}

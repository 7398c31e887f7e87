//! Layers with running statistics: those of the whole batch, or refused.

use betty_runtime::distributed::{Collective, Threads};
use betty_runtime::nn::{BatchNorm, RunningStatistic};
use betty_runtime::{Engine, EngineError, ProgramConfig, ShardError, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::BatchNormConfig;
use burn::tensor::{DType, Device, Tensor};

use super::problem::{Knobs, Net, Samples, View, assert_exact, both, tensor};

/// A network with a batch norm between its layers.
#[derive(Module, Debug)]
struct Normed {
    net: Net,
    norm: BatchNorm,
}

impl Normed {
    fn new(seed: u64) -> Self {
        let mut norm: BatchNorm = BatchNormConfig::new(4).init(&Device::flex()).into();
        norm.gamma = Param::from_tensor(tensor([4], vec![1.0, 0.5, 1.5, 0.8]));
        norm.beta = Param::from_tensor(tensor([4], vec![0.1, -0.1, 0.0, 0.2]));
        norm.running_mean = RunningStatistic::new(tensor([4], vec![0.0; 4]));
        norm.running_var = RunningStatistic::new(tensor([4], vec![1.0; 4]));
        Normed { net: Net::new(seed), norm }
    }

    fn error(&self, batch: Samples) -> Tensor<1> {
        let hidden = batch.x.matmul(self.net.first.val()) + self.net.bias.val().unsqueeze();
        let outputs = self.norm.forward(hidden).tanh().matmul(self.net.second.val());
        (outputs - batch.y).powi_scalar(2).mean()
    }

    fn values(&self) -> Vec<f64> {
        let own = [
            self.norm.gamma.val(),
            self.norm.beta.val(),
            self.norm.running_mean.value(),
            self.norm.running_var.value(),
        ];
        let own = own.into_iter().flat_map(|tensor| tensor.into_data().iter::<f64>().collect::<Vec<_>>());
        self.net.values().into_iter().chain(own).collect()
    }
}

fn fit(normed: &Normed, knobs: &Knobs, batch: Samples) -> Tensor<1> {
    let moved = Samples { x: batch.x + knobs.shift.val().unsqueeze(), y: batch.y };
    normed.error(moved) + normed.net.penalty() * (knobs.penalty.val().exp() + 0.5)
}

fn choose(_knobs: &Knobs, normed: &Normed, batch: Samples) -> Tensor<1> {
    normed.error(batch)
}

fn follow(knobs: &Knobs, top: &Knobs, normed: &Normed, batch: Samples) -> Tensor<1> {
    normed.error(batch)
        + (knobs.shift.val() - top.shift.val()).powi_scalar(2).sum()
        + knobs.penalty.val().powi_scalar(2).sum()
}

fn judge(top: &Knobs, mid: &Knobs, normed: &Normed, batch: Samples) -> Tensor<1> {
    normed.error(batch) + (mid.shift.val() * top.shift.val()).sum()
}

multilevel! {
    struct Two;
    level knobs: Knobs { lower: [normed], batch: Samples, loss: choose, optimizer: adam(lr = 0.01) }
    level normed: Normed {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.05, momentum = 0.5), unroll: 3, hypergradient: minres,
    }
}

multilevel! {
    struct Three;
    level top: Knobs { lower: [mid, normed], batch: Samples, loss: judge, optimizer: sgd(lr = 0.01) }
    level mid: Knobs {
        upper: [top], lower: [normed], batch: Samples, loss: follow, optimizer: sgd(lr = 0.05), hypergradient: cg(damping = 0.5),
    }
    level normed: Normed {
        upper: [mid], batch: Samples, loss: fit, optimizer: sgd(lr = 0.05), unroll: 2, hypergradient: unrolled,
    }
}

const UNEVEN: &[&[usize]] = &[&[2, 4], &[5, 1], &[3, 3]];
const THREE: &[&[usize]] = &[&[1, 3, 2], &[4, 1, 1]];
/// The second rank has batches of one size, and the first of two.
const ONE_SIDED: &[&[usize]] = &[&[2, 2], &[3, 2]];

#[test]
fn a_batch_norm_goes_by_the_statistics_of_the_whole_batch() {
    for method in ["minres", "finite_difference", "unrolled", "forward", "neumann"] {
        for sizes in [UNEVEN, THREE, ONE_SIDED] {
            let json = format!(r#"{{ "normed": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
            let (whole, ranks) = both(
                sizes,
                |view: View| {
                    let data = TwoData { knobs: view.samples(1), normed: view.samples(2) };
                    Engine::new(
                        Two { knobs: Knobs::new(0), normed: Normed::new(1) },
                        data,
                        TwoConfig::from_json(&json)?,
                    )
                },
                |engine| {
                    engine.run(3)?;
                    Ok([engine.problem().knobs.values(), engine.problem().normed.values()].concat())
                },
            );
            let of = format!("{method} on {sizes:?}");
            let tolerance = if method == "finite_difference" { 1e-8 } else { 1e-12 };
            assert_exact(&whole.unwrap_or_else(|error| panic!("{of}: {error}")), &ranks, tolerance, &of);
        }
    }
}

#[test]
fn so_it_does_in_steps_that_are_one_function() {
    let (whole, ranks) = both(
        THREE,
        |view: View| {
            let data = ThreeData { top: view.samples(1), mid: view.samples(2), normed: view.samples(3) };
            let problem = Three { top: Knobs::new(0), mid: Knobs::new(1), normed: Normed::new(2) };
            Engine::new(problem, data, ThreeConfig::default())
        },
        |engine| {
            engine.run(2)?;
            let Three { top, mid, normed } = engine.problem();
            Ok([top.values(), mid.values(), normed.values()].concat())
        },
    );
    assert_exact(&whole.expect("it runs"), &ranks, 1e-12, "three levels");
}

/// Keeps the mean of what it has seen, each rank by itself.
#[derive(Module, Debug)]
struct Seen {
    weight: Param<Tensor<1>>,
    mean: RunningStatistic<1>,
}

fn look(seen: &Seen, batch: Tensor<2>) -> Tensor<1> {
    seen.mean.advance(batch.clone().mean_dim(0).squeeze_dim(0));
    (batch - seen.weight.val().unsqueeze()).powi_scalar(2).mean()
}

multilevel! {
    struct Looking;
    level seen: Seen { batch: Tensor<2>, loss: look, optimizer: sgd(lr = 0.1) }
}

#[test]
fn statistics_that_each_rank_forms_by_itself_are_refused() {
    let found = Threads::run(2, |rank| {
        let rows = Tensor::full([2, 3], rank.rank() as f64, (&Device::flex(), DType::F64));
        let zeros = || tensor([3], vec![0.0; 3]);
        let seen = Seen { weight: Param::from_tensor(zeros()), mean: RunningStatistic::new(zeros()) };
        let data = LookingData { seen: Stream::constant(rows) };
        Engine::new(Looking { seen }, data, LookingConfig::default())?.distributed(rank)?.run(1).map(drop)
    });
    for found in found {
        assert!(matches!(found, Err(EngineError::Shard(ShardError::NotShared { .. }))), "{found:?}");
    }
}

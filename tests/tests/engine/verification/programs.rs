//! Programs whose gradients nearly vanish, and ones in which a `detach` hides behind zeros.

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::{Checkpoint, Engine, EngineError, Multilevel, Stream, StreamPosition, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Distribution, Int, Tensor};

use crate::problem::seeded;

type Vector = Param<Tensor<1>>;
type Matrix = Param<Tensor<2>>;

fn zeros<const D: usize>(shape: [usize; D]) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::zeros(shape, &Device::flex()))
}

fn inputs(rows: usize, columns: usize) -> Tensor<2> {
    let entries = Tensor::<1, Int>::arange(0..(rows * columns) as i64, &Device::flex()).float();
    (entries * 1.37).sin().reshape([rows, columns])
}

/// One upper number above a lower module with this loss.
macro_rules! bilevel {
    ($program:ident, $data:ident, $config:ident, $module:ty, $batch:ty, $loss:path, $top:path) => {
        bilevel!($program, $data, $config, $module, $batch, $loss, $top, sgd(lr = 0.1));
    };
    ($program:ident, $data:ident, $config:ident, $module:ty, $batch:ty, $loss:path, $top:path, $($optimizer:tt)*) => {
        multilevel! {
            struct $program;
            level upper: Vector { lower: [lower], batch: $batch, loss: $top, optimizer: sgd(lr = 0.01) }
            level lower: $module {
                upper: [upper], batch: $batch, loss: $loss, optimizer: $($optimizer)*,
                hypergradient: identity(scale = 0.1),
            }
        }
        impl $program {
            fn engine(upper: f32, lower: $module, batch: $batch) -> Engine<Self> {
                let data = $data { upper: Stream::constant(batch.clone()), lower: Stream::constant(batch) };
                let upper = Param::from_tensor(Tensor::full([1], upper, &Device::flex()));
                Engine::new($program { upper, lower }, data, $config::default()).unwrap()
            }
        }
    };
}

fn passes<P: Multilevel>(mut engine: Engine<P>) {
    engine.run(3).unwrap_or_else(|error| panic!("a correct program: {error}"));
}

fn is_stopped<P: Multilevel>(mut engine: Engine<P>) {
    let outcome = engine.run(1);
    assert!(matches!(outcome, Err(EngineError::Verification { .. })), "{outcome:?}");
}

fn kl(net: &Linear, meta: &Linear, x: Tensor<2>) -> Tensor<1> {
    let (p, q) = (meta.forward(x.clone()), net.forward(x));
    (softmax(p.clone(), 1) * (log_softmax(p, 1) - log_softmax(q, 1))).sum_dim(1).mean()
}

fn query(_meta: &Linear, net: &Linear, x: Tensor<2>) -> Tensor<1> {
    net.forward(x).square().mean()
}

multilevel! {
    struct Distilled;
    level meta: Linear { lower: [net], batch: Tensor<2>, loss: query, optimizer: sgd(lr = 0.1) }
    level net: Linear {
        upper: [meta], start: from(meta), batch: Tensor<2>, loss: kl, optimizer: sgd(lr = 0.1), unroll: 3,
        hypergradient: unrolled,
    }
}

#[test]
fn a_divergence_at_its_minimum() {
    let device = Device::flex();
    for seed in 0..20 {
        device.seed(seed);
        let net = LinearConfig::new(8, 5).init(&device);
        let x = Tensor::random([16, 8], Distribution::Normal(0.0, 1.0), &device);
        let data = DistilledData { meta: Stream::constant(x.clone()), net: Stream::constant(x) };
        let problem = Distilled { meta: net.clone(), net };
        passes(Engine::new(problem, data, DistilledConfig::default()).unwrap());
    }
}

fn plain(upper: &Vector, lower: &Linear, _x: Tensor<2>) -> Tensor<1> {
    upper.val().square() + lower.weight.val().square().mean()
}

/// The entropy of predictions, scaled by the upper number.
fn entropy(net: &Linear, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    let log = log_softmax(net.forward(x), 1);
    (log.clone().exp() * log).sum_dim(1).mean() * upper.val().exp()
}

bilevel!(Entropy, EntropyData, EntropyConfig, Linear, Tensor<2>, entropy, plain);

#[test]
fn an_entropy_at_its_maximum() {
    for size in [0.0, 1e-7, 1e-4] {
        let mut net: Linear = LinearConfig::new(6, 5).init(&Device::flex());
        net.weight = net.weight.map(|weight| weight * size);
        net.bias = net.bias.map(|bias| bias.map(|bias| bias * 0.0));
        passes(Entropy::engine(0.3, net, inputs(20, 6)));
    }
}

fn normalised(vector: &Vector, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    let (vector, [rows, _]) = (vector.val(), x.dims());
    let centred = vector.clone() - vector.mean();
    let deviation = (centred.clone().square().mean() + 1e-5).sqrt();
    (x * (centred / deviation).unsqueeze::<2>().repeat_dim(0, rows)).sum().square() * upper.val().exp()
}

fn plain_vector(upper: &Vector, lower: &Vector, _x: Tensor<2>) -> Tensor<1> {
    upper.val().square() + lower.val().square().mean()
}

bilevel!(Normalised, NormalisedData, NormalisedConfig, Vector, Tensor<2>, normalised, plain_vector);

#[test]
fn a_norm_by_hand_of_a_constant_vector() {
    for value in [1.0, 0.3, 1e4] {
        let vector = Param::from_tensor(Tensor::full([7], value, &Device::flex()));
        passes(Normalised::engine(0.0, vector, inputs(3, 7)));
    }
}

/// A table of logits for what follows what.
fn bigrams(table: &Matrix, upper: &Vector, pairs: Tensor<2, Int>) -> Tensor<1> {
    let [count, _] = pairs.dims();
    let rows = table.val().select(0, pairs.clone().slice([0..count, 0..1]).reshape([count]));
    let log = log_softmax(rows, 1).gather(1, pairs.slice([0..count, 1..2]));
    log.mean().neg() + table.val().square().sum() * upper.val().exp()
}

fn plain_table(upper: &Vector, table: &Matrix, _pairs: Tensor<2, Int>) -> Tensor<1> {
    (upper.val() + 5.0).square() + table.val().square().mean()
}

bilevel!(
    Bigrams,
    BigramsData,
    BigramsConfig,
    Matrix,
    Tensor<2, Int>,
    bigrams,
    plain_table,
    sgd(lr = 5.0, momentum = 0.5)
);

#[test]
fn a_converged_table_goes_on_after_an_edit_and_a_checkpoint() {
    let pairs = || {
        let text: Vec<i32> = (0..400).map(|i| (i * i + 3 * i + i / 7) % 11).collect();
        let pairs: Vec<[i32; 2]> = text.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        Tensor::<1, Int>::from_ints(pairs.concat().as_slice(), &Device::flex()).reshape([399, 2])
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let mut engine = Bigrams::engine(-5.0, zeros([11, 11]), pairs());
    engine.run(300).unwrap();
    let norm = engine.gradient("lower").unwrap().norm;
    assert!(norm < 1e-4, "it has converged: {norm:.1e}");
    engine.checkpoint().unwrap().save(&path).unwrap();
    engine.edit(|_| ()).unwrap();
    passes(engine);
    let mut resumed = Bigrams::engine(-5.0, zeros([11, 11]), pairs());
    resumed.resume(&Checkpoint::open(&path).unwrap(), StreamPosition::Start).unwrap();
    passes(resumed);
}

/// A layer before batch normalisation: the gradient of its bias is zero, as a sum over the whole batch.
#[derive(Module, Debug)]
struct Normed {
    layer: Linear,
    norm: BatchNorm,
}

fn normed(net: &Normed, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    let out = net.norm.forward(net.layer.forward(x.clone()));
    (out - x.slice_dim(1, 0..2)).square().mean() * upper.val().exp()
}

fn plain_normed(upper: &Vector, net: &Normed, _x: Tensor<2>) -> Tensor<1> {
    upper.val().square() + net.layer.weight.val().square().mean()
}

bilevel!(LargeBatch, LargeBatchData, LargeBatchConfig, Normed, Tensor<2>, normed, plain_normed);

#[test]
fn a_sum_over_a_large_batch_that_cancels() {
    let device = Device::flex();
    let net = || {
        let layer = seeded(LinearConfig::new(4, 2).init(&device));
        Normed { layer, norm: BatchNormConfig::new(2).init(&device) }
    };
    passes(LargeBatch::engine(0.0, net(), inputs(200_000, 4)));
    // In little memory, on a part of the batch.
    passes(LargeBatch::engine(0.0, net(), inputs(100_000, 4)).verification_memory(1 << 20));
}

/// Two layers, the second of which may be zero.
#[derive(Module, Debug)]
struct Headed {
    body: Matrix,
    head: Matrix,
}

impl Headed {
    fn with_zero_head() -> Self {
        Headed { body: Param::from_tensor(inputs(4, 3)), head: zeros([3, 2]) }
    }
}

fn headed(net: &Headed, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    (x.matmul(net.body.val()).tanh().detach().matmul(net.head.val()) - 1.0).square().mean() * upper.val().exp()
}

fn headed_rightly(net: &Headed, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    (x.matmul(net.body.val()).tanh().matmul(net.head.val()) - 1.0).square().mean() * upper.val().exp()
}

/// A low-rank correction of a fixed matrix (Hu et al. 2022), whose second factor begins at zero.
fn low_rank(net: &Headed, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    let fixed = x.clone().slice_dim(1, 0..2);
    let correction = x.matmul(net.body.val().detach()).matmul(net.head.val());
    (fixed + correction).square().mean() * upper.val().exp()
}

fn plain_headed(upper: &Vector, net: &Headed, _x: Tensor<2>) -> Tensor<1> {
    upper.val().square() + net.head.val().square().mean()
}

/// The upper number scales a penalty through which it should be differentiated.
fn scaled(net: &Headed, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    let factor = upper.val() * net.body.val().square().sum().detach();
    (x.matmul(net.body.val()).matmul(net.head.val()) - 1.0).square().mean() + factor
}

bilevel!(ZeroHead, ZeroHeadData, ZeroHeadConfig, Headed, Tensor<2>, headed, plain_headed);
bilevel!(RightHead, RightHeadData, RightHeadConfig, Headed, Tensor<2>, headed_rightly, plain_headed);
bilevel!(LowRank, LowRankData, LowRankConfig, Headed, Tensor<2>, low_rank, plain_headed);
bilevel!(ZeroUpper, ZeroUpperData, ZeroUpperConfig, Headed, Tensor<2>, scaled, plain_headed);

#[test]
fn a_detach_behind_zeros_is_seen() {
    is_stopped(ZeroHead::engine(0.0, Headed::with_zero_head(), inputs(5, 4)));
    is_stopped(LowRank::engine(0.0, Headed::with_zero_head(), inputs(5, 4)));
    is_stopped(ZeroUpper::engine(0.0, Headed::with_zero_head(), inputs(5, 4)));
    passes(RightHead::engine(0.0, Headed::with_zero_head(), inputs(5, 4)));
    let error = ZeroHead::engine(0.0, Headed::with_zero_head(), inputs(5, 4)).run(1).unwrap_err().to_string();
    assert!(error.contains("`lower.body` once parameters are moved a little"), "{error}");
}

multilevel! {
    struct Frozen;
    level upper: Vector { lower: [lower], batch: Tensor<2>, loss: plain_headed, optimizer: sgd(lr = 0.01) }
    level lower: Headed {
        upper: [upper], batch: Tensor<2>, loss: headed, optimizer: sgd(lr = 0.1), hypergradient: identity(scale = 0.1),
    }
}

/// Features of a part that is not trained may be detached: no derivative is taken there.
#[test]
fn a_detach_of_what_is_not_trained_is_none() {
    let mut config = FrozenConfig::default();
    config.lower.freeze = vec!["body".into()];
    let run = |config| {
        let data = FrozenData { upper: Stream::constant(inputs(5, 4)), lower: Stream::constant(inputs(5, 4)) };
        let lower = Headed { body: Param::from_tensor(inputs(4, 3)), head: Param::from_tensor(inputs(3, 2)) };
        Engine::new(Frozen { upper: zeros([1]), lower }, data, config).unwrap()
    };
    passes(run(config));
    is_stopped(run(FrozenConfig::default()));
}

/// Defined for positive numbers only.
fn positive(vector: &Vector, upper: &Vector, x: Tensor<2>) -> Tensor<1> {
    (vector.val().log() * vector.val()).sum() + vector.val().sqrt().sum() * upper.val().exp() + x.sum() * 0.0
}

bilevel!(Positive, PositiveData, PositiveConfig, Vector, Tensor<2>, positive, plain_vector, sgd(lr = 1e-9));

multilevel! {
    struct Confined;
    level upper: Vector { lower: [lower], batch: Tensor<2>, loss: plain_vector, optimizer: sgd(lr = 0.01) }
    level lower: Vector {
        upper: [upper], batch: Tensor<2>, loss: positive, optimizer: sgd(lr = 1e-3), project: at_least(low = 1e-3),
        hypergradient: unrolled,
    }
}

#[test]
fn points_nearby_stay_where_a_loss_is_defined() {
    let vector = || Param::from_tensor(Tensor::<1>::from_floats([1e-3, 0.4, 2.0, 1e-2], &Device::flex()));
    passes(Positive::engine(0.0, vector(), inputs(1, 1)));
    let data = ConfinedData { upper: Stream::constant(inputs(1, 1)), lower: Stream::constant(inputs(1, 1)) };
    let problem = Confined { upper: zeros([1]), lower: vector() };
    passes(Engine::new(problem, data, ConfinedConfig::default()).unwrap());
}

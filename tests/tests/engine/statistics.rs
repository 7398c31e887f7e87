//! Running statistics advance once for every batch of a level's own steps, exactly as in a training loop of Burn's.

use betty_runtime::nn::BatchNorm;
use betty_runtime::trace::TraceError;
use betty_runtime::{Engine, EngineError, Stream, multilevel};
use burn::module::{Flag, Module, ModuleMapper, Param, RunningState};
use burn::nn::{self, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

type Examples = (Tensor<2>, Tensor<2>);
type Scale = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Net<N> {
    first: Linear,
    norm: N,
    second: Linear,
}

impl<N: Module> Net<N> {
    fn loss(&self, (x, y): Examples, norm: impl Fn(&N, Tensor<2>) -> Tensor<2>) -> Tensor<1> {
        let h = norm(&self.norm, self.first.forward(x)).tanh();
        (self.second.forward(h) - y).square().mean()
    }
}

/// The upper level reads the network in training mode, on other batches.
fn upper(scale: &Scale, model: &Net<BatchNorm>, batch: Examples) -> Tensor<1> {
    model.loss(batch, BatchNorm::forward) + scale.val().square()
}

/// The lower level does not depend on the upper one, so that a loop of Burn's can repeat it.
fn lower(model: &Net<BatchNorm>, scale: &Scale, batch: Examples) -> Tensor<1> {
    model.loss(batch, BatchNorm::forward) + scale.val() * 0.0
}

multilevel! {
    struct Program;

    level scale: Scale { lower: [model], batch: Examples, loss: upper, optimizer: adam(lr = 0.1) }
    level model: Net<BatchNorm> {
        upper: [scale], batch: Examples, loss: lower, optimizer: sgd(lr = 0.2),
        unroll: 3, hypergradient: neumann(terms = 3, step_size = 0.1),
    }
}

struct Doubles(StdRng);

impl ModuleMapper for Doubles {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| self.draw(tensor.dims()))
    }
}

impl Doubles {
    fn draw<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f64> = (0..shape.iter().product()).map(|_| self.0.random_range(-0.5..0.5)).collect();
        Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
    }
}

fn net() -> Net<nn::BatchNorm> {
    let device = Device::flex();
    let net = Net {
        first: LinearConfig::new(3, 4).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
        second: LinearConfig::new(4, 2).init(&device),
    };
    net.map(&mut Doubles(StdRng::seed_from_u64(1)))
}

fn batches(seed: u64, count: usize) -> Vec<Examples> {
    let mut draw = Doubles(StdRng::seed_from_u64(seed));
    (0..count).map(|_| (draw.draw([6, 3]) * 3.0, draw.draw([6, 2]))).collect()
}

fn numbers(tensors: [Tensor<1>; 4]) -> Vec<f64> {
    tensors.into_iter().flat_map(|tensor| tensor.into_data().iter::<f64>().collect::<Vec<_>>()).collect()
}

/// What a loop of Burn's makes of its own layer.
fn trained_by_burn(accumulate: usize, batches: &[Examples]) -> Vec<f64> {
    let mut net = net().train();
    let mut optimizer = SgdConfig::new().init();
    for batches in batches.chunks(accumulate) {
        let mut total = Tensor::<1>::zeros([1], (&Device::flex().autodiff(), DType::F64));
        for (x, y) in batches {
            total = total + net.loss((x.clone().autodiff(), y.clone().autodiff()), nn::BatchNorm::forward);
        }
        let gradients = GradientsParams::from_grads((total / accumulate as f64).backward(), &net);
        net = optimizer.step(0.2, net, gradients);
    }
    let norm = &net.norm;
    numbers([norm.running_mean.value_sync(), norm.running_var.value_sync(), norm.gamma.val(), norm.beta.val()])
}

fn engine(accumulate: usize, data: Vec<Examples>) -> Engine<Program> {
    let Net { first, norm, second } = net();
    let model = Net { first, norm: norm.into(), second };
    let scale = Param::from_tensor(Tensor::ones([1], (&Device::flex(), DType::F64)));
    let data = ProgramData { scale: stream(batches(9, 4)), model: stream(data) };
    let mut config = ProgramConfig::default();
    config.model.accumulate = accumulate;
    Engine::new(Program { scale, model }, data, config).unwrap()
}

fn stream(batches: Vec<Examples>) -> Stream<Examples> {
    Stream::epochs(move |_| batches.clone().into_iter().map(Ok::<_, std::convert::Infallible>))
}

fn of(engine: &mut Engine<Program>) -> Vec<f64> {
    let norm = &engine.problem().model.norm;
    numbers([norm.running_mean.value(), norm.running_var.value(), norm.gamma.val(), norm.beta.val()])
}

#[test]
fn they_advance_as_in_a_loop_of_burns() {
    for accumulate in [1, 2] {
        let data = batches(5, 12 * accumulate);
        let mut engine = engine(accumulate, data.clone());
        engine.run(4).unwrap();
        let (found, expected) = (of(&mut engine), trained_by_burn(accumulate, &data));
        for (x, y) in found.iter().zip(&expected) {
            assert!((x - y).abs() <= 1e-12 * y.abs().max(1.0), "{accumulate}: {found:?}\n{expected:?}");
        }
    }
}

/// A layer of somebody's own, built on Burn's state.
#[derive(Module, Debug)]
struct Centred {
    linear: Linear,
    mean: RunningState<Tensor<1>>,
    training: Param<Flag>,
}

impl Centred {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = self.linear.forward(x);
        if !self.training.is_enabled() {
            return y - self.mean.value().unsqueeze::<2>();
        }
        let mean = y.clone().mean_dim(0);
        self.mean.update(self.mean.value() * 0.9 + mean.clone().flatten::<1>(0, 1).detach() * 0.1);
        y - mean
    }
}

fn upper_centred(scale: &Scale, model: &Centred, (x, y): Examples) -> Tensor<1> {
    (model.forward(x) - y).square().mean() + scale.val().square()
}

fn lower_centred(model: &Centred, scale: &Scale, (x, y): Examples) -> Tensor<1> {
    (model.forward(x) - y).square().mean() + scale.val() * 0.0
}

/// Reads what the layer has gathered, and leaves it.
fn lower_read(model: &Centred, scale: &Scale, (x, y): Examples) -> Tensor<1> {
    (model.linear.forward(x) - model.mean.value().unsqueeze::<2>() - y).square().mean() + scale.val() * 0.0
}

macro_rules! centred {
    ($program:ident, $data:ident, $config:ident, $lower:ident) => {
        multilevel! {
            struct $program;
            level scale: Scale { lower: [model], batch: Examples, loss: upper_centred, optimizer: sgd(lr = 0.1) }
            level model: Centred {
                upper: [scale], batch: Examples, loss: $lower, optimizer: sgd(lr = 0.1),
                hypergradient: identity(scale = 0.1),
            }
        }
        impl $program {
            fn run(training: bool) -> Result<(), EngineError> {
                let mean = RunningState::new(Tensor::zeros([2], (&Device::flex(), DType::F64)));
                let (linear, training) = (LinearConfig::new(3, 2).init(&Device::flex()), Param::from_bool(training));
                let model = Centred { linear, mean, training }.map(&mut Doubles(StdRng::seed_from_u64(1)));
                let scale = Param::from_tensor(Tensor::ones([1], (&Device::flex(), DType::F64)));
                let data = $data { scale: stream(batches(9, 4)), model: stream(batches(5, 4)) };
                let kept = model.mean.clone();
                let before = kept.value_sync().into_data();
                let ran = Engine::new($program { scale, model }, data, $config::default())?.run(2).map(drop);
                assert_eq!(kept.value_sync().into_data(), before);
                ran
            }
        }
    };
}

centred!(Training, TrainingData, TrainingConfig, lower_centred);
centred!(Reading, ReadingData, ReadingConfig, lower_read);

#[test]
fn a_state_of_burns_that_would_not_move_is_refused() {
    let error = Training::run(true).unwrap_err();
    assert!(
        matches!(&error, EngineError::Trace(TraceError::UpdatesState { level, path }) if level == "model" && path == "mean"),
        "{error}"
    );
    assert!(error.to_string().contains("nn::RunningStatistic"), "{error}");
    // In inference it is read; and what another level's loss makes of it counts for nothing.
    Training::run(false).unwrap();
    Reading::run(true).unwrap();
}

#[test]
fn a_gradient_without_a_step_leaves_them() {
    let mut engine = engine(1, batches(5, 12));
    engine.run(1).unwrap();
    let before = of(&mut engine);
    engine.gradient("model").unwrap();
    engine.gradient("scale").unwrap();
    assert_eq!(of(&mut engine), before);
}

#[test]
fn a_step_that_fails_leaves_them() {
    // The second of two accumulated batches is not finite.
    let mut data = batches(5, 2);
    data[1].1 = data[1].1.clone() / 0.0;
    let mut engine = engine(2, data);
    let before = of(&mut engine);
    assert!(engine.run(1).is_err());
    assert_eq!(of(&mut engine), before);
}

#[test]
fn a_statistic_that_would_overflow_stops_the_step() {
    // A variance of 1e400 leaves loss and gradient finite: what is normalized is 0.
    let mut data = batches(5, 1);
    data[0].0 = data[0].0.clone() * 1e200;
    let mut engine = engine(1, data).verification(false);
    let before = of(&mut engine);
    let error = engine.run(1).unwrap_err();
    let EngineError::NonFiniteStep { what, .. } = &error else { panic!("{error}") };
    assert_eq!(what, "`model.norm.running_var`");
    assert_eq!(of(&mut engine), before);
}

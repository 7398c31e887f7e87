//! What whole hypergradients of the benchmarks are planned to take: kernels, bytes, and reads of a device. More is a regression that no
//! clock has to see.

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::{Engine, Multilevel, ProgramConfig, Stream, multilevel, stop_gradient};
use betty_tests::models::Encoder;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::{log_softmax, relu, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};

#[path = "../../benches/mlp/problem.rs"]
mod perceptron;

use perceptron::{ReweightingConfig, ReweightingData};

/// The network of the example `long_tail`.
#[derive(Module, Debug)]
struct Cnn {
    first: Conv2d,
    first_norm: BatchNorm,
    second: Conv2d,
    second_norm: BatchNorm,
    head: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Self {
        let convolution = |channels: [usize; 2]| {
            let config = Conv2dConfig::new(channels, [3, 3]).with_stride([2, 2]);
            config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        Cnn {
            first: convolution([1, 16]),
            first_norm: BatchNormConfig::new(16).init(device),
            second: convolution([16, 32]),
            second_norm: BatchNormConfig::new(32).init(device),
            head: LinearConfig::new(32 * 49, 10).init(device),
        }
    }

    /// The cross-entropy of each image.
    fn losses(&self, (images, labels): (Tensor<4>, Tensor<1, Int>)) -> Tensor<2> {
        let seen = relu(self.first_norm.forward(self.first.forward(images)));
        let seen = relu(self.second_norm.forward(self.second.forward(seen)));
        log_softmax(self.head.forward(seen.flatten::<2>(1, 3)), 1).gather(1, labels.unsqueeze_dim(1)).neg()
    }
}

#[derive(Module, Debug)]
struct WeightNet {
    hidden: Linear,
    output: Linear,
}

fn balanced(_weight: &WeightNet, net: &Cnn, batch: (Tensor<4>, Tensor<1, Int>)) -> Tensor<1> {
    net.losses(batch).mean()
}

fn weighted(net: &Cnn, weight: &WeightNet, batch: (Tensor<4>, Tensor<1, Int>)) -> Tensor<1> {
    let losses = net.losses(batch);
    let weights = sigmoid(weight.output.forward(relu(weight.hidden.forward(stop_gradient(losses.clone())))));
    (weights.clone() * losses).sum() / weights.sum()
}

multilevel! {
    struct MetaWeightNet;

    level weight: WeightNet {
        lower: [net], batch: (Tensor<4>, Tensor<1, Int>), loss: balanced, optimizer: adam(lr = 3e-3),
    }
    level net: Cnn {
        upper: [weight], batch: (Tensor<4>, Tensor<1, Int>), loss: weighted, optimizer: sgd(lr = 0.1, momentum = 0.9),
        hypergradient: finite_difference,
    }
}

type Scale = Param<Tensor<1>>;
type Sentences = (Tensor<2, Int>, Tensor<1, Int>);

fn judged(_scale: &Scale, encoder: &Encoder, batch: Sentences) -> Tensor<1> {
    encoder.loss(batch)
}

fn scaled(encoder: &Encoder, scale: &Scale, batch: Sentences) -> Tensor<1> {
    encoder.loss(batch) * scale.val().exp()
}

multilevel! {
    struct Unrolled;

    level scale: Scale { lower: [encoder], batch: Sentences, loss: judged, optimizer: sgd(lr = 0.1) }
    level encoder: Encoder {
        upper: [scale], batch: Sentences, loss: scaled, optimizer: adam(lr = 1e-3), unroll: 5, start: initial,
        hypergradient: unrolled,
    }
}

fn integers<const D: usize>(below: i64, shape: [usize; D]) -> Tensor<D, Int> {
    let count: usize = shape.iter().product();
    let values: Vec<i64> = (0..count as i64).map(|i| i * 7 % below).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Kernels, bytes moved, and the most bytes held at once of a hypergradient, and the reads of a step of the uppermost level.
fn hypergradient<P: Multilevel>(problem: P, data: P::Data, config: P::Config) -> [f64; 4] {
    let mut engine = Engine::new(problem, data, config).unwrap();
    let explained = engine.explain().unwrap();
    let upper = &explained.levels[0];
    let response = &upper.responses[0];
    let peak = explained.levels.iter().map(|level| level.peak + level.kept).max().unwrap();
    [response.cost.kernels, response.cost.bytes, peak as f64, upper.reads as f64]
}

fn reweighting(method: &str) -> [f64; 4] {
    let device = Device::flex();
    let images = perceptron::images(&device);
    let data = ReweightingData { weights: Stream::constant(images.clone()), model: Stream::constant(images) };
    let json = format!(r#"{{"model": {{"hypergradient": {method}}}}}"#);
    hypergradient(perceptron::problem(&device), data, ReweightingConfig::from_json(&json).unwrap())
}

fn meta_weight_net() -> [f64; 4] {
    let device = Device::flex();
    let images = (Tensor::<4>::ones([100, 1, 28, 28], &device), integers(10, [100]));
    let linear = |from, to| LinearConfig::new(from, to).init(&device);
    let weight = WeightNet { hidden: linear(1, 32), output: linear(32, 1) };
    let data = MetaWeightNetData { weight: Stream::constant(images.clone()), net: Stream::constant(images) };
    hypergradient(MetaWeightNet { weight, net: Cnn::new(&device) }, data, MetaWeightNetConfig::default())
}

fn transformer() -> [f64; 4] {
    let device = Device::flex();
    let tokens = (integers(1000, [8, 32]), integers(10, [8]));
    let scale = Param::from_tensor(Tensor::zeros([1], &device));
    let data = UnrolledData { scale: Stream::constant(tokens.clone()), encoder: Stream::constant(tokens) };
    let problem = Unrolled { scale, encoder: Encoder::new(4, 128, 1000, 10, &device) };
    hypergradient(problem, data, UnrolledConfig::default())
}

/// The numbers of BENCHMARKS.md, rounded up in their last digit.
#[test]
fn hypergradients_take_no_more_than_they_did() {
    let mut more = Vec::new();
    for (name, found, most) in [
        (
            "perceptron, cg",
            reweighting(r#"{"method": "cg", "iterations": 5, "damping": 1.0, "tolerance": 0.0}"#),
            [156.0, 32.5e6, 4.84e6, 3.0],
        ),
        (
            "perceptron, neumann",
            reweighting(r#"{"method": "neumann", "terms": 5, "step_size": 0.1}"#),
            [133.0, 27.1e6, 4.84e6, 3.0],
        ),
        (
            "perceptron, finite differences",
            reweighting(r#"{"method": "finite_difference"}"#),
            [46.0, 7.61e6, 4.84e6, 3.0],
        ),
        ("Meta-Weight-Net, finite differences", meta_weight_net(), [138.0, 137.1e6, 12.4e6, 3.0]),
        ("transformer, five steps unrolled", transformer(), [15609.0, 4.14e9, 90.4e6, 2.0]),
    ] {
        if found.iter().zip(&most).any(|(found, most)| found > most) {
            more.push(format!("{name}: {found:?}"));
        }
    }
    assert!(more.is_empty(), "{}", more.join("\n"));
}

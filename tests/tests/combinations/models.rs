//! Recurrent, attention and convolutional networks in single precision as levels whose steps are differentiated.
//!
//! Their gradients vanish in some parameters (biases of keys, biases before a batch norm) but for rounding errors, which an
//! adaptive optimizer would make as large as any other gradient; so they descend with momentum.

use std::io;

use betty_runtime::nn::BatchNorm;
use betty_runtime::{Batch, Engine, Multilevel, ProgramConfig, Stream, multilevel};
use betty_tests::models::{Encoder, Recurrent, cross_entropy};
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

type Sequences = (Tensor<3>, Tensor<1, Int>);
type Tokens = (Tensor<2, Int>, Tensor<1, Int>);

fn recall(net: &Recurrent, batch: Sequences) -> Tensor<1> {
    net.loss(batch)
}

fn recalled(_meta: &Recurrent, net: &Recurrent, batch: Sequences) -> Tensor<1> {
    net.loss(batch)
}

multilevel! {
    struct Recurrence;
    level meta: Recurrent { lower: [net], batch: Sequences, loss: recalled, optimizer: sgd(lr = 0.5), tasks: 3 }
    level net: Recurrent {
        start: from(meta), batch: Sequences, loss: recall, optimizer: sgd(lr = 0.5, momentum = 0.5), unroll: 2,
        hypergradient: unrolled,
    }
}

fn read(net: &Encoder, batch: Tokens) -> Tensor<1> {
    net.loss(batch)
}

fn readout(_meta: &Encoder, net: &Encoder, batch: Tokens) -> Tensor<1> {
    net.loss(batch)
}

multilevel! {
    struct Attention;
    level meta: Encoder { lower: [net], batch: Tokens, loss: readout, optimizer: sgd(lr = 0.1), tasks: 3 }
    level net: Encoder {
        start: from(meta), batch: Tokens, loss: read, optimizer: sgd(lr = 0.2, momentum = 0.5), unroll: 2,
        hypergradient: unrolled,
    }
}

/// A convolution, a batch norm, a pool and a linear layer.
#[derive(Module, Debug)]
struct Convolutional {
    convolution: Conv2d,
    norm: BatchNorm,
    pool: MaxPool2d,
    head: Linear,
}

/// A logarithm of a weight.
#[derive(Module, Debug)]
struct Weight {
    log: Param<Tensor<1>>,
}

impl Convolutional {
    fn new(device: &Device) -> Self {
        Convolutional {
            convolution: Conv2dConfig::new([1, 3], [3, 3]).init(device),
            norm: BatchNormConfig::new(3).init(device).into(),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            head: LinearConfig::new(12, 2).init(device),
        }
    }

    fn loss(&self, (images, labels): Images) -> Tensor<1> {
        let features = self.pool.forward(tanh(self.norm.forward(self.convolution.forward(images))));
        cross_entropy(self.head.forward(features.flatten::<2>(1, 3)), labels)
    }
}

type Images = (Tensor<4>, Tensor<1, Int>);

fn fit(net: &Convolutional, weight: &Weight, batch: Images) -> Tensor<1> {
    net.loss(batch) + net.head.weight.val().powi_scalar(2).sum() * weight.log.val().exp()
}

fn tune(weight: &Weight, top: &Weight, net: &Convolutional, batch: Images) -> Tensor<1> {
    net.loss(batch) + (weight.log.val() - top.log.val()).powi_scalar(2)
}

fn judge(top: &Weight, weight: &Weight, net: &Convolutional, batch: Images) -> Tensor<1> {
    net.loss(batch) + (weight.log.val() * top.log.val()).sin()
}

multilevel! {
    struct Chain;
    level top: Weight { lower: [weight, net], batch: Images, loss: judge, optimizer: sgd(lr = 1.0) }
    level weight: Weight {
        upper: [top], lower: [net], batch: Images, loss: tune, optimizer: sgd(lr = 0.2, momentum = 0.5), unroll: 3,
        hypergradient: unrolled,
    }
    level net: Convolutional {
        upper: [weight], batch: Images, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 2,
        hypergradient: unrolled,
    }
}

fn labels(count: usize) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new((0..count as i64).map(|k| k % 2).collect::<Vec<_>>(), [count]), &Device::flex())
}

/// Numbers that are the same in every run.
struct Random(StdRng);

impl Random {
    fn new(seed: u64) -> Self {
        Random(StdRng::seed_from_u64(seed))
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D], size: f32) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.0.random_range(-size..size)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }
}

impl ModuleMapper for Random {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = parameter.val().dims();
        Param::from_tensor(self.tensor(shape, 0.5))
    }
}

fn images(count: usize) -> Vec<Images> {
    let mut random = Random::new(9);
    (0..count).map(|_| (random.tensor([4, 1, 6, 6], 1.5), labels(4))).collect()
}

fn stream<B: Batch + Clone>(batches: Vec<B>) -> Stream<B> {
    Stream::epochs(move |_| batches.clone().into_iter().map(Ok::<_, io::Error>))
}

/// The last loss of the level above after three of its steps.
fn trained<P: Multilevel>(problem: P, data: P::Data, json: &str) -> f64 {
    let mut engine = Engine::new(problem, data, P::Config::from_json(json).unwrap()).unwrap();
    engine.run(3).unwrap().levels[0].loss.unwrap()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 5e-6 * expected.abs().max(1.0), "{found} is not {expected}");
}

const TOGETHER: &str = r#"{ "meta": { "vectorize": true } }"#;

#[test]
fn tasks_of_a_recurrent_network_are_the_same_together() {
    let device = &Device::flex();
    let net = |seed| Recurrent::new(2, 4, 2, device).map(&mut Random::new(seed));
    let (meta, net) = (net(1), net(2));
    let mut random = Random::new(9);
    let batches: Vec<Sequences> = (0..5).map(|_| (random.tensor([4, 3, 2], 1.5), labels(4))).collect();
    let run = |json| {
        let data = RecurrenceData { meta: stream(batches.clone()), net: stream(batches.clone()) };
        trained(Recurrence { meta: meta.clone(), net: net.clone() }, data, json)
    };
    assert_close(run(TOGETHER), run("{}"));
}

#[test]
fn tasks_of_an_attention_network_are_the_same_together() {
    let device = &Device::flex();
    let net = |seed| Encoder::new(1, 8, 5, 2, device).map(&mut Random::new(seed));
    let (meta, net) = (net(1), net(2));
    let tokens = |from: i64| -> Tensor<2, Int> {
        let values: Vec<i64> = (0..12).map(|k| (k * k + from) % 5).collect();
        Tensor::from_data(TensorData::new(values, [4, 3]), device)
    };
    let batches: Vec<Tokens> = (0..5).map(|from| (tokens(from), labels(4))).collect();
    let run = |json| {
        let data = AttentionData { meta: stream(batches.clone()), net: stream(batches.clone()) };
        trained(Attention { meta: meta.clone(), net: net.clone() }, data, json)
    };
    assert_close(run(TOGETHER), run("{}"));
}

/// Running statistics move in every step below steps, in reverse and forward.
#[test]
fn steps_on_steps_of_a_convolutional_network_are_the_same_both_ways() {
    let device = &Device::flex();
    let net = Convolutional::new(device);
    // Running statistics are no numbers to draw.
    let (convolution, head) = (net.convolution.map(&mut Random::new(1)), net.head.map(&mut Random::new(2)));
    let net = Convolutional { convolution, head, ..net };
    let batches = images(5);
    let run = |json| {
        let weight = |log: f32| Weight { log: Param::from_tensor(Tensor::from_data([log], device)) };
        let data =
            ChainData { top: stream(batches.clone()), weight: stream(batches.clone()), net: stream(batches.clone()) };
        trained(Chain { top: weight(-1.0), weight: weight(-2.0), net: net.clone() }, data, json)
    };
    let expected = run("{}");
    assert_close(run(r#"{ "weight": { "hypergradient": { "method": "forward" } } }"#), expected);
    assert_close(run(r#"{ "weight": { "hypergradient": { "method": "unrolled", "memory": 4 } } }"#), expected);
}

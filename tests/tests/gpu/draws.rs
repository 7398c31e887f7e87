//! Random draws are the same numbers on every device, bit for bit.

use betty_runtime::execute::Program;
use betty_runtime::graph::{Distribution, Graph};
use betty_runtime::{Derivatives, Engine, Stream, multilevel};
use betty_tests::devices::other;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{DType, Device, Tensor};

use crate::numbers;

/// The bits of draws of every kind under a seed.
fn drawn(device: &Device, dtype: DType, seed: u64) -> Vec<Vec<u8>> {
    let mut graph = Graph::new();
    let kinds = [Distribution::Bernoulli(0.3), Distribution::Uniform(-4.0, 6.0), Distribution::Normal(0.5, 3.0)];
    let draws = kinds.map(|kind| graph.random(&[7, 300], dtype, kind));
    let program = Program::new(&graph, &[], &draws, device);
    let bytes = program.run([], seed).into_iter().map(|value| value.to_data().unwrap().as_bytes().to_vec());
    bytes.collect()
}

#[test]
fn a_draw_is_the_same_number_everywhere() {
    let device = other();
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32] {
        if device.supports_dtype(dtype) {
            for seed in 0..3 {
                assert_eq!(drawn(&device, dtype, seed), drawn(&Device::flex(), dtype, seed), "{dtype:?} {seed}");
            }
        }
    }
}

#[derive(Module, Debug)]
struct Masked {
    x: Param<Tensor<2>>,
    dropout: Dropout,
}

fn sum(masked: &Masked, _batch: ()) -> Tensor<1> {
    masked.dropout.forward(masked.x.val()).sum()
}

#[test]
fn a_dropout_mask_is_the_same_everywhere() {
    // The gradient is the mask, with 2 in the place of 1.
    let mask = |device: &Device, seed| {
        let x = Param::from_tensor(Tensor::ones([40, 50], device));
        let masked = Masked { x, dropout: DropoutConfig::new(0.5).init() };
        let mut derivatives = Derivatives::of(sum, &masked, &()).unwrap();
        derivatives.seed(seed).gradient().unwrap().to_vec().unwrap()
    };
    for seed in 0..3 {
        let found = mask(&other(), seed);
        assert_eq!(found, mask(&Device::flex(), seed));
        assert!(found.contains(&0.0) && found.contains(&2.0));
    }
    assert_ne!(mask(&other(), 0), mask(&other(), 1));
}

#[test]
fn vectors_of_derivatives_are_the_same_everywhere() {
    let vectors = |device: &Device| {
        let module = Param::from_tensor(Tensor::<1>::ones([33], device));
        let like = Derivatives::of(square, &module, &()).unwrap().parameters();
        [like.normal(3).to_vec().unwrap(), like.signs(3).to_vec().unwrap()]
    };
    assert_eq!(vectors(&other()), vectors(&Device::flex()));
}

type Numbers = Param<Tensor<1>>;

fn square(x: &Numbers, _batch: ()) -> Tensor<1> {
    x.val().square().sum()
}

fn drawn_anew(device: &Device) -> Numbers {
    Param::from_tensor(Tensor::random([50], burn::tensor::Distribution::Normal(0.0, 1.0), device))
}

fn above(_upper: &Numbers, lower: &Numbers, target: Tensor<1>) -> Tensor<1> {
    (lower.val() - target).square().sum()
}

fn below(lower: &Numbers, upper: &Numbers, _batch: ()) -> Tensor<1> {
    (lower.val() - upper.val()).square().sum()
}

multilevel! {
    struct Fresh;
    level upper: Numbers { lower: [lower], batch: Tensor<1>, loss: above, optimizer: sgd(lr = 0.1) }
    // So short a step changes no number of 32 bits.
    level lower: Numbers {
        upper: [upper], batch: (), loss: below, optimizer: sgd(lr = 1e-30), start: fresh(drawn_anew), unroll: 2,
        hypergradient: unrolled,
    }
}

#[test]
fn fresh_starts_are_the_same_everywhere() {
    let started = |device: &Device| {
        let number = |phase| Tensor::<1>::from_floats(numbers(50, phase).as_slice(), device);
        let problem = Fresh { upper: Param::from_tensor(number(0.1)), lower: Param::from_tensor(number(0.2)) };
        let data = FreshData { upper: Stream::constant(number(0.3)), lower: Stream::constant(()) };
        let mut engine = Engine::new(problem, data, FreshConfig::default()).unwrap().seed(4);
        engine.run(2).unwrap();
        engine.into_problem().lower.val().into_data().try_to_vec::<f32>().unwrap()
    };
    let found = started(&other());
    assert_eq!(found, started(&Device::flex()));
    assert_ne!(found, numbers(50, 0.2));
}

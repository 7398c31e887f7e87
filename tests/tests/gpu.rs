//! CPU and CUDA agree; built and run by `tools/gpu-check` only.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use betty_runtime::execute::Value;
use betty_runtime::{Batch, Engine, HypergradientConfig, LevelModule, Precision, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};

const COUNT: usize = 32;

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    second: Linear,
}

#[derive(Module, Debug)]
struct Weights {
    logits: Param<Tensor<1>>,
}

#[derive(Batch, Clone, Debug)]
struct Examples {
    x: Tensor<2>,
    y: Tensor<1, Int>,
}

fn forward(model: &Mlp, x: Tensor<2>) -> Tensor<2> {
    model.second.forward(relu(model.first.forward(x)))
}

fn weighted(model: &Mlp, weights: &Weights, batch: Examples) -> Tensor<1> {
    let log = burn::tensor::activation::log_softmax(forward(model, batch.x), 1);
    let losses = log.gather(1, batch.y.reshape([COUNT, 1])).neg().reshape([COUNT]);
    (sigmoid(weights.logits.val()) * losses).mean()
}

fn clean(_weights: &Weights, model: &Mlp, batch: Examples) -> Tensor<1> {
    CrossEntropyLossConfig::new().init(&batch.x.device()).forward(forward(model, batch.x), batch.y)
}

multilevel! {
    struct Cleaning;
    level weights: Weights { lower: [model], batch: Examples, loss: clean, optimizer: adam(lr = 0.1) }
    level model: Mlp {
        upper: [weights], batch: Examples, loss: weighted, optimizer: sgd(lr = 0.1, momentum = 0.9),
        unroll: 3, hypergradient: cg(iterations = 5, damping = 1.0),
    }
}

/// A smooth sequence that is no pattern.
fn numbers(count: usize, phase: f64) -> Vec<f32> {
    (0..count).map(|i| ((i as f64 * 12.9898 + phase).sin() * 43_758.547).fract() as f32).collect()
}

fn placed<M: Module + 'static>(mut module: M, device: &Device) -> M {
    let leaves = module.leaves().into_iter().enumerate().map(|(i, leaf)| {
        let shape = leaf.value.shape();
        Value::from_data(TensorData::new(numbers(shape.iter().product(), i as f64), shape), device)
    });
    let values = leaves.collect();
    module.assign(values);
    module
}

fn examples(device: &Device, phase: f64) -> Examples {
    let labels: Vec<i64> = (0..COUNT as i64).map(|i| i % 4).collect();
    Examples {
        x: Tensor::from_data(TensorData::new(numbers(COUNT * 8, phase), [COUNT, 8]), device),
        y: Tensor::from_data(TensorData::new(labels, [COUNT]), device),
    }
}

fn trained(device: &Device, method: &HypergradientConfig, precision: Option<Precision>) -> Vec<f64> {
    let problem = Cleaning {
        weights: placed(Weights { logits: Param::from_tensor(Tensor::zeros([COUNT], device)) }, device),
        model: placed(
            Mlp { first: LinearConfig::new(8, 16).init(device), second: LinearConfig::new(16, 4).init(device) },
            device,
        ),
    };
    let data = CleaningData {
        weights: Stream::constant(examples(device, 0.1)),
        model: Stream::constant(examples(device, 0.2)),
    };
    let mut config = CleaningConfig::default();
    config.model.hypergradient = Some(method.clone());
    (config.weights.precision, config.model.precision) = (precision, precision);
    let mut engine = Engine::new(problem, data, config).unwrap();
    engine.run(3).unwrap();
    engine.gradient("weights").unwrap().gradient.to_vec().unwrap()
}

/// `‖x − y‖ / ‖y‖`
fn apart(x: &[f64], y: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut x.iter().zip(y).map(|(x, y)| x - y)) / norm(&mut y.iter().copied())
}

#[test]
fn products_in_16_bits_agree_on_cpu_and_cuda() {
    let mut method: HypergradientConfig = "minres".parse().unwrap();
    if let HypergradientConfig::Minres(minres) = &mut method {
        minres.damping = 1.0;
    }
    for precision in [Precision::Bf16, Precision::F16] {
        let cpu = trained(&Device::flex(), &method, Some(precision));
        let cuda = trained(&Device::cuda(0), &method, Some(precision));
        let relative = apart(&cuda, &cpu);
        println!("{precision:?}: relative difference {relative:.2e}");
        // Sums in another order round to another number of 8 bits, and a rectifier's input to the other side of 0.
        assert!(relative <= 5e-2, "{precision:?}: {relative:.2e}");
    }
}

#[test]
fn every_method_agrees_on_cpu_and_cuda() {
    for method in
        ["cg", "minres", "gmres", "neumann", "nystrom", "finite_difference", "penalty", "identity", "sama", "unrolled"]
    {
        let mut method: HypergradientConfig = method.parse().unwrap();
        // A network's Hessian curves downwards too, which these two do not take.
        match &mut method {
            HypergradientConfig::Cg(cg) => cg.damping = 1.0,
            HypergradientConfig::Nystrom(nystrom) => nystrom.damping = 1.0,
            HypergradientConfig::Penalty(penalty) => penalty.damping = 1.0,
            _ => {}
        }
        let cpu = trained(&Device::flex(), &method, None);
        let cuda = trained(&Device::cuda(0), &method, None);
        let relative = apart(&cuda, &cpu);
        println!("{}: relative difference {relative:.2e}", method.name());
        // f32 on both; the difference quotient loses half of the digits.
        let is_quotient = matches!(method.name(), "finite_difference" | "penalty" | "sama");
        let tolerance = if is_quotient { 1e-2 } else { 1e-3 };
        assert!(relative < tolerance, "{}: {relative:e}", method.name());
    }
}

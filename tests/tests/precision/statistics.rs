//! What a loss delivers beside its value, metrics and running statistics, comes from the pass that is rounded.

use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::{Engine, Measured, Precision, Stream, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};

use crate::model::{apart, drawn, tensor};

type Scale = Param<Tensor<1>>;

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    norm: BatchNorm,
    second: Linear,
}

fn loss(net: &Net, _scale: &Scale, x: Tensor<2>) -> Measured {
    let y = net.second.forward(net.norm.forward(net.first.forward(x)).tanh());
    let largest = y.clone().abs().max();
    Measured::new((y - 1.0).powi_scalar(2).mean()).with("largest", largest)
}

fn above(scale: &Scale, _net: &Net, x: Tensor<2>) -> Tensor<1> {
    (scale.val() * x.mean()).powi_scalar(2)
}

multilevel! {
    struct Normed;
    level scale: Scale { lower: [net], batch: Tensor<2>, loss: above, optimizer: sgd(lr = 0.1) }
    level net: Net {
        upper: [scale], batch: Tensor<2>, loss: loss, optimizer: sgd(lr = 0.1), unroll: 4, hypergradient: identity,
    }
}

/// Running statistics, and the metric.
fn trained(precision: Option<Precision>) -> (Vec<f64>, f64) {
    let device = Device::flex();
    let net = Net {
        first: drawn(LinearConfig::new(6, 5).init(&device), DType::F32),
        norm: BatchNormConfig::new(5).init(&device),
        second: drawn(LinearConfig::new(5, 2).init(&device), DType::F32),
    };
    let stream = || Stream::constant(tensor::<2>([16, 6], 4, DType::F32));
    let scale = Param::from_tensor(Tensor::ones([1], &device));
    let mut config = NormedConfig::default();
    config.net.precision = precision;
    let data = NormedData { scale: stream(), net: stream() };
    let engine = Engine::new(Normed { scale, net }, data, config).unwrap();
    let mut engine = engine.unread("scale", "net").unwrap().unread("net", "scale").unwrap();
    let metric = engine.run(1).unwrap().levels[1].metrics[0].1;
    let norm = &engine.problem().net.norm;
    let statistics = [norm.running_mean.value(), norm.running_var.value()];
    (statistics.into_iter().flat_map(|x| x.into_data().iter::<f64>().collect::<Vec<_>>()).collect(), metric)
}

#[test]
fn they_are_rounded_with_the_loss() {
    let (statistics, metric) = trained(None);
    // Two products lie before the metric, and steps between the passes.
    for (precision, tolerance) in [(Precision::Bf16, 1e-2), (Precision::F16, 1.5e-3)] {
        let (rounded, rounded_metric) = trained(Some(precision));
        let (gap, of_metric) = (apart(&rounded, &statistics), (rounded_metric - metric).abs() / metric);
        assert!(gap > 0.0 && gap <= tolerance, "{precision:?}: {gap:.1e}");
        assert!(of_metric > 0.0 && of_metric <= tolerance, "{precision:?}: {of_metric:.1e}");
    }
}

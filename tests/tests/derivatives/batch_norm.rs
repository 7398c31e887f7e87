//! Batch normalisation: ours against Burn's, in training and in inference.

use betty_runtime::nn::{BatchNorm, BatchNormConfig, RunningStatistic, inference, stopped};
use betty_runtime::trace::{AnyBatch, LevelModule, TraceError, trace};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{self, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::{close, distance, float, random};
use crate::models::drawn;
use crate::whole::{EXACT, Tolerances, cast, compare};

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    random(count, &mut StdRng::seed_from_u64(seed))
}

/// Random doubles.
fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    float(&numbers(shape.iter().product(), seed), &Device::flex(), DType::F64).reshape(shape)
}

/// Burn's layer with numbers that leave nothing at 0 or 1.
fn burn_norm(channels: usize) -> nn::BatchNorm {
    let device = Device::flex();
    let mut norm = cast(nn::BatchNormConfig::new(channels).with_momentum(0.3).init(&device), DType::F64);
    norm.gamma = Param::from_tensor(tensor([channels], 1) + 1.5);
    norm.beta = Param::from_tensor(tensor([channels], 2));
    norm.running_mean = burn::module::RunningState::new(tensor([channels], 3));
    norm.running_var = burn::module::RunningState::new(tensor([channels], 4) + 1.5);
    norm
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn statistics(norm: &BatchNorm) -> Vec<f64> {
    [host(norm.running_mean.value()), host(norm.running_var.value())].concat()
}

#[derive(Module, Debug)]
struct Net<N> {
    convolution: Conv2d,
    norm: N,
    head: Linear,
}

impl<N: Module> Net<N> {
    fn new(norm: N) -> Self {
        let device = Device::flex();
        let convolution = drawn(Conv2dConfig::new([1, 3], [2, 2]).init(&device), DType::F64);
        Net { convolution, norm, head: drawn(LinearConfig::new(12, 2).init(&device), DType::F64) }
    }

    fn loss(&self, x: Tensor<4>, norm: impl Fn(&N, Tensor<4>) -> Tensor<4>) -> Tensor<1> {
        let x = norm(&self.norm, self.convolution.forward(x)).tanh();
        self.head.forward(x.flatten::<2>(1, 3)).square().mean()
    }
}

#[test]
fn training_has_burns_gradient_and_exact_second_derivatives() {
    let ours = Net::new(BatchNorm::from(burn_norm(3)));
    let x = tensor([4, 1, 3, 3], 5);
    let gradient = compare("training", &ours, &x, EXACT, |net, x| net.loss(x, BatchNorm::forward));
    // Burn's own layer, eagerly.
    let burn = Net { norm: burn_norm(3), convolution: ours.convolution.clone(), head: ours.head.clone() }.train();
    let loss = burn.loss(x.autodiff(), nn::BatchNorm::forward);
    let gradients = loss.backward();
    let mut expected = Vec::new();
    expected.extend(host(burn.convolution.weight.grad(&gradients).unwrap()));
    expected.extend(host(burn.convolution.bias.as_ref().unwrap().grad(&gradients).unwrap()));
    expected.extend(host(burn.norm.gamma.grad(&gradients).unwrap()));
    expected.extend(host(burn.norm.beta.grad(&gradients).unwrap()));
    expected.extend(host(burn.head.weight.grad(&gradients).unwrap()));
    expected.extend(host(burn.head.bias.as_ref().unwrap().grad(&gradients).unwrap()));
    close("training", "gradient of Burn's layer", &gradient, &expected, 1e-12);
}

#[test]
fn a_module_that_is_stopped_is_constant_and_its_statistics_still_advance() {
    let (net, x) = (Net::new(BatchNorm::from(burn_norm(3))), tensor([4, 1, 3, 3], 5));
    let against = |net: &Net<BatchNorm>, teacher: Net<BatchNorm>, x: Tensor<4>| {
        (net.head.weight.val().sum() - teacher.loss(x, BatchNorm::forward)).square().sum()
    };
    // Differences see through what is stopped; Burn's own `detach` does not.
    let derivatives = Tolerances { differences: None, ..EXACT };
    let gradient = compare("stopped", &net, &x, derivatives, |net, x| against(net, stopped(net), x));
    let moves = gradient.iter().filter(|x| **x != 0.0).count();
    assert_eq!(moves, net.head.weight.shape().num_elements(), "only what is beside the teacher");
    let advances = |teacher: fn(&Net<BatchNorm>) -> Net<BatchNorm>| {
        let traced = trace("net", &AnyBatch::new(x.clone()), |tracer| {
            let net = tracer.module(0, &net);
            against(&net, teacher(&net), tracer.batch())
        });
        traced.unwrap().advances.into_iter().map(|(source, _)| source).collect::<Vec<_>>()
    };
    assert_eq!(advances(stopped), advances(Net::clone));
    assert_eq!(advances(stopped).len(), 2);
}

#[test]
fn every_rank_is_normalised() {
    let norm = BatchNorm::from(burn_norm(3));
    compare("rank 2", &norm, &tensor([5, 3], 6), EXACT, |norm, x| norm.forward(x).tanh().mean());
    compare("rank 3", &norm, &tensor([4, 3, 2], 6), EXACT, |norm, x| norm.forward(x).tanh().mean());
    compare("rank 5", &norm, &tensor([2, 3, 2, 1, 2], 6), EXACT, |norm, x| norm.forward(x).tanh().mean());
}

#[test]
fn outside_of_losses_it_is_burns_layer() {
    let (burn, ours) = (burn_norm(3).train(), BatchNorm::from(burn_norm(3)).train());
    for step in 0..4 {
        let x = tensor([4, 3, 2], 10 + step).autodiff();
        let (expected, found) = (burn.forward(x.clone()), ours.forward(x));
        assert_eq!(host(expected.inner()), host(found.inner()), "step {step}");
    }
    let expected = [host(burn.running_mean.value_sync()), host(burn.running_var.value_sync())].concat();
    assert_eq!(statistics(&ours), expected);
    let x = tensor([4, 3, 2], 20);
    assert_eq!(host(burn.valid().forward(x.clone())), host(ours.valid().forward(x)));
}

#[test]
fn inference_reads_the_statistics_and_leaves_them() {
    let net = Net::new(BatchNorm::from(burn_norm(3)));
    let x = tensor([4, 1, 3, 3], 5);
    let gradient = compare("inference", &net, &x, EXACT, |net, x| inference(net).loss(x, BatchNorm::forward));
    // A module whose flags are disabled from the start, ours and Burn's; `Module::train` would enable them again.
    let recorded = Tolerances { eager: None, ..EXACT };
    let valid = compare("valid", &net.valid(), &x, recorded, |net, x| net.loss(x, BatchNorm::forward));
    let burn = Net { norm: burn_norm(3), convolution: net.convolution.clone(), head: net.head.clone() };
    let of_burn = compare("burn, valid", &burn.valid(), &x, recorded, |net, x| net.loss(x, nn::BatchNorm::forward));
    assert!(distance(&gradient, &valid) <= 1e-14 && distance(&gradient, &of_burn) <= 1e-14);
    let training = compare("training", &net, &x, EXACT, |net, x| net.loss(x, BatchNorm::forward));
    assert!(distance(&gradient, &training) > 0.1);
    let traced = trace("net", &AnyBatch::new(x), |tracer| {
        inference(&tracer.module(0, &net)).loss(tracer.batch(), BatchNorm::forward)
    });
    assert!(traced.unwrap().advances.is_empty());
}

#[test]
fn burns_own_layer_in_training_is_refused_with_a_remedy() {
    let net = Net::new(burn_norm(3));
    let error = trace("net", &AnyBatch::new(tensor([4, 1, 3, 3], 5)), |tracer| {
        tracer.module(0, &net).loss(tracer.batch(), nn::BatchNorm::forward)
    });
    let error = error.expect_err("it moves its statistics to the device of its input");
    assert!(matches!(error, TraceError::MovesDevice { .. }), "{error}");
    assert!(error.to_string().contains("betty_runtime::nn::BatchNorm"), "{error}");
}

#[test]
fn records_and_conversions_keep_everything() {
    let burn = burn_norm(3);
    let other = BatchNormConfig::new(3).with_momentum(0.3).init(&Device::flex());
    let loaded = cast(other, DType::F64).load_record(burn.clone().into_record());
    let ours = BatchNorm::from(burn.clone());
    assert_eq!(statistics(&loaded), statistics(&ours));
    assert_eq!(host(loaded.gamma.val()), host(burn.gamma.val()));
    let back =
        cast(nn::BatchNormConfig::new(3).init(&Device::flex()), DType::F64).load_record(ours.clone().into_record());
    assert_eq!([host(back.running_mean.value()), host(back.running_var.value())].concat(), statistics(&ours));
    let round = BatchNorm::from(nn::BatchNorm::from(ours.clone()));
    let paths = |norm: &BatchNorm| norm.leaves().into_iter().map(|leaf| (leaf.path, leaf.id)).collect::<Vec<_>>();
    assert_eq!(paths(&round), paths(&ours));
    assert_eq!((round.momentum, round.epsilon, statistics(&round)), (0.3, 1e-5, statistics(&ours)));
    assert_eq!(ours.leaves().iter().filter(|leaf| leaf.trainable).count(), 2, "statistics are not trained");
}

#[test]
fn a_traced_module_stays_as_it_was() {
    let norm = BatchNorm::from(burn_norm(3));
    let (before, clone) = (statistics(&norm), norm.clone());
    let traced = trace("norm", &AnyBatch::new(tensor([4, 3], 5)), |tracer| {
        tracer.module(0, &norm).forward(tracer.batch::<Tensor<2>>()).square().mean()
    });
    assert_eq!(traced.unwrap().advances.len(), 2);
    assert_eq!(statistics(&norm), before);
    // Clones share one value, as Burn's do; a mapped copy has its own.
    clone.running_mean.advance(Tensor::zeros([3], (&Device::flex(), DType::F64)));
    assert_eq!(host(norm.running_mean.value()), [0.0; 3]);
    let mapped = cast(norm.clone(), DType::F32);
    mapped.running_mean.advance(Tensor::ones([3], &Device::flex()));
    assert_eq!(host(norm.running_mean.value()), [0.0; 3]);
}

#[test]
fn only_a_statistic_can_be_advanced() {
    let parameter = Param::from_tensor(tensor([3], 5));
    let error = trace("level", &AnyBatch::new(()), |tracer| {
        let x = tracer.module(0, &parameter).val();
        RunningStatistic::new(x.clone() * 2.0).advance(x.clone());
        x.sum()
    });
    assert!(matches!(error, Err(TraceError::Unsupported { .. })), "a product is no tensor of a module");
}

#[test]
fn single_precision_agrees_with_burn() {
    let net = cast(Net::new(BatchNorm::from(burn_norm(3))), DType::F32);
    let x = tensor::<4>([4, 1, 3, 3], 5).cast(DType::F32);
    let single = Tolerances { recorded: Some(1e-5), eager: Some(1e-5), differences: None, ..EXACT };
    compare("single", &net, &x, single, |net, x| net.loss(x, BatchNorm::forward));
}

//! Whole models: an MLP, a CNN with batch norm, a transformer and an LSTM, all in double precision.

use betty_runtime::linalg::{MinresOptions, RitzValue};
use betty_runtime::nn::{BatchNorm, BatchNormConfig};
use betty_runtime::trace::{Batch, TraceError};
use betty_runtime::{Derivatives, DerivativesError, ParameterVector};
use betty_tests::models::{Encoder, Recurrent, cross_entropy};
use burn::module::{Module, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{self, Linear, LinearConfig};
use burn::tensor::activation::{gelu, tanh};
use burn::tensor::{Int, Tensor};

use crate::reference::{
    Matrix, apply, burn_gradient, device, distance, drawn, eigenvalues, eigenvalues_above, labels, random, solved,
};

pub(crate) type Labelled = (Tensor<2>, Tensor<1, Int>);

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) first: Linear,
    pub(crate) second: Linear,
}

impl Mlp {
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(tanh(self.first.forward(x)))
    }
}

/// Three inputs, five hidden units, three classes.
pub(crate) fn hidden_layer() -> Mlp {
    let linear = |from, to| LinearConfig::new(from, to).init(&device());
    drawn(Mlp { first: linear(3, 5), second: linear(5, 3) }, 1)
}

#[derive(Module, Debug)]
struct Cnn {
    first: Conv2d,
    norm: BatchNorm,
    second: Conv2d,
    head: Linear,
}

impl Cnn {
    fn new() -> Self {
        Cnn {
            first: Conv2dConfig::new([1, 3], [3, 3]).init(&device()),
            norm: BatchNormConfig::new(3).init(&device()),
            second: Conv2dConfig::new([3, 2], [2, 2]).with_stride([2, 2]).init(&device()),
            head: LinearConfig::new(8, 3).init(&device()),
        }
    }

    fn loss(&self, (images, labels): (Tensor<4>, Tensor<1, Int>)) -> Tensor<1> {
        let hidden = gelu(self.norm.forward(self.first.forward(images)));
        cross_entropy(self.head.forward(self.second.forward(hidden).flatten(1, 3)), labels)
    }
}

/// Everything against something independent.
fn check<M: Module + 'static, B: Batch>(name: &str, model: &M, batch: &B, loss: impl Fn(&M, B) -> Tensor<1> + Copy) {
    let gradient_at = |theta: &ParameterVector| {
        let moved = theta.put_into(model.clone()).unwrap();
        burn_gradient(&moved, |model| loss(model, batch.clone())).to_vec().unwrap()
    };
    let mut derivatives = Derivatives::of(loss, model, batch).unwrap();
    let theta = derivatives.parameters();
    let gap = distance(&derivatives.gradient().unwrap().to_vec().unwrap(), &gradient_at(&theta));
    assert!(gap < 1e-12, "{name}: the gradient is Burn's but for {gap:e}");

    let mut hessian = derivatives.hessian().unwrap();
    let v = theta.normal(3).scaled(0.1);
    let product = hessian.product(&v).unwrap();
    let quotient = |h: f64| {
        let at = |h: f64| {
            let mut moved = theta.clone();
            moved.add_scaled(h, &v).unwrap();
            gradient_at(&moved)
        };
        at(h).iter().zip(at(-h)).map(|(x, y)| (x - y) / (2.0 * h)).collect::<Vec<f64>>()
    };
    // Richardson's extrapolation: what is left is of order h⁴.
    let (fine, coarse) = (quotient(1e-3), quotient(2e-3));
    let extrapolated: Vec<f64> = fine.iter().zip(&coarse).map(|(x, y)| (4.0 * x - y) / 3.0).collect();
    let gap = distance(&product.to_vec().unwrap(), &extrapolated);
    assert!(gap < 1e-8, "{name}: the product is the difference of Burn's gradients but for {gap:e}");

    let matrix = hessian.matrix(1000).unwrap();
    let gap = distance(&apply(&matrix, &v.to_vec().unwrap()), &product.to_vec().unwrap());
    assert!(gap < 1e-12, "{name}: the matrix is that of products but for {gap:e}");
    let transposed: Matrix = (0..matrix.len()).map(|j| matrix.iter().map(|row| row[j]).collect()).collect();
    let gap = distance(&matrix.concat(), &transposed.concat());
    assert!(gap < 1e-12, "{name}: the matrix is symmetric but for {gap:e}");
    check_ends(name, &matrix, &hessian.eigenvalues(60, 5).unwrap());

    let right = theta.normal(9);
    let damping = 0.3;
    let options = MinresOptions { iterations: 600, tolerance: 1e-9, damping };
    let solution = hessian.minres(&right, &options).unwrap();
    let gap = distance(&solution.x.to_vec().unwrap(), &solved(&matrix, damping, &right.to_vec().unwrap()));
    assert!(gap < 1e-6, "{name}: the solution is that of elimination but for {gap:e}");
    let trace = hessian.trace(20, 1).unwrap();
    let exact: f64 = (0..matrix.len()).map(|i| matrix[i][i]).sum();
    assert!((trace.value - exact).abs() < 4.0 * trace.error, "{name}: {} ± {}, {exact}", trace.value, trace.error);
}

fn check_ends(name: &str, matrix: &Matrix, found: &betty_runtime::Eigenvalues) {
    let RitzValue { value: top, error: top_error, .. } = found.largest();
    let RitzValue { value: bottom, error: bottom_error, .. } = found.smallest();
    assert!(top_error < 1e-6 * top && bottom_error < 1e-4 * top, "{name}: {top_error:e} {bottom_error:e}");
    let (n, room) = (matrix.len(), 1e-9 * top);
    let above = |shift: f64| eigenvalues_above(matrix, shift);
    assert_eq!((above(top + top_error + room), above(bottom - bottom_error - room)), (0, n), "{name}");
    assert!(above(top - top_error - room) >= 1 && above(bottom + bottom_error + room) < n, "{name}");
    if n <= 100 {
        let all = eigenvalues(matrix);
        assert!(
            (all[n - 1] - top).abs() <= top_error + room && (all[0] - bottom).abs() <= bottom_error + room,
            "{name}"
        );
    }
}

#[test]
fn a_perceptron() {
    let batch = (random([7, 3], 2), labels(3, 7));
    check("perceptron", &hidden_layer(), &batch, |net, (x, y): Labelled| cross_entropy(net.forward(x), y));
}

#[test]
fn a_convolutional_network_with_batch_norm() {
    let batch = (random([4, 1, 6, 6], 2), labels(3, 4));
    let net = drawn(Cnn::new(), 1);
    let statistics = net.norm.running_mean.value().into_data();
    check("convolutional network", &net, &batch, Cnn::loss);
    // Burn's own pass moves running statistics, ours do not: before any eager pass they are what they were.
    let fresh = drawn(Cnn::new(), 1);
    let mut derivatives = Derivatives::of(Cnn::loss, &fresh, &batch).unwrap();
    derivatives.gradient().unwrap();
    assert_eq!(fresh.norm.running_mean.value().into_data(), statistics);
    // Another network of the kind, with statistics and identifiers of its own, is not recorded again.
    derivatives.at(&drawn(Cnn::new(), 2)).unwrap().gradient().unwrap();
    assert_eq!(derivatives.recordings(), 1);
}

/// A network with the layer of Burn's.
#[derive(Module, Debug)]
struct Normed {
    first: Linear,
    norm: nn::BatchNorm,
    second: Linear,
}

impl Normed {
    /// With statistics that leave nothing at 0 or 1.
    fn new(channels: usize) -> Self {
        let linear = |from, to| LinearConfig::new(from, to).init(&device());
        let mut norm = nn::BatchNormConfig::new(channels).init(&device());
        norm.running_mean = RunningState::new(random([channels], 6));
        norm.running_var = RunningState::new(random([channels], 7) + 1.5);
        drawn(Normed { first: linear(3, channels), norm, second: linear(channels, 3) }, 1)
    }

    fn loss(&self, (x, y): Labelled) -> Tensor<1> {
        cross_entropy(self.second.forward(tanh(self.norm.forward(self.first.forward(x)))), y)
    }

    /// The layer in inference, written out.
    fn by_hand(&self, (x, y): Labelled, [mean, variance]: [Tensor<1>; 2]) -> Tensor<1> {
        let row = |vector: Tensor<1>| vector.unsqueeze::<2>();
        let normed = (self.first.forward(x) - row(mean)) / row((variance + self.norm.epsilon).sqrt());
        let normed = normed * row(self.norm.gamma.val()) + row(self.norm.beta.val());
        cross_entropy(self.second.forward(tanh(normed)), y)
    }

    fn statistics(&self) -> [Tensor<1>; 2] {
        [self.norm.running_mean.value_sync(), self.norm.running_var.value_sync()]
    }
}

#[test]
fn burns_batch_norm_keeps_its_statistics() {
    let batch = (random([7, 3], 2), labels(3, 7));
    for channels in [1, 4] {
        let training = Normed::new(channels);
        let (net, other) = (training.valid(), Normed::new(channels).valid());
        let expected = net.statistics();
        let mut derivatives = Derivatives::of(Normed::loss, &net, &batch).unwrap();
        let found = derivatives.gradient().unwrap();
        let by_hand = |net: &Normed| {
            let on_tape = |tensor: Tensor<1>| tensor.autodiff();
            let (x, y) = batch.clone();
            net.by_hand((x.autodiff(), y.autodiff()), expected.clone().map(on_tape))
        };
        let gap = distance(&found.to_vec().unwrap(), &burn_gradient(&net, by_hand).to_vec().unwrap());
        assert!(gap < 1e-12, "{channels}: the gradient is Burn's but for {gap:e}");
        derivatives.at(&other).unwrap().gradient().unwrap();
        // One that trains is refused, and is what it was.
        let refused = Derivatives::of(Normed::loss, &training, &batch).map(drop).unwrap_err();
        assert!(matches!(refused, DerivativesError::Trace(TraceError::MovesDevice { .. })), "{refused}");
        for module in [&training, &net, &other] {
            assert_eq!(
                module.statistics().map(Tensor::into_data),
                expected.clone().map(Tensor::into_data),
                "{channels}"
            );
        }
    }
}

#[test]
fn a_transformer() {
    let tokens = Tensor::<1, Int>::from_ints([0, 3, 1, 4, 2, 0, 1, 1, 4, 3], &device()).reshape([2, 5]);
    let encoder = drawn(Encoder::new(1, 4, 5, 3, &device()), 1);
    check("transformer", &encoder, &(tokens, labels(3, 2)), Encoder::loss);
}

#[test]
fn an_lstm() {
    let net = drawn(Recurrent::new(2, 3, 3, &device()), 1);
    check("lstm", &net, &(random([3, 4, 2], 2), labels(3, 3)), Recurrent::loss);
}

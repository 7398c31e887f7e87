//! Random networks and random graphs.

use std::cell::RefCell;

use burn::tensor::activation::{leaky_relu, log_softmax, relu, sigmoid, silu, softplus};
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Int, Tensor};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::harness::{Input, Options, SingleErrors, check_single, flat};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Activation {
    Relu,
    LeakyRelu,
    Tanh,
    Sigmoid,
    Softplus,
    Silu,
    Square,
}

impl Activation {
    fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Activation::Relu => relu(x),
            Activation::LeakyRelu => leaky_relu(x, 0.1),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(x),
            Activation::Softplus => softplus(x, 1.0),
            Activation::Silu => silu(x),
            Activation::Square => x.powi_scalar(2),
        }
    }

    fn rough(self) -> bool {
        matches!(self, Activation::Relu | Activation::LeakyRelu)
    }
}

fn activation() -> impl Strategy<Value = Activation> {
    use Activation::*;
    prop::sample::select(vec![Relu, LeakyRelu, Tanh, Sigmoid, Softplus, Silu, Square])
}

#[derive(Clone, Copy, Debug)]
enum Loss {
    SquaredError,
    CrossEntropy,
    Logistic,
    Nothing,
}

impl Loss {
    fn apply(self, x: Tensor<2>, classes: Tensor<1, Int>, target: Tensor<2>) -> Tensor<1> {
        match self {
            Loss::SquaredError => (x - target).powi_scalar(2).mean(),
            Loss::CrossEntropy => -log_softmax(x, 1).gather(1, classes.unsqueeze_dim::<2>(1)).mean(),
            Loss::Logistic => (x.clone().clamp_min(0.0) - x.clone() * target + (-x.abs()).exp().log1p()).mean(),
            Loss::Nothing => flat(x),
        }
    }
}

fn loss() -> impl Strategy<Value = Loss> {
    prop::sample::select(vec![Loss::SquaredError, Loss::CrossEntropy, Loss::Logistic, Loss::Nothing])
}

fn options(activations: &[Activation], loss: Loss, rough: bool) -> Options {
    let rough = rough || matches!(loss, Loss::Logistic) || activations.iter().any(|activation| activation.rough());
    // Gradients of random networks can be small differences of large terms.
    Options { rough, against_double: true, ..Options::default() }
}

fn parameter(shape: &[usize]) -> Input {
    Input::Parameter(shape.to_vec(), -0.8, 0.9)
}

/// Checks `network` on random draws, always the same ones, and judges the gradients in single precision all together.
///
/// A gradient can be a small difference of large terms; then any two orders of summation differ by more than 1e-6, and
/// whose is nearer to the exact one is luck. So one draw is held against what rounding its numbers once more would do, and
/// the comparison with Burn is one of all draws.
fn over_draws<S: Strategy>(draws: S, network: impl Fn(S::Value) -> Option<SingleErrors>) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let errors = RefCell::new(Vec::new());
    let run = runner.run(&draws, |draw| {
        let SingleErrors { ours, burn, sensitivity } = network(draw).unwrap();
        let allowed = (AMPLIFICATION * sensitivity).max(EQUAL / 2.0);
        assert!(ours <= allowed, "{ours:.1e} from the exact gradient, Burn's {burn:.1e}, allowed {allowed:.1e}");
        errors.borrow_mut().push((ours, burn));
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
    let errors = errors.into_inner();
    let count = errors.len() as f64;
    // Both within half of 1e-6 of the exact gradient: equal to 1e-6.
    let equal = errors.iter().filter(|(ours, burn)| ours.max(*burn) <= EQUAL / 2.0).count() as f64;
    let mean =
        |of: fn(&(f64, f64)) -> f64| (errors.iter().map(|pair| of(pair).max(1e-9).ln()).sum::<f64>() / count).exp();
    let (ours, burn) = (mean(|pair| pair.0), mean(|pair| pair.1));
    println!("of {count} draws {equal} equal; geometric mean of the error {ours:.2e}, of Burn's {burn:.2e}");
    assert!(equal >= 0.85 * count, "only {equal} of {count} gradients equal Burn's to {EQUAL:.0e}");
    assert!(ours <= 1.15 * burn, "errors are {ours:.2e} in the mean, Burn's {burn:.2e}");
}

/// Draws of each kind of network.
const CASES: u32 = 48;

/// How well gradients in single precision agree with Burn's, relative to the norm of the whole gradient.
const EQUAL: f64 = 1e-6;

/// By how much a computation of some dozen roundings may exceed the effect of one; of 1600 draws, the worst was 55, and
/// 40 of Burn's.
const AMPLIFICATION: f64 = 100.0;

#[test]
fn random_perceptrons() {
    let draws = (
        prop::collection::vec(1_usize..6, 2..5),
        prop::collection::vec(activation(), 4),
        loss(),
        1_usize..5,
        any::<bool>(),
    );
    over_draws(draws, |(widths, activations, loss, batch, biased)| {
        let layers = widths.len() - 1;
        let mut inputs = vec![
            Input::Data(vec![batch, widths[0]], -1.0, 1.1),
            Input::Data(vec![batch, widths[layers]], 0.0, 1.0),
            Input::Indices(vec![batch], widths[layers]),
        ];
        for layer in 0..layers {
            inputs.push(parameter(&[widths[layer], widths[layer + 1]]));
            if biased {
                inputs.push(parameter(&[1, widths[layer + 1]]));
            }
        }
        let used = &activations[..layers - 1];
        check_single("perceptron", &inputs, options(used, loss, false), |a| {
            let mut h = a.data::<2>(0);
            let each = if biased { 2 } else { 1 };
            for layer in 0..layers {
                h = h.matmul(a.x::<2>(each * layer));
                if biased {
                    h = h + a.x::<2>(each * layer + 1);
                }
                if let Some(activation) = used.get(layer) {
                    h = activation.apply(h);
                }
            }
            loss.apply(h, a.indices::<1>(0), a.data::<2>(1))
        })
    });
}

#[test]
fn random_convolutional_networks() {
    let pair = |range: std::ops::Range<usize>| (range.clone(), range);
    let draws = (
        (1_usize..3, 1_usize..3, 1_usize..3),
        1_usize..3,
        pair(5..8),
        (pair(1..4), pair(1..3), (pair(0..2), pair(0..2)), pair(1..3)),
        0_usize..3,
        prop::collection::vec(activation(), 2),
        loss(),
    );
    over_draws(draws, |(channels, groups, size, (kernel, stride, padding, dilation), pool, activations, loss)| {
        let (from, middle, to) = (channels.0 * groups, channels.1 * groups, channels.2);
        let convolution = ConvOptions {
            stride: [stride.0, stride.1],
            padding: [padding.0, padding.1],
            dilation: [dilation.0, dilation.1],
            groups,
        };
        let inputs = [
            Input::Data(vec![2, from, size.0, size.1], -1.0, 1.1),
            Input::Data(vec![2, to], 0.0, 1.0),
            Input::Indices(vec![2], to),
            parameter(&[middle, from / groups, kernel.0, kernel.1]),
            parameter(&[middle]),
            parameter(&[to, middle, 1, 1]),
        ];
        check_single("convolutional network", &inputs, options(&activations, loss, pool == 1), |a| {
            let h = conv2d(a.data::<4>(0), a.x::<4>(0), Some(a.x::<1>(1)), convolution.clone());
            let h = activations[0].apply(h);
            let h = match pool {
                0 => h,
                1 => max_pool2d(h, MaxPoolOptions::new([2, 2]).with_stride([1, 1]).with_padding([1, 1])),
                _ => avg_pool2d(h, AvgPoolOptions::new([2, 2]).with_stride([1, 1]).with_padding([1, 1])),
            };
            let h = conv2d(h, a.x::<4>(2), None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
            let h = activations[1].apply(h).mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
            loss.apply(h, a.indices::<1>(0), a.data::<2>(1))
        })
    });
}

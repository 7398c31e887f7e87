//! Random networks and random graphs.

use burn::tensor::activation::{leaky_relu, log_softmax, relu, sigmoid, silu, softplus};
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Int, Tensor};
use proptest::prelude::*;

use crate::harness::{Input, Options, check, flat};

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
    Options { rough, f32_gradient: Some(1e-5), ..Options::default() }
}

fn parameter(shape: &[usize]) -> Input {
    Input::Parameter(shape.to_vec(), -0.8, 0.9)
}

fn configuration() -> ProptestConfig {
    ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn random_perceptrons(
        widths in prop::collection::vec(1_usize..6, 2..5),
        activations in prop::collection::vec(activation(), 4),
        loss in loss(),
        batch in 1_usize..5,
        biased in any::<bool>(),
    ) {
        let layers = widths.len() - 1;
        let mut inputs = vec![Input::Data(vec![batch, widths[0]], -1.0, 1.1), Input::Data(vec![batch, widths[layers]], 0.0, 1.0)];
        inputs.push(Input::Indices(vec![batch], widths[layers]));
        for layer in 0..layers {
            inputs.push(parameter(&[widths[layer], widths[layer + 1]]));
            if biased {
                inputs.push(parameter(&[1, widths[layer + 1]]));
            }
        }
        let used = &activations[..layers - 1];
        check("perceptron", &inputs, options(used, loss, false), |a| {
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
        });
    }

    #[test]
    fn random_convolutional_networks(
        channels in (1_usize..3, 1_usize..3, 1_usize..3),
        groups in 1_usize..3,
        size in (5_usize..8, 5_usize..8),
        kernel in (1_usize..4, 1_usize..4),
        stride in (1_usize..3, 1_usize..3),
        padding in ((0_usize..2, 0_usize..2), (0_usize..2, 0_usize..2)),
        dilation in (1_usize..3, 1_usize..3),
        pool in 0_usize..3,
        activations in prop::collection::vec(activation(), 2),
        loss in loss(),
    ) {
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
        check("convolutional network", &inputs, options(&activations, loss, pool == 1), |a| {
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
        });
    }
}

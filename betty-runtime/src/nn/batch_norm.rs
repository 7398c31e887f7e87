//! Batch normalisation whose running statistics advance in the recorded graph.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Flag, Module, ModuleDisplay, Param};
use burn::nn;
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{DType, Device, Tensor};

use super::RunningStatistic;
use crate::graph::accumulator;
use crate::trace::moments;

/// Settings of a [`BatchNorm`], the same as those of Burn's.
#[derive(Config, Debug)]
pub struct BatchNormConfig {
    /// Number of channels, at least 1: the size of the input's second dimension.
    pub num_features: usize,
    /// Added to the variance before the square root; finite and positive.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Weight of the newest batch in the running statistics, in `[0, 1]`.
    #[config(default = 0.1)]
    pub momentum: f64,
}

/// Batch normalisation of `[batch, channels, …]`, per channel: `y = γ·(x − mean)/√(variance + ε) + β`.
///
/// In training, mean and (biased) variance are those of the batch, and derivatives of every order go through them; the
/// running statistics become `(1 − momentum)·running + momentum·batch`. In inference, the running statistics take their
/// place and stay as they are.
///
/// Statistics of an input of 16 bits are formed in `f32`.
///
/// Where ranks share the examples of a batch ([`distributed`](crate::distributed)), the batch is that of all ranks.
///
/// Names, parameters and records are those of Burn's `BatchNorm`, and the two convert into each other. Burn's cannot be
/// recorded in training because it moves its statistics to the input's device. As Burn's, the layer trains where its
/// input is on an autodiff device and its `training` flag is enabled; `Module::valid`, `Module::freeze` and
/// [`inference`](super::inference) disable the flag.
///
/// Source: [Ioffe and Szegedy 2015](https://arxiv.org/abs/1502.03167).
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BatchNorm {
    /// The scale γ, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// The shift β, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Whether the layer may train.
    pub training: Param<Flag>,
    /// The running mean, `[channels]`.
    pub running_mean: RunningStatistic<1>,
    /// The running biased variance, `[channels]`.
    pub running_var: RunningStatistic<1>,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance before the square root.
    pub epsilon: f64,
}

impl BatchNormConfig {
    /// A layer with γ = 1, β = 0, running mean 0 and running variance 1.
    ///
    /// # Panics
    /// As Burn's: when a setting is out of its range.
    pub fn init(&self, device: &Device) -> BatchNorm {
        let burn = nn::BatchNormConfig::new(self.num_features).with_epsilon(self.epsilon).with_momentum(self.momentum);
        burn.init(device).into()
    }
}

impl BatchNorm {
    /// Normalises `input`, of shape `[batch, channels, …]`.
    ///
    /// # Panics
    /// As Burn's: when the rank is below 2 or the second dimension has another size than γ. While a loss is recorded,
    /// this becomes a `TraceError`.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        if input.device().is_autodiff() && self.training.is_enabled() {
            return self.train_on(input);
        }
        let device = input.device();
        let (mean, variance) = (self.running_mean.value(), self.running_var.value());
        let (mean, variance) = (moved(mean, &device), moved(variance, &device));
        batch_norm(input, self.gamma.val(), self.beta.val(), mean, variance, self.epsilon)
    }

    fn train_on<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let (device, dtype) = (input.device(), input.dtype());
        let (gamma, beta) = (wide(self.gamma.val()), wide(self.beta.val()));
        let batch = batch_norm_train(wide(input), gamma, beta, self.epsilon);
        moments(&batch.mean, &batch.variance);
        for (running, batch) in [(&self.running_mean, batch.mean), (&self.running_var, batch.variance)] {
            let old = moved(running.value(), &device);
            let kept = old.dtype();
            running.advance(in_type(wide(old) * (1.0 - self.momentum) + batch * self.momentum, kept));
        }
        in_type(batch.output, dtype)
    }
}

/// The tensor in the type in which statistics are formed: the square of 256 is no number of f16.
fn wide<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = accumulator(x.dtype());
    in_type(x, dtype)
}

fn in_type<const D: usize>(x: Tensor<D>, dtype: DType) -> Tensor<D> {
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}

/// The tensor on another device; on the same one it is left alone, since a recording knows no transfers.
fn moved(tensor: Tensor<1>, device: &Device) -> Tensor<1> {
    if tensor.device().without_autodiff() == device.clone().without_autodiff() {
        return tensor;
    }
    tensor.to_device(device)
}

impl ModuleDisplay for BatchNorm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [num_features] = self.beta.shape().dims();
        let content = content.add("num_features", &num_features).add("momentum", &self.momentum);
        content.add("epsilon", &self.epsilon).optional()
    }
}

impl From<nn::BatchNorm> for BatchNorm {
    fn from(burn: nn::BatchNorm) -> Self {
        BatchNorm {
            gamma: burn.gamma,
            beta: burn.beta,
            training: burn.training,
            running_mean: burn.running_mean.into(),
            running_var: burn.running_var.into(),
            momentum: burn.momentum,
            epsilon: burn.epsilon,
        }
    }
}

impl From<BatchNorm> for nn::BatchNorm {
    fn from(ours: BatchNorm) -> Self {
        nn::BatchNorm {
            gamma: ours.gamma,
            beta: ours.beta,
            training: ours.training,
            running_mean: ours.running_mean.into(),
            running_var: ours.running_var.into(),
            momentum: ours.momentum,
            epsilon: ours.epsilon,
        }
    }
}

//! Ordinary training with Burn's autodiff, for comparison.

use std::ops::ControlFlow;

use betty_examples::data::{Batches, Dataset};
use betty_examples::failure::Failure;
use betty_runtime::{Hyperparameter, OptimizerConfig};
use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdaGradConfig, AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, RmsPropConfig, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::model::Mlp;
use crate::problem::{NoisyBatch, weighted_mean};

/// What is trained, and how long.
pub(crate) struct Baseline<'a> {
    /// The examples.
    pub(crate) examples: &'a Dataset,
    /// How much each of them counts; without, all the same.
    pub(crate) weights: Option<&'a [f64]>,
    /// Which of them make a step.
    pub(crate) batches: Batches,
    /// The optimizer.
    pub(crate) optimizer: &'a OptimizerConfig,
    /// Steps.
    pub(crate) steps: u64,
}

impl Baseline<'_> {
    /// Trains `classifier` and shows it to `watch` after every step, until that breaks off; answers whether it did.
    ///
    /// # Errors
    /// Those of `watch`.
    pub(crate) fn train(
        &self,
        classifier: Mlp,
        device: &Device,
        mut watch: impl FnMut(u64, &Mlp) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<ControlFlow<()>, Failure> {
        let device = device.clone().autodiff();
        let mut classifier = classifier.to_device(&device).train();
        let mut optimizer = self.optimizer();
        let weights = self.weights.map(|weights| Tensor::<1>::from_data(TensorData::from(weights), &device));
        let batches = NoisyBatch::of(self.examples.to_device(&device), self.batches.endless());
        for (step, NoisyBatch { images, labels, indices }) in (1..=self.steps).zip(batches) {
            let losses = classifier.losses(images, labels);
            let loss = match &weights {
                None => losses.mean(),
                Some(weights) => weighted_mean(losses, weights.clone().select(0, indices)),
            };
            let gradients = loss.backward();
            let gradients = GradientsParams::from_grads(gradients, &classifier);
            classifier = optimizer.step(number(self.optimizer.lr()), classifier, gradients);
            if watch(step, &classifier)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Burn's optimizer with the configured numbers.
    fn optimizer(&self) -> ModuleOptimizer {
        let decay = |penalty: &Hyperparameter| {
            let penalty = number(penalty);
            (penalty > 0.0).then(|| WeightDecayConfig::new(penalty as f32))
        };
        match self.optimizer {
            OptimizerConfig::Sgd(sgd) => {
                let momentum = MomentumConfig {
                    momentum: number(&sgd.momentum),
                    dampening: number(&sgd.dampening),
                    nesterov: sgd.nesterov,
                };
                SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(decay(&sgd.weight_decay)).init()
            }
            OptimizerConfig::Adam(adam) => AdamConfig::new()
                .with_beta_1(number(&adam.beta_1) as f32)
                .with_beta_2(number(&adam.beta_2) as f32)
                .with_epsilon(number(&adam.epsilon) as f32)
                .with_weight_decay(decay(&adam.weight_decay))
                .init(),
            OptimizerConfig::AdamW(adam) => AdamWConfig::new()
                .with_beta_1(number(&adam.beta_1) as f32)
                .with_beta_2(number(&adam.beta_2) as f32)
                .with_epsilon(number(&adam.epsilon) as f32)
                .with_weight_decay(number(&adam.weight_decay) as f32)
                .init(),
            OptimizerConfig::RmsProp(rmsprop) => RmsPropConfig::new()
                .with_alpha(number(&rmsprop.alpha) as f32)
                .with_momentum(number(&rmsprop.momentum) as f32)
                .with_epsilon(number(&rmsprop.epsilon) as f32)
                .with_centered(rmsprop.centered)
                .with_weight_decay(decay(&rmsprop.weight_decay))
                .init(),
            OptimizerConfig::AdaGrad(adagrad) => AdaGradConfig::new()
                .with_lr_decay(number(&adagrad.lr_decay))
                .with_epsilon(number(&adagrad.epsilon) as f32)
                .with_weight_decay(decay(&adagrad.weight_decay))
                .init(),
            OptimizerConfig::CustomOptimizer(_) => {
                unreachable!(
                    "the program names no optimizer of its own, so its engine, which is made first, was refused"
                )
            }
        }
    }
}

/// A number of an optimizer of this program, in which no level learns any.
fn number(number: &Hyperparameter) -> f64 {
    number.fixed().unwrap_or(f64::NAN)
}

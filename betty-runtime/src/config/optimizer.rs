//! The optimizers with which levels take their own steps.
//!
//! Throughout, θ are the parameters, g is the gradient after clipping, t = 1, 2, … counts the steps.

use serde::{Deserialize, Serialize};

/// An optimizer and its numbers; in JSON `{"name": "sgd", "lr": 0.1}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent, with or without momentum.
    Sgd(SgdConfig),
    /// Adam.
    Adam(AdamConfig),
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW(AdamWConfig),
    /// RMSprop.
    #[serde(rename = "rmsprop")]
    RmsProp(RmsPropConfig),
    /// Adagrad.
    #[serde(rename = "adagrad")]
    AdaGrad(AdaGradConfig),
}

impl OptimizerConfig {
    /// The name, as in a program and in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
            Self::RmsProp(_) => "rmsprop",
            Self::AdaGrad(_) => "adagrad",
        }
    }

    /// The learning rate.
    #[must_use]
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(config) => config.lr,
            Self::Adam(config) => config.lr,
            Self::AdamW(config) => config.lr,
            Self::RmsProp(config) => config.lr,
            Self::AdaGrad(config) => config.lr,
        }
    }
}

/// Stochastic gradient descent: u ← g + weight_decay·θ; m ← momentum·m + (1 − dampening)·u, at the first step m ← u;
/// θ ← θ − lr·m, or θ − lr·(u + momentum·m) with `nesterov`.
///
/// See [On the importance of initialization and momentum in deep
/// learning](http://www.cs.toronto.edu/~hinton/absps/momentum.pdf).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    /// The learning rate; greater than zero.
    pub lr: f64,
    /// The part of the last step's direction that is kept; in [0, 1), by default 0, which is plain descent.
    #[serde(default)]
    pub momentum: f64,
    /// The part of a new gradient that does not enter the momentum; in [0, 1), by default 0.
    #[serde(default)]
    pub dampening: f64,
    /// Whether to look ahead along the momentum; by default `false`.
    #[serde(default)]
    pub nesterov: bool,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default)]
    pub weight_decay: f64,
}

/// Adam: u ← g + weight_decay·θ; m ← β₁·m + (1 − β₁)·u; v ← β₂·v + (1 − β₂)·u²;
/// θ ← θ − lr·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
///
/// See [Adam: A Method for Stochastic Optimization](https://arxiv.org/abs/1412.6980).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// The learning rate; greater than zero.
    pub lr: f64,
    /// β₁, the decay of the mean of gradients; in [0, 1), by default 0.9.
    #[serde(default = "beta_1")]
    pub beta_1: f64,
    /// β₂, the decay of the mean of squared gradients; in [0, 1), by default 0.999.
    #[serde(default = "beta_2")]
    pub beta_2: f64,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default)]
    pub weight_decay: f64,
}

/// Adam with decoupled weight decay: as [`AdamConfig`] with u = g, after θ ← (1 − lr·weight_decay)·θ.
///
/// See [Decoupled Weight Decay Regularization](https://arxiv.org/abs/1711.05101).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamWConfig {
    /// The learning rate; greater than zero.
    pub lr: f64,
    /// β₁, the decay of the mean of gradients; in [0, 1), by default 0.9.
    #[serde(default = "beta_1")]
    pub beta_1: f64,
    /// β₂, the decay of the mean of squared gradients; in [0, 1), by default 0.999.
    #[serde(default = "beta_2")]
    pub beta_2: f64,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// The part of the parameters that a step of learning rate 1 would remove; not negative, by default 1e-4.
    #[serde(default = "decoupled_weight_decay")]
    pub weight_decay: f64,
}

/// RMSprop: u ← g + weight_decay·θ; v ← α·v + (1 − α)·u²; d = u / (√v + ε), or with `centered` u / (√(v − m²) + ε) for
/// m ← α·m + (1 − α)·u; θ ← θ − lr·b with b ← momentum·b + d.
///
/// See [Neural Networks for Machine Learning, lecture
/// 6](https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RmsPropConfig {
    /// The learning rate; greater than zero.
    pub lr: f64,
    /// α, the decay of the moving averages; in [0, 1), by default 0.99.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// The part of the last step's direction that is kept; in [0, 1), by default 0.9 as Burn has it.
    #[serde(default = "rmsprop_momentum")]
    pub momentum: f64,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Whether to divide by the standard deviation of gradients; by default `false`.
    #[serde(default)]
    pub centered: bool,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default)]
    pub weight_decay: f64,
}

/// Adagrad: u ← g + weight_decay·θ; s ← s + u²; θ ← θ − lr / (1 + (t − 1)·lr_decay) · u / (√s + ε).
///
/// See [Adaptive Subgradient Methods for Online Learning and Stochastic
/// Optimization](https://jmlr.org/papers/v12/duchi11a.html).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaGradConfig {
    /// The learning rate; greater than zero.
    pub lr: f64,
    /// How fast the learning rate falls; not negative, by default 0.
    #[serde(default)]
    pub lr_decay: f64,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default)]
    pub weight_decay: f64,
}

fn alpha() -> f64 {
    0.99
}

fn rmsprop_momentum() -> f64 {
    0.9
}

fn beta_1() -> f64 {
    0.9
}

fn beta_2() -> f64 {
    0.999
}

fn epsilon() -> f64 {
    1e-5
}

fn decoupled_weight_decay() -> f64 {
    1e-4
}

//! The optimizers with which levels take their own steps.
//!
//! Throughout, θ are the parameters, g is the gradient after clipping, t = 1, 2, … counts the steps. Every number is fixed or
//! [`Learned`]; the ranges are those of fixed ones.

use serde::{Deserialize, Serialize};

use super::{Hyperparameter, Learned};

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
    pub fn lr(&self) -> &Hyperparameter {
        match self {
            Self::Sgd(config) => &config.lr,
            Self::Adam(config) => &config.lr,
            Self::AdamW(config) => &config.lr,
            Self::RmsProp(config) => &config.lr,
            Self::AdaGrad(config) => &config.lr,
        }
    }

    /// Every number by its name, in the order in which the struct has them.
    #[must_use]
    pub fn numbers(&self) -> Vec<(&'static str, &Hyperparameter)> {
        match self {
            Self::Sgd(c) => vec![
                ("lr", &c.lr),
                ("momentum", &c.momentum),
                ("dampening", &c.dampening),
                ("weight_decay", &c.weight_decay),
            ],
            Self::Adam(c) => vec![
                ("lr", &c.lr),
                ("beta_1", &c.beta_1),
                ("beta_2", &c.beta_2),
                ("epsilon", &c.epsilon),
                ("weight_decay", &c.weight_decay),
            ],
            Self::AdamW(c) => vec![
                ("lr", &c.lr),
                ("beta_1", &c.beta_1),
                ("beta_2", &c.beta_2),
                ("epsilon", &c.epsilon),
                ("weight_decay", &c.weight_decay),
            ],
            Self::RmsProp(c) => vec![
                ("lr", &c.lr),
                ("alpha", &c.alpha),
                ("momentum", &c.momentum),
                ("epsilon", &c.epsilon),
                ("weight_decay", &c.weight_decay),
            ],
            Self::AdaGrad(c) => vec![
                ("lr", &c.lr),
                ("lr_decay", &c.lr_decay),
                ("epsilon", &c.epsilon),
                ("weight_decay", &c.weight_decay),
            ],
        }
    }

    /// The numbers that levels above learn, in the same order.
    pub fn learned(&self) -> impl Iterator<Item = (&'static str, &Learned)> {
        self.numbers().into_iter().filter_map(|(name, number)| match number {
            Hyperparameter::Learned(learned) => Some((name, learned)),
            Hyperparameter::Fixed(_) => None,
        })
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
    pub lr: Hyperparameter,
    /// The part of the last step's direction that is kept; in [0, 1), by default 0, which is plain descent.
    #[serde(default = "zero")]
    pub momentum: Hyperparameter,
    /// The part of a new gradient that does not enter the momentum; in [0, 1), by default 0.
    #[serde(default = "zero")]
    pub dampening: Hyperparameter,
    /// Whether to look ahead along the momentum; by default `false`.
    #[serde(default)]
    pub nesterov: bool,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default = "zero")]
    pub weight_decay: Hyperparameter,
}

/// Adam: u ← g + weight_decay·θ; m ← β₁·m + (1 − β₁)·u; v ← β₂·v + (1 − β₂)·u²;
/// θ ← θ − lr·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
///
/// See [Adam: A Method for Stochastic Optimization](https://arxiv.org/abs/1412.6980).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// The learning rate; greater than zero.
    pub lr: Hyperparameter,
    /// β₁, the decay of the mean of gradients; in [0, 1), by default 0.9.
    #[serde(default = "beta_1")]
    pub beta_1: Hyperparameter,
    /// β₂, the decay of the mean of squared gradients; in [0, 1), by default 0.999.
    #[serde(default = "beta_2")]
    pub beta_2: Hyperparameter,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: Hyperparameter,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default = "zero")]
    pub weight_decay: Hyperparameter,
}

/// Adam with decoupled weight decay: as [`AdamConfig`] with u = g, after θ ← (1 − lr·weight_decay)·θ.
///
/// See [Decoupled Weight Decay Regularization](https://arxiv.org/abs/1711.05101).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamWConfig {
    /// The learning rate; greater than zero.
    pub lr: Hyperparameter,
    /// β₁, the decay of the mean of gradients; in [0, 1), by default 0.9.
    #[serde(default = "beta_1")]
    pub beta_1: Hyperparameter,
    /// β₂, the decay of the mean of squared gradients; in [0, 1), by default 0.999.
    #[serde(default = "beta_2")]
    pub beta_2: Hyperparameter,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: Hyperparameter,
    /// The part of the parameters that a step of learning rate 1 would remove; not negative, by default 1e-4.
    #[serde(default = "decoupled_weight_decay")]
    pub weight_decay: Hyperparameter,
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
    pub lr: Hyperparameter,
    /// α, the decay of the moving averages; in [0, 1), by default 0.99.
    #[serde(default = "alpha")]
    pub alpha: Hyperparameter,
    /// The part of the last step's direction that is kept; in [0, 1), by default 0.9 as Burn has it.
    #[serde(default = "rmsprop_momentum")]
    pub momentum: Hyperparameter,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: Hyperparameter,
    /// Whether to divide by the standard deviation of gradients; by default `false`.
    #[serde(default)]
    pub centered: bool,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default = "zero")]
    pub weight_decay: Hyperparameter,
}

/// Adagrad: u ← g + weight_decay·θ; s ← s + u²; θ ← θ − lr / (1 + (t − 1)·lr_decay) · u / (√s + ε).
///
/// See [Adaptive Subgradient Methods for Online Learning and Stochastic
/// Optimization](https://jmlr.org/papers/v12/duchi11a.html).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaGradConfig {
    /// The learning rate; greater than zero.
    pub lr: Hyperparameter,
    /// How fast the learning rate falls; not negative, by default 0.
    #[serde(default = "zero")]
    pub lr_decay: Hyperparameter,
    /// ε, which bounds the step where gradients vanish; greater than zero, by default 1e-5.
    #[serde(default = "epsilon")]
    pub epsilon: Hyperparameter,
    /// The weight of the penalty ½‖θ‖²; not negative, by default 0.
    #[serde(default = "zero")]
    pub weight_decay: Hyperparameter,
}

fn zero() -> Hyperparameter {
    0.0.into()
}

fn alpha() -> Hyperparameter {
    0.99.into()
}

fn rmsprop_momentum() -> Hyperparameter {
    0.9.into()
}

fn beta_1() -> Hyperparameter {
    0.9.into()
}

fn beta_2() -> Hyperparameter {
    0.999.into()
}

fn epsilon() -> Hyperparameter {
    1e-5.into()
}

fn decoupled_weight_decay() -> Hyperparameter {
    1e-4.into()
}

//! The optimizer that a configuration names.

use super::{AdaGrad, Adam, AdamW, Optimizer, RmsProp, Sgd};
use crate::config::OptimizerConfig;

impl OptimizerConfig {
    /// The optimizer with these numbers; its learning rate is an input of every step.
    #[must_use]
    pub fn build(&self) -> Box<dyn Optimizer> {
        match *self {
            Self::Sgd(ref c) => Box::new(Sgd {
                momentum: c.momentum,
                dampening: c.dampening,
                nesterov: c.nesterov,
                weight_decay: c.weight_decay,
            }),
            Self::Adam(ref c) => {
                Box::new(Adam { beta_1: c.beta_1, beta_2: c.beta_2, epsilon: c.epsilon, weight_decay: c.weight_decay })
            }
            Self::AdamW(ref c) => {
                Box::new(AdamW { beta_1: c.beta_1, beta_2: c.beta_2, epsilon: c.epsilon, weight_decay: c.weight_decay })
            }
            Self::RmsProp(ref c) => Box::new(RmsProp {
                alpha: c.alpha,
                momentum: c.momentum,
                epsilon: c.epsilon,
                centered: c.centered,
                weight_decay: c.weight_decay,
            }),
            Self::AdaGrad(ref c) => {
                Box::new(AdaGrad { lr_decay: c.lr_decay, epsilon: c.epsilon, weight_decay: c.weight_decay })
            }
        }
    }
}

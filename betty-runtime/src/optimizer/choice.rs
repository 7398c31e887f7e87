//! The optimizer that a configuration names.

use std::rc::Rc;

use super::{AdaGrad, Adam, AdamW, Coefficient, Optimizer, RmsProp, Sgd};
use crate::config::{Hyperparameter, OptimizerConfig};

impl OptimizerConfig {
    /// The optimizer with these numbers, if the program does not give it; its learning rate is an input of every step. Those
    /// that are learned are numbered as in [`learned`](Self::learned).
    #[must_use]
    pub fn build(&self) -> Option<Rc<dyn Optimizer>> {
        let learned: Vec<&str> = self.learned().map(|(name, _)| name).collect();
        let number = |name: &str, number: &Hyperparameter| match number {
            Hyperparameter::Fixed(number) => Coefficient::Constant(*number),
            Hyperparameter::Learned(_) => {
                Coefficient::Learned(learned.iter().position(|known| *known == name).unwrap_or(usize::MAX))
            }
        };
        Some(match *self {
            Self::Sgd(ref c) => Rc::new(Sgd {
                momentum: number("momentum", &c.momentum),
                dampening: number("dampening", &c.dampening),
                nesterov: c.nesterov,
                weight_decay: number("weight_decay", &c.weight_decay),
            }),
            Self::Adam(ref c) => Rc::new(Adam {
                beta_1: number("beta_1", &c.beta_1),
                beta_2: number("beta_2", &c.beta_2),
                epsilon: number("epsilon", &c.epsilon),
                weight_decay: number("weight_decay", &c.weight_decay),
            }),
            Self::AdamW(ref c) => Rc::new(AdamW {
                beta_1: number("beta_1", &c.beta_1),
                beta_2: number("beta_2", &c.beta_2),
                epsilon: number("epsilon", &c.epsilon),
                weight_decay: number("weight_decay", &c.weight_decay),
            }),
            Self::RmsProp(ref c) => Rc::new(RmsProp {
                alpha: number("alpha", &c.alpha),
                momentum: number("momentum", &c.momentum),
                epsilon: number("epsilon", &c.epsilon),
                centered: c.centered,
                weight_decay: number("weight_decay", &c.weight_decay),
            }),
            Self::AdaGrad(ref c) => Rc::new(AdaGrad {
                lr_decay: number("lr_decay", &c.lr_decay),
                epsilon: number("epsilon", &c.epsilon),
                weight_decay: number("weight_decay", &c.weight_decay),
            }),
            Self::CustomOptimizer(_) => return None,
        })
    }
}

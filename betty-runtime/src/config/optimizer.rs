//! The optimizers with which levels take their own steps.
//!
//! Throughout, θ are the parameters, g is the gradient after clipping, t = 1, 2, … counts the steps. Every number is fixed or
//! [`Learned`]; the ranges are those of fixed ones.

use betty_macros::configs;
use betty_schema::OPTIMIZERS;

use super::{Hyperparameter, Learned};

configs! {
    /// An optimizer and its numbers; in JSON `{"name": "sgd", "lr": 0.1}`.
    #[derive(Clone, Debug, PartialEq)]
    pub enum OptimizerConfig {}
}

impl OptimizerConfig {
    /// The numbers that levels above learn, in the order of [`numbers`](Self::numbers).
    pub fn learned(&self) -> impl Iterator<Item = (&'static str, &Learned)> {
        self.numbers().into_iter().filter_map(|(name, number)| match number {
            Hyperparameter::Learned(learned) => Some((name, learned)),
            Hyperparameter::Fixed(_) => None,
        })
    }

    /// Whether a learned number decides where the steps come to rest, and so the best response.
    pub(crate) fn decides_rest(&self, option: &str, learned: &Learned) -> bool {
        let row = OPTIMIZERS.find(self.name()).and_then(|row| row.find(option));
        row.is_some_and(|option| option.at_rest) && !learned.by_step
    }
}

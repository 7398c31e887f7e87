//! The learning rates of one step.

use std::rc::Rc;

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::ParamId;

/// One rate for the level, and one for each of its parameters, which differ where groups have rates of their own; none where
/// they are learned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LearningRates {
    pub(super) base: f64,
    pub(super) each: Rc<[f64]>,
}

impl LearningRates {
    /// The same rate for all parameters.
    pub(super) fn one(rate: f64, parameters: usize) -> Self {
        LearningRates { base: rate, each: vec![rate; parameters].into() }
    }

    /// Rates that are no numbers, but made of another level's parameters: equal to each other, and 0 for all that is known.
    pub(super) fn learned() -> Self {
        LearningRates { base: 0.0, each: Rc::new([]) }
    }

    /// A scheduler's rates for parameters of these names and paths.
    pub(super) fn scheduled<'a>(
        rates: &ModuleLearningRate,
        parameters: impl Iterator<Item = (ParamId, &'a str)>,
    ) -> Self {
        let each = parameters.map(|(id, path)| rates.lr_from_param(id, Some(path)));
        LearningRates { base: rates.base(), each: each.collect() }
    }
}

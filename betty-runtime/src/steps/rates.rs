//! The learning rates of one step.

use std::rc::Rc;

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::ParamId;

/// One rate for the level, and one for each of its parameters, which differ where groups have rates of their own; none where
/// they are learned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LearningRates {
    pub(crate) base: f64,
    pub(crate) each: Rc<[f64]>,
}

impl LearningRates {
    /// The same rate for all parameters.
    pub(crate) fn one(rate: f64, parameters: usize) -> Self {
        LearningRates { base: rate, each: vec![rate; parameters].into() }
    }

    /// Rates that are no numbers, but made of another level's parameters: equal to each other, and 0 for all that is known.
    pub(crate) fn learned() -> Self {
        LearningRates { base: 0.0, each: Rc::new([]) }
    }

    /// A scheduler's rates for parameters with these identifiers and paths. One that is tied is in every group that any of its
    /// paths is in.
    pub(crate) fn scheduled<'a, Paths: Iterator<Item = &'a str>>(
        rates: &ModuleLearningRate,
        parameters: impl Iterator<Item = (ParamId, Paths)>,
    ) -> Self {
        let base = rates.base();
        let of_path = |id: ParamId, path: &str| rates.lr_from_param(id, Some(path));
        let each = parameters.map(|(id, mut paths)| {
            paths.find_map(|path| Some(of_path(id, path)).filter(|rate| *rate != base)).unwrap_or(base)
        });
        LearningRates { base, each: each.collect() }
    }
}

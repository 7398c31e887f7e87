//! The learning rates of one step.

use std::rc::Rc;

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::ParamId;

/// One rate for the level, and one for each of its parameters, which differ where groups have rates of their own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LearningRates {
    /// That of the parameters that are in no group, or in the first one where all are in some; none where it is learned.
    pub(crate) base: Option<f64>,
    /// Those of all parameters, without learned ones, which are no numbers but made of another level's parameters.
    pub(crate) each: Rc<[f64]>,
    /// How many steps the level has taken before it since a level above began to wait, without whole rounds: the row that it
    /// has of numbers that are learned for each step.
    pub(crate) row: usize,
}

impl LearningRates {
    /// The same rate for all parameters.
    pub(crate) fn one(rate: f64, parameters: usize) -> Self {
        LearningRates { base: Some(rate), each: vec![rate; parameters].into(), row: 0 }
    }
}

/// A scheduler's rate for a parameter with this identifier and these paths. One that is tied is in every group that any of its
/// paths is in.
pub(crate) fn scheduled_rate<'a>(
    rates: &ModuleLearningRate,
    id: ParamId,
    mut paths: impl Iterator<Item = &'a str>,
) -> f64 {
    let base = rates.base();
    let of_path = |path: &str| rates.lr_from_param(id, Some(path));
    paths.find_map(|path| Some(of_path(path)).filter(|rate| *rate != base)).unwrap_or(base)
}

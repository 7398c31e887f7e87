//! The step that a level would take next, for methods that look at its derivative.

use std::fmt;
use std::rc::Rc;

use super::rates::LearningRates;
use super::reads::Moves;
use super::update::{Before, Update};
use crate::execute::Vector;
use crate::hypergradient::{NextStep, ProductError};
use crate::linalg::InnerProductSpace;

/// A step that a level could take.
pub(crate) struct ComingStep {
    pub(crate) update: Rc<Update>,
    pub(crate) before: Before,
    pub(crate) rates: LearningRates,
    pub(crate) moves: Moves,
    /// Which parameters whoever asks for its derivative sees.
    pub(crate) moved: Vec<bool>,
}

impl NextStep for ComingStep {
    fn pull_back(&self, v: &Vector) -> Result<Vector, ProductError> {
        let states = Vector(self.before.states.clone()).zero().0;
        let cotangents = (self.before.parameters.zero().with_part(&self.moved, v.clone()), states);
        let pulled = self.update.pull_back(self.before.clone(), &self.rates, &self.moves, cotangents)?;
        Ok(pulled.gradient.part(&self.moved).scaled(-1.0))
    }
}

impl fmt::Debug for ComingStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComingStep").field("rates", &self.rates).field("moves", &self.moves).finish_non_exhaustive()
    }
}

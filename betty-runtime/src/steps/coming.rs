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
        let mut seen = v.0.iter().cloned();
        let parameters = self.before.parameters.zero().0.into_iter().zip(&self.moved);
        let whole = parameters.map(|(zero, &is_moved)| is_moved.then(|| seen.next()).flatten().unwrap_or(zero));
        let cotangents = (Vector(whole.collect()), states);
        let pulled = self.update.pull_back(self.before.clone(), &self.rates, &self.moves, cotangents)?;
        let gradient = pulled.gradient.0.into_iter().zip(&self.moved);
        let gradient = Vector(gradient.filter(|(_, is_moved)| **is_moved).map(|(tensor, _)| tensor).collect());
        Ok(gradient.scaled(-1.0))
    }
}

impl fmt::Debug for ComingStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComingStep").field("rates", &self.rates).field("moves", &self.moves).finish_non_exhaustive()
    }
}

//! How a hypergradient passes through the levels below: which are solved, and which are gone through step by step.

use std::rc::Rc;

use super::Program;
use crate::error::{EngineError, StepsError};
use crate::schedule::Through;
use crate::steps::{Record, StepsBasis};

/// What a total gradient is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A step, or an answer.
    Value,
    /// To be differentiated itself: steps below are functions then.
    Derivative,
}

/// How a hypergradient passes through one stop.
pub(crate) enum Passing {
    /// By the condition that determines the stop's best response.
    Solved,
    /// Through its steps, in turns with those of other stops.
    Together,
    /// Through its last steps, taken for one function.
    Function(Rc<StepsBasis>),
    /// Through its steps, one after the other.
    Steps(Record),
}

/// How a hypergradient passes through all stops of its sweep.
pub(crate) struct Passings {
    /// The stop whose tangents go along with the steps of all others that it has to do with.
    pub(super) leader: Option<usize>,
    /// The stops whose steps are gone through together.
    pub(super) together: Vec<usize>,
    /// In the order of the sweep. With a leader, it and those that stand apart from it.
    pub(crate) stops: Vec<(Through, Passing)>,
}

impl Passings {
    /// The stops that are solved, in the order of the sweep: a sample has a batch for each.
    pub(crate) fn solved(&self) -> Vec<usize> {
        let solved = self.stops.iter().filter(|(_, passing)| matches!(passing, Passing::Solved));
        solved.map(|(stop, _)| stop.level).collect()
    }
}

impl Program {
    /// The stops that a total gradient of level `k` solves, in the order of the sweep, whatever steps have been taken.
    pub(crate) fn solved_stops(&self, k: usize, of: Use) -> Vec<usize> {
        let leader = self.leader(k).filter(|_| of == Use::Value);
        let apart = leader.map(|leader| self.apart_from(k, leader));
        let stops = self.schedule.levels[k].sweep.iter().map(|stop| stop.level);
        let stops = stops.filter(|stop| apart.as_ref().is_none_or(|apart| apart.contains(stop)));
        stops.filter(|&stop| self.levels[stop].trajectory.is_none()).collect()
    }

    /// How the hypergradient of level `k` passes through the levels below.
    ///
    /// # Errors
    /// [`EngineError`] where it goes through steps that nobody has taken.
    pub(crate) fn passings(&self, k: usize, of: Use) -> Result<Passings, EngineError> {
        let (together, leader) = match of {
            Use::Value => match self.leader(k) {
                Some(leader) => (Vec::new(), Some(leader)),
                None => (self.together(k), None),
            },
            Use::Derivative => (Vec::new(), None),
        };
        let apart = leader.map(|leader| self.apart_from(k, leader));
        let is_led = |stop: usize| apart.as_ref().is_some_and(|apart| !apart.contains(&stop));
        let mut stops = Vec::new();
        for &stop in self.schedule.levels[k].sweep {
            if leader != Some(stop.level) && is_led(stop.level) {
                continue;
            }
            let Some(steps) = &self.levels[stop.level].trajectory else {
                stops.push((stop, Passing::Solved));
                continue;
            };
            if steps.is_empty() {
                return Err(self.no_steps(k, stop.level));
            }
            let is_differentiated = of == Use::Derivative || self.schedule.is_nested(stop.level, k);
            let function = || steps.basis(self.rounds_of(stop.level)).filter(|_| is_differentiated);
            stops.push((
                stop,
                if together.contains(&stop.level) {
                    Passing::Together
                } else if let Some(basis) = function() {
                    Passing::Function(Rc::new(basis))
                } else {
                    Passing::Steps(steps.clone())
                },
            ));
        }
        Ok(Passings { leader, together, stops })
    }

    pub(super) fn no_steps(&self, k: usize, level: usize) -> EngineError {
        let (level, above) = (self.levels[level].name.into(), self.levels[k].name.into());
        match self.levels[k].config.vectorize {
            true => EngineError::Steps(StepsError::Together { level, above }),
            false if self.takers.is_some() => EngineError::Steps(StepsError::OfTasks { level, above }),
            false => EngineError::Steps(StepsError::NotTaken { level }),
        }
    }
}

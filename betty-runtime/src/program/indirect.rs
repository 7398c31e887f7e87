//! What comes up to a level through the best responses below it: the adjoint system of its stops, solved.

use super::Program;
use super::context::Context;
use crate::derivatives::Variable;
use crate::error::EngineError;
use crate::execute::Vector;
use crate::hypergradient::Blocks;

impl Program {
    /// Solves the adjoint system below level `k`, `right` being the derivative of its loss in what is solved there. Answers
    /// what has to be taken off the level's direct gradient, if anything, and the solution.
    pub(super) fn indirect(
        &self,
        k: usize,
        context: &mut Context,
        right: &Blocks,
    ) -> Result<(Option<Vector>, Blocks), EngineError> {
        let stops: Vec<usize> = self.schedule.levels[k].sweep.iter().map(|stop| stop.level).collect();
        let own = Variable::Level(k);
        context.response.start_from(self.levels[k].solutions.clone());
        let solved = if let Some(found) = self.indirect_through_steps(k, context, right) {
            // Nobody asks for multipliers of what is gone through.
            found.map(|indirect| (indirect, Blocks::default()))
        } else {
            let response = &mut context.response;
            response.reaching(&stops, own).and_then(|stops| {
                let x = response.solve(&stops, right)?;
                Ok((response.taken_off(&x, &stops, &[own])?.take(own), x))
            })
        };
        let solutions = context.response.take_solutions();
        context.solutions.insert(k, solutions);
        solved.map_err(|source| {
            let (level, response) = (&self.levels[k], &context.response);
            EngineError::Hypergradient {
                level: level.name.into(),
                through: response.failed().map_or(level.name, |failed| self.levels[failed].name).into(),
                step: level.steps + 1,
                source: Box::new(source),
            }
        })
    }
}

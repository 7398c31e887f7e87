//! What training will take, counted before it starts.

mod costly;
mod count;
mod passes;
mod report;

use std::rc::Rc;

use super::Program;
use super::bases::Bases;
use super::sample::Seeded;
use super::subject::LossFunctions;
use crate::config::{LbfgsConfig, LevelSolverConfig};
use crate::error::EngineError;
use crate::execute::{Cost, Value};
use crate::minimize::LbfgsOptions;
use crate::steps::{Basis, Record, StepsBasis};
use passes::Way;
pub use report::{Explanation, LevelCost, ResponseCost};

/// One pass through a best response.
struct Pass {
    response: ResponseCost,
    /// Transfers from the device.
    reads: f64,
    /// Bytes held at once.
    peak: usize,
}

impl Program {
    /// Counts what one iteration takes on batches like these, one for each level.
    ///
    /// # Errors
    /// As for a first step.
    pub(crate) fn explain(
        &mut self,
        functions: &dyn LossFunctions,
        points: &[Seeded],
    ) -> Result<Explanation, EngineError> {
        for (k, point) in points.iter().enumerate() {
            self.record(functions, k, point)?;
        }
        let steps: Vec<u64> = count::steps_of_an_iteration(self);
        // What a point keeps is known when all products have been prepared that read it.
        for (k, &steps) in steps.iter().enumerate() {
            self.explain_level(k, steps, points)?;
        }
        let steps = steps.into_iter().enumerate();
        let mut levels = steps.map(|(k, steps)| self.explain_level(k, steps, points)).collect::<Result<Vec<_>, _>>()?;
        for k in 0..self.levels.len() {
            if !self.levels[k].config.vectorize {
                continue;
            }
            let (cost, peak) = self.tasks_cost(k, points)?;
            let update = &self.levels[k].update;
            (levels[k].step, levels[k].peak) = (cost + update.cost() + self.joining(k), peak.max(update.peak()));
            levels[k].responses.clear();
            // What the tasks came to, and whether the step is finite.
            levels[k].reads = 2;
            for &lower in self.schedule.levels[k].lower {
                levels[lower].within = Some(self.levels[k].name);
                levels[lower].kept = 0;
            }
        }
        Ok(Explanation { program: self.schedule.name, levels })
    }

    fn explain_level(&mut self, k: usize, steps: u64, points: &[Seeded]) -> Result<LevelCost, EngineError> {
        let spec = &self.schedule.levels[k];
        let graph = |source| EngineError::Graph { level: spec.name.into(), source };
        let of = self.schedule.differentiates(k);
        let gradient = self.losses.get_mut(k, &points[k].0).gradient(&of).map_err(graph)?;
        // Loss, norm and metrics.
        let numbers = 2 + gradient.metrics(&[]).len();
        let level = &self.levels[k];
        let parameters = level.parameters();
        let of = |index: usize| {
            let value = &parameters.0[index];
            value.shape().iter().product::<usize>() * value.dtype().size()
        };
        let bytes = (0..level.trainable.len()).map(of).sum();
        let states =
            (0..level.trainable.len()).map(|index| of(index) * level.update.groups().states(index).len()).sum();
        let evaluations = (self.own_tasks(k) * level.config.accumulate) as f64;
        // A solver takes one batch, and tasks are those of an optimizer's steps.
        let (turn, dots) = match level.config.solver {
            None => (None, 0),
            Some(LevelSolverConfig::CustomSolver(_)) => (Some(2), 1),
            Some(LevelSolverConfig::Lbfgs(LbfgsConfig { memory, iterations, tolerance })) => {
                let evaluations = LbfgsOptions { memory, iterations, tolerance }.most_evaluations();
                (Some(evaluations), evaluations + iterations * (2 * memory + 4))
            }
        };
        let gradients = turn.map_or(evaluations, |turn| turn as f64);
        // One gradient is read with the step that it leads to; of several, each by itself, and then their mean with the step.
        let of_their_mean = u64::from(turn.is_none() && evaluations > 1.0);
        let mut cost = LevelCost {
            is_biased: false,
            evaluations: turn,
            level: spec.name,
            parameters: parameters.len(),
            steps,
            within: None,
            step: gradient.cost() * gradients + level.update.cost() + self.joining(k),
            responses: Vec::new(),
            peak: gradient.program().peak().max(level.update.peak()),
            kept: level.trajectory.as_ref().map_or(0, |record| record.bytes(bytes, states, self.parameters_above(k)))
                * self.rounds_kept(k, steps),
            reads: gradients as u64 + dots as u64 + of_their_mean,
        };
        let bases = &self.grounds_below(k, points);
        let passes = self.explain_passes(k, bases, Way::Said)?;
        if !passes.is_empty() {
            // The norm of each whole gradient, after its loss.
            cost.reads += evaluations as u64;
        }
        for Pass { response, reads, peak } in passes {
            cost.responses.push(ResponseCost { cost: response.cost * evaluations, ..response });
            cost.reads += (reads * evaluations) as u64;
            cost.peak = cost.peak.max(peak);
        }
        if self.apart_at(k).is_some() {
            cost.is_biased = true;
            cost.step = cost.step.silent() + self.last_message(k, numbers) * evaluations;
            cost.responses.iter_mut().for_each(|response| response.cost = response.cost.silent());
        }
        Ok(cost)
    }

    /// What ranks exchange for a step of level `k` whose tasks they take some of each: the gradient, and where the levels below stand.
    fn joining(&self, k: usize) -> Cost {
        let is_divided = self.takers.is_some() && self.schedule.roots == [k];
        let bytes = |values: &[Value], least: usize| -> usize {
            let size = |value: &Value| value.shape().iter().product::<usize>() * value.dtype().size().max(least);
            values.iter().map(size).sum()
        };
        let below = self.levels.iter().filter(|level| level.number != k);
        let below = below.map(|level| bytes(&level.leaves, 1) + bytes(&level.states, 1)).sum();
        let gradient = bytes(&self.levels[k].parameters().0, size_of::<f32>());
        if is_divided { Cost::sent(gradient) + Cost::sent(below) } else { Cost::NONE }
    }

    /// How many times the steps that level `k` takes for a step above are kept.
    fn rounds_kept(&self, k: usize, steps: u64) -> usize {
        let needed = self.needed(k);
        let goes_on = !self.levels[k].config.start.begins_anew() || needed.across_starts;
        let is_whole =
            matches!(&self.levels[k].trajectory, Some(Record::Steps(steps)) if !steps.borrow().is_truncated());
        match needed.since.filter(|_| goes_on && is_whole) {
            Some(_) => (steps as usize).div_ceil(self.levels[k].config.unroll).max(1),
            None => needed.rounds,
        }
    }

    /// On what the levels below `k` are differentiated for its hypergradient: as steps where they will be twice.
    fn grounds_below(&self, k: usize, points: &[Seeded]) -> Bases {
        let twice = self.levels[k].trajectory.is_some();
        let mut bases = Bases::default();
        for (level, point) in points.iter().enumerate() {
            // Gradients are taken on one batch after the other; what is solved is so on all that a step averages.
            let is_solved = level != k && self.levels[level].trajectory.is_none();
            let count = if is_solved { self.levels[level].config.accumulate } else { 1 };
            bases.set_losses(level, std::iter::repeat_n(point, count));
            let Some(Record::Steps(steps)) = &self.levels[level].trajectory else { continue };
            if !self.schedule.answers_to(level, k) || !(twice || self.schedule.is_nested(level, k)) {
                continue;
            }
            let batches = vec![vec![Rc::clone(&point.0); self.levels[level].evaluations()]; steps.borrow().length()];
            let basis = StepsBasis { batches, from: self.starts_from(level), begun: None, taken: Vec::new() };
            bases.set(level, Basis::Steps(Rc::new(basis)));
        }
        bases
    }

    /// How many numbers the steps of level `k` are differentiated in.
    fn parameters_above(&self, k: usize) -> usize {
        self.depends_on(k).into_iter().map(|above| self.levels[above].parameters().len()).sum()
    }
}

//! What training will take, counted before it starts.

mod costly;
mod count;
mod joint;
mod report;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Program;
use super::sample::Seeded;
use super::subject::LossFunctions;
use crate::config::{CurvatureOf, LbfgsConfig, LevelSolverConfig, Start};
use crate::derivatives::Variable;
use crate::error::EngineError;
use crate::execute::Cost;
use crate::hypergradient::{Inexact, Products};
use crate::minimize::LbfgsOptions;
use crate::steps::{Basis, Parts, Record, StepsBasis};
pub use report::{Explanation, LevelCost, ResponseCost};

/// How the systems of a pass are solved.
#[derive(Clone, Copy)]
struct Way {
    /// Of which gradient the derivative is taken, if not of the one that the level says.
    curvature: Option<CurvatureOf>,
    /// Whether solves are no more exact than needed.
    inexact: Option<Inexact>,
}

impl Way {
    /// As the levels say.
    const PLAIN: Way = Way { curvature: None, inexact: None };
}

/// One pass through a best response.
struct Pass {
    response: ResponseCost,
    /// Numbers read from the device.
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
        let steps = count::steps_of_an_iteration(self).into_iter().enumerate();
        let mut levels = steps.map(|(k, steps)| self.explain_level(k, steps, points)).collect::<Result<Vec<_>, _>>()?;
        for k in 0..self.levels.len() {
            if !self.levels[k].config.vectorize {
                continue;
            }
            let (cost, peak) = self.tasks_cost(k, points)?;
            let update = &self.levels[k].update;
            (levels[k].step, levels[k].peak) = (cost + update.cost(), peak.max(update.peak()));
            levels[k].responses.clear();
            levels[k].reads = 1;
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
        let level = &self.levels[k];
        let parameters = level.parameters();
        let of = |index: usize| {
            let value = &parameters.0[index];
            value.shape().iter().product::<usize>() * value.dtype().size()
        };
        let bytes = (0..level.trainable.len()).map(of).sum();
        let states =
            (0..level.trainable.len()).map(|index| of(index) * level.update.groups().states(index).len()).sum();
        let evaluations = (level.config.tasks * level.config.accumulate) as f64;
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
        let mut cost = LevelCost {
            evaluations: turn,
            level: spec.name,
            parameters: parameters.len(),
            steps,
            within: None,
            step: gradient.cost() * gradients + level.update.cost(),
            responses: Vec::new(),
            peak: gradient.program().peak().max(level.update.peak()),
            kept: level.trajectory.as_ref().map_or(0, |record| record.bytes(bytes, states, self.parameters_above(k)))
                * self.rounds_kept(k, steps),
            reads: gradients as u64 + dots as u64,
        };
        let bases = &self.grounds_below(k, points);
        let passes = match self.joint(k) {
            Some(joint) => self.explain_jointly(k, joint, bases)?,
            None => {
                let stops = spec.sweep.iter().map(|stop| stop.level);
                let way = Way { curvature: None, inexact: self.inexact(k) };
                stops.map(|stop| self.explain_response(stop, k, bases, way)).collect::<Result<_, _>>()?
            }
        };
        if !passes.is_empty() {
            // The norm of each whole gradient, after its loss.
            cost.reads += evaluations as u64;
        }
        for Pass { response, reads, peak } in passes {
            cost.responses.push(ResponseCost { cost: response.cost * evaluations, ..response });
            cost.reads += (reads * evaluations) as u64;
            cost.peak = cost.peak.max(peak);
        }
        Ok(cost)
    }

    /// How many times the steps that level `k` takes for a step above are kept.
    fn rounds_kept(&self, k: usize, steps: u64) -> usize {
        let needed = self.needed(k);
        let goes_on = matches!(self.levels[k].config.start, Start::Kept | Start::LookAhead) || needed.across_starts;
        let is_whole =
            matches!(&self.levels[k].trajectory, Some(Record::Steps(steps)) if !steps.borrow().is_truncated());
        match needed.since.filter(|_| goes_on && is_whole) {
            Some(_) => (steps as usize).div_ceil(self.levels[k].config.unroll).max(1),
            None => needed.rounds,
        }
    }

    /// On what the levels below `k` are differentiated for its hypergradient: as steps where they will be twice.
    fn grounds_below(&self, k: usize, points: &[Seeded]) -> BTreeMap<usize, Basis> {
        let twice = self.levels[k].trajectory.is_some();
        let basis = |(level, (batch, seed)): (usize, &Seeded)| {
            let alone = Basis::Loss { batch: Rc::clone(batch), seed: *seed };
            let Some(Record::Steps(steps)) = &self.levels[level].trajectory else { return (level, alone) };
            if !self.schedule.answers_to(level, k) || !(twice || self.schedule.is_nested(level, k)) {
                return (level, alone);
            }
            let batches = vec![vec![Rc::clone(batch); self.levels[level].evaluations()]; steps.borrow().length()];
            let basis = StepsBasis { batches, from: self.starts_from(level), begun: None, taken: Vec::new() };
            (level, Basis::Steps(Rc::new(basis)))
        };
        points.iter().enumerate().map(basis).collect()
    }

    /// One pass through the best response of `stop` on the way to `k`.
    fn explain_response(
        &mut self,
        stop: usize,
        k: usize,
        bases: &BTreeMap<usize, Basis>,
        way: Way,
    ) -> Result<Pass, EngineError> {
        let of = way.curvature.unwrap_or(self.levels[stop].config.curvature);
        let spec = &self.schedule.levels[stop];
        let curvature = self.losses.prepare_curvature(&self.schedule, &self.levels, stop, bases)?;
        let graph = |source| EngineError::Graph { level: spec.name.into(), source };
        let sweep = self.schedule.levels[k].sweep;
        let into = sweep.iter().find(|of| of.level == stop).map_or(&[][..], |of| of.into);
        let into: Vec<Variable> = into.iter().copied().map(Variable::Level).collect();
        let products = self.methods[stop].as_ref().map_or(Products::Exact, |method| method.products());
        let product = products.cost(&mut curvature.borrow_mut(), &into).map_err(graph)?;
        let level = &self.levels[stop];
        let method = level.config.hypergradient.as_ref().map_or("", |method| method.name());
        let pass = |products, cost, reads, peak| Pass {
            response: ResponseCost { through: spec.name, method, products, cost },
            reads,
            peak,
        };
        if let Some(steps) = bases[&stop].steps() {
            return Ok(pass(Some(steps.batches.len()), product.point + product.mixed, 0.0, product.peak));
        }
        if let Some(record) = level.trajectory.clone() {
            let mut parts = Parts { product, update: level.update.cost(), ..Parts::default() };
            if let (true, Basis::Loss { batch, .. }, Basis::Loss { batch: above, .. }) =
                (record.needs_loss(), &bases[&stop], &bases[&k])
            {
                let gradient = self.losses.get_mut(stop, batch).gradient(&[stop]).map_err(graph)?;
                let loss = self.losses.get_mut(k, above).gradient(&[]).map_err(graph)?;
                (parts.gradient, parts.loss) = (gradient.cost(), loss.cost());
            }
            let (unroll, each) = (level.config.unroll, level.evaluations());
            let (products, cost, reads) = record.cost(unroll, each, self.parameters_above(stop), &parts);
            return Ok(pass(Some(products), cost, reads, parts.product.peak));
        }
        let size = level.parameters().len();
        let budget = self.methods[stop].as_ref().and_then(|method| method.budget(size));
        let mut own = Cost::default();
        let budget = match way.inexact {
            Some(inexact) => {
                if let Some(budget) = budget.filter(|_| inexact.prepared) {
                    own = product.own * budget.products as f64;
                }
                Some(inexact.budget())
            }
            None => budget,
        };
        let (mut below, mut once, mut reads, mut peak) = (Cost::default(), Cost::default(), 0.0, product.peak);
        // Levels that stand still answer to nothing.
        let answering = if of == CurvatureOf::Partial { &[][..] } else { spec.sweep };
        for level in answering {
            // The product of a nested stop solves what is below it twice.
            let inner = self.explain_response(level.level, stop, bases, Way { curvature: None, ..way })?;
            below += inner.response.cost * 2.0;
            // It is solved once more for what has arrived there, and once for the multipliers at the point.
            once += inner.response.cost * 2.0;
            reads += 2.0 * inner.reads;
            peak = peak.max(inner.peak);
        }
        if let (false, Basis::Loss { batch, .. }) = (answering.is_empty(), &bases[&stop]) {
            let of = self.schedule.differentiates(stop);
            once += self.losses.get_mut(stop, batch).gradient(&of).map_err(graph)?.cost();
            // What the solution does below is one more product.
            once += product.own + below;
        }
        let known = budget.unwrap_or_default();
        let count = known.products as f64;
        let cost = product.point + (product.own + own + below) * count + once + product.mixed;
        Ok(pass(budget.map(|of| of.products), cost, known.reads + reads * count, peak))
    }

    /// How many numbers the steps of level `k` are differentiated in.
    fn parameters_above(&self, k: usize) -> usize {
        self.schedule.reached_from(k).into_iter().map(|above| self.levels[above].parameters().len()).sum()
    }
}
